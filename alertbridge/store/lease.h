/* SPDX-License-Identifier: Apache-2.0
 * Replicas that share a store divide the work: each piece has a name (a target, or
 * "timers"), and who holds its lease does it. */
#ifndef CLEW_ALERTBRIDGE_LEASE_H
#define CLEW_ALERTBRIDGE_LEASE_H

#include <stdint.h>

#define CLEW__LEASE_ALONE INT64_C(-1) /* the epoch where there are no replicas */

struct clew__store;
struct clew__lease;

/* Tries to get and to keep a lease; watchers are woken when it is there.
 * owner    clew__lease_drop()
 * threads  MT-Safe
 * returns  NULL without memory */
struct clew__lease *clew__lease_want(struct clew__store *store, const char *name);
/* Another replica may have it. Accepts NULL, returns NULL. */
struct clew__lease *clew__lease_drop(struct clew__lease *lease);

/* The epoch that it is held in, 0: not held. It may be lost at any moment after that, but
 * nobody else has it for another second; who comes later has a higher epoch. MT-Safe,
 * never blocks. */
int64_t clew__lease_epoch(const struct clew__lease *lease);

/* wake is called, from another thread, when another process has queued something or a
 * lease was got. It must not call back here. arg tells watchers apart. 0, -ENOMEM */
int clew__store_watch(struct clew__store *store, void (*wake)(void *arg), void *arg);
/* Returns when wake is not being called; it never will be again. */
void clew__store_unwatch(struct clew__store *store, void *arg);

/* ---- for store.c ------------------------------------------------------ */

struct clew__leases;

/* where: of a database that replicas share, or NULL. owner clew__leases_stop() */
int clew__leases_start(const char *where, struct clew__leases **ret_leases);
/* All leases are dropped by now. Gives up what is held. Accepts NULL, returns NULL. */
struct clew__leases *clew__leases_stop(struct clew__leases *leases);

struct clew__leases *clew__store_leases(struct clew__store *store);

#endif
