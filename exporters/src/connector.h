/* SPDX-License-Identifier: Apache-2.0
 *
 * From a host's name to a connected socket without waiting: the name is looked
 * up by a thread of its own, and its addresses are tried one after the other, the
 * next one without an answer of the last after a quarter of a second (as RFC 8305
 * has it). Delivery thread.
 */
#ifndef CLEW_CONNECTOR_H
#define CLEW_CONNECTOR_H

#include <curl/curl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEW__ATTEMPTS_MAX 4u /* at a time */

struct clew__connector {
    char host[256], port[8];
    struct clew__lookup *lookup; /* NULL: none under way */
    struct addrinfo *found, *next;
    int attempts[CLEW__ATTEMPTS_MAX]; /* sockets; -1: free */
    uint64_t next_at_ns;              /* when the next address has its turn */
    int err;                          /* the last one */
    const char *trouble;              /* of the lookup; NULL: none */
};

enum clew__connect { CLEW__CONNECTING, CLEW__CONNECTED, CLEW__NOT_CONNECTED };

/* Host without brackets. */
void clew__connector_init(struct clew__connector *c, const char *host, const char *port);
/* Gives up; a lookup that is under way is left to itself. */
void clew__connector_done(struct clew__connector *c);

/* Begins. */
void clew__connector_start(struct clew__connector *c);
/* Gets on: with CONNECTED *ret_fd is the caller's, to be closed by
 * clew__sockets_close(); with NOT_CONNECTED err or trouble says why. */
enum clew__connect clew__connector_run(struct clew__connector *c, int *ret_fd);
/* Stops trying; a lookup that is under way serves the next start. */
void clew__connector_stop(struct clew__connector *c);
/* What it waits for: up to CLEW__ATTEMPTS_MAX of ret, how many; and *ret_ns is
 * lowered when it has to go on earlier. */
size_t clew__connector_wait(const struct clew__connector *c, struct curl_waitfd *ret,
                            uint64_t *ret_ns);

#endif
