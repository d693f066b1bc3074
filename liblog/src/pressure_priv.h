/* SPDX-License-Identifier: Apache-2.0
 * What a thread does when its ring is full, or when a call site is too loud. */
#ifndef CLEW_PRESSURE_PRIV_H
#define CLEW_PRESSURE_PRIV_H

#include "core_priv.h"

/* Gets the ring of this thread its storage, or waits until it was emptied, helping
 * where it can, as the configuration says, so that no more than usable bytes lie
 * before end; false when that was not to be. Keeps errno. */
bool clew__make_room(struct clew__ring *ring, uint64_t end, uint64_t usable);
/* Whether the ring's own thread empties it now: nobody else should. */
bool clew__ring_is_crowded(struct clew__ring *ring, uint64_t now_ns);
/* The tail was moved: wakes the thread that waits for it. */
void clew__ring_moved(struct clew__ring *ring);

/* Counts one event of the site; whether its line may pass, and then how many
 * were held back before it. */
bool clew__limit_passes(struct clew_site *site, struct clew_limit *limit, uint64_t *ret_held);

#endif
