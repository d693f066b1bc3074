/* SPDX-License-Identifier: Apache-2.0
 * The parts of the management server. Everything here is for the thread of the
 * listener that a connection came to, unless it says otherwise. */
#ifndef CLEW_MANAGEMENT_PRIV_H
#define CLEW_MANAGEMENT_PRIV_H

#include "settings.h"

#include <clew/metrics.h>

#include <microhttpd.h>

/* ---- management_listen.c --------------------------------------------------------- */

/* A listening socket and the port it got; unread_max: bytes that the kernel keeps
 * for a connection. 0; -errno and clew_last_error() names the variable. */
int clew__listen_open(const struct clew__listen *where, int unread_max, int *ret_fd,
                      uint16_t *ret_port);
/* Says that it cannot listen there; returns -err. */
int clew__listen_failed(const struct clew__listen *where, int err);

/* ---- management_tls.c ----------------------------------------------------------- */

struct clew__tls {
    char *certificate, *key, *client_ca; /* PEM; NULL: none */
};

/* Reads the files and tries them. 0; -EINVAL, -errno: clew_last_error() says
 * which file is wrong. Nothing is read when TLS is off. */
int clew__tls_load(const struct clew__management_settings *settings, struct clew__tls *ret);
void clew__tls_done(struct clew__tls *tls);
/* Whether the peer has shown a certificate of the client CA. */
bool clew__tls_has_client(struct MHD_Connection *connection);

/* ---- management_access.c -------------------------------------------------------- */

enum clew__access {
    CLEW__MAY,
    CLEW__NO_CREDENTIALS, /* 401 */
    CLEW__NO_CERTIFICATE, /* 403: of a client, as are … */
    CLEW__NO_NETWORK,     /* … not on the list */
    CLEW__NOT_LOCAL       /* … and a change from elsewhere without credentials */
};

/* changes: the request wants to change something. */
enum clew__access clew__access_check(const struct clew__management_settings *settings,
                                     struct MHD_Connection *connection, bool changes);

/* ---- management_guard.c --------------------------------------------------------- */

#define CLEW__CONNECTIONS_KEPT 128u
#define CLEW__CONNECTIONS_MAX 192u /* with those that are on their way out */

#define CLEW__UNREAD_BYTES 16384         /* that the kernel keeps of answers; it takes twice that */
#define CLEW__UNREAD_READER_BYTES 131072 /* the same for a peer who has read one */
#define CLEW__CROWD 8u                   /* answers under way that are one */

/* The connections of one listener. Whoever comes gets one; when they become too
 * many, the address with the most of them loses the one that was idle longest. */
struct clew__guard {
    struct clew__connection {
        bool here; /* false: the place is free */
        bool leaving;
        int fd;
        uint8_t bucket;   /* of its address */
        bool is_answered; /* at least once */
        bool reads;       /* and the peer has read what it was answered */
        uint64_t used;    /* guard->clock when it last did something */
        size_t answering; /* bytes of the answer that is being sent */
    } at[CLEW__CONNECTIONS_MAX];
    uint16_t in_bucket[256];
    unsigned staying;
    unsigned unread; /* answers under way */
    uint64_t clock;
    size_t answering;
};

/* MHD_OPTION_NOTIFY_CONNECTION, cls: the guard. */
void clew__guard_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
/* A request begins. False: the connection is let go instead. */
bool clew__guard_ask(struct clew__guard *guard, struct MHD_Connection *connection);
/* Its answer begins, its answer has ended (0 bytes). */
void clew__guard_use(struct clew__guard *guard, struct MHD_Connection *connection, size_t bytes);
/* Whether many do not read. */
static inline bool clew__guard_is_crowded(const struct clew__guard *guard)
{
    return guard->unread >= CLEW__CROWD;
}

/* Connections that were closed for others. Any thread. */
uint64_t clew__guard_evicted(void);

/* ---- management_pages.c --------------------------------------------------------- */

enum clew__port { CLEW__PORT_PAGES = 1, CLEW__PORT_METRICS = 2 };

struct clew__page_request {
    bool changes;                                        /* PUT */
    const char *accept, *accept_encoding, *content_type; /* NULL: none */
    const char *body;
    size_t len;
};

struct clew__page {
    unsigned status;
    const char *type;     /* Content-Type, static */
    const char *encoding; /* Content-Encoding, static; NULL: none */
    char *text;           /* free() */
    size_t len;
};

struct clew__page_kind {
    const char *path;
    unsigned ports; /* of which listeners */
    bool is_open;   /* for everybody: probes have no credentials */
    bool takes_put;
    /* NULL: metrics, which may be shared */
    void (*make)(struct clew__page *page, const struct clew__page_request *request);
};

/* NULL: there is no such page. */
const struct clew__page_kind *clew__page_find(unsigned ports, const char *path);
/* The answer that says why there is none. */
void clew__page_error(struct clew__page *page, unsigned status, const char *why);
void clew__page_metrics(struct clew__page *page, const struct clew_page_format *format);
void clew__page_not_found(struct clew__page *page, unsigned ports);

/* ---- management_buildinfo.c ------------------------------------------------------ */

void clew__page_buildinfo(struct clew__page *page, const struct clew__page_request *request);
/* ---- management_loglevel.c ------------------------------------------------------- */

void clew__page_loglevel(struct clew__page *page, const struct clew__page_request *request);

/* For the makers of pages: takes json, which may be NULL without memory. */
struct json_t;
void clew__page_json(struct clew__page *page, unsigned status, struct json_t *json);

#endif
