/* SPDX-License-Identifier: Apache-2.0
 * Webhooks that go into the store together: all of them or none. One thread. */
#ifndef CLEW_ALERTBRIDGE_BATCH_H
#define CLEW_ALERTBRIDGE_BATCH_H

#include <store/store.h>

#define CLEW__BATCH_MAX 64u            /* webhooks */
#define CLEW__BATCH_BYTES (256u << 10) /* of their bodies, unless it is one */

struct clew__batch;

/* config stays; NULL: out of memory. Give up with clew__batch_free(). */
struct clew__batch *clew__batch_new(const struct clew__config *config);
/* One more webhook, of at most CLEW__BATCH_MAX. A body of more than CLEW__BATCH_BYTES stays
 * as long as the batch. labels: to put on its alerts, JSON, "" for none.
 * returns 0; -EINVAL: it is none; -ENOMEM */
int clew__batch_add(struct clew__batch *batch, const char *body, size_t len, const char *labels,
                    const struct clew__thread_of *thread, int64_t received_at);
bool clew__batch_full(const struct clew__batch *batch);

/* Stores them, with how far the journal is then (0: they are not from there), and logs and
 * counts what is stored. *ret_ndeliveries: how many are queued for the senders.
 * returns 0: durable; -errno: nothing is stored */
int clew__batch_commit(struct clew__batch *batch, struct clew__store *store, uint64_t position,
                       uint64_t *ret_ndeliveries);
/* Accepts NULL, returns NULL. */
struct clew__batch *clew__batch_free(struct clew__batch *batch);

#endif
