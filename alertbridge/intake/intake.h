/* SPDX-License-Identifier: Apache-2.0
 * The HTTP server: webhooks in, the store's JSON out. */
#ifndef CLEW_ALERTBRIDGE_INTAKE_H
#define CLEW_ALERTBRIDGE_INTAKE_H

#include <delivery/delivery.h>
#include <store/store.h>

#include <stdint.h>

struct clew__intake;

/* Listens on config->listen, and keeps a reference. senders may be NULL: nobody is
 * woken.
 * owner    clew__intake_stop()
 * returns  0, -errno */
int clew__intake_start(struct clew__config *config, struct clew__store *store,
                       struct clew__senders *senders, struct clew__intake **ret_intake);
/* From the next request on another configuration (but for listen and webhook.tls)
 * and other senders; requests in hand end with the configuration that they began
 * with. On return nobody uses the former senders any more. MT-Safe. */
void clew__intake_use(struct clew__intake *intake, struct clew__config *config,
                      struct clew__senders *senders);
/* Takes no new connection, waits for the requests in hand until deadline (ns, wall
 * clock), stops. Accepts NULL, returns NULL. */
struct clew__intake *clew__intake_stop(struct clew__intake *intake, int64_t deadline);

/* The port that it listens on. */
uint16_t clew__intake_port(const struct clew__intake *intake);

#endif
