/* SPDX-License-Identifier: Apache-2.0
 * Webhooks that go into the store in one transaction. Used by one thread. */
#ifndef CLEW_ALERTBRIDGE_INTAKE_BATCH_H
#define CLEW_ALERTBRIDGE_INTAKE_BATCH_H

#include <store/store.h>

#define CLEW__INTAKE_BATCH_MAX 64u            /* webhooks, */
#define CLEW__INTAKE_BATCH_BYTES (256u << 10) /* of so many bytes, unless it is one */

struct clew__intake_batch;

/* args     config: borrowed until the end, as is all that is added
 * owner    clew__intake_batch_free()
 * returns  NULL: no memory */
struct clew__intake_batch *clew__intake_batch_new(const struct clew__config *config);
bool clew__intake_batch_is_full(const struct clew__intake_batch *batch);
/* args     labels: to put on its alerts, JSON; "" for none
 *          thread: copied
 * returns  0; -EINVAL: it is no webhook; -ENOMEM */
int clew__intake_batch_add(struct clew__intake_batch *batch, const char *body, size_t len,
                           const char *labels, const struct clew__thread_of *thread,
                           int64_t received_at);
/* sequence: how far the journal is then, 0: it is not from there. What came of it is
 * logged and counted once it is stored.
 * returns  0 and *ret_ndeliveries, that were queued; -errno: nothing is stored */
int clew__intake_batch_commit(struct clew__intake_batch *batch, struct clew__store *store,
                              uint64_t sequence, uint64_t *ret_ndeliveries);
/* Accepts NULL. */
void clew__intake_batch_free(struct clew__intake_batch *batch);

#endif
