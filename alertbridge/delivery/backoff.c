/* SPDX-License-Identifier: Apache-2.0
 * Exponential backoff with jitter: after an outage the waiting deliveries come
 * back spread out. What the far side asked for is a lower bound; the jitter comes
 * on top of it, because asking for the same second is what it wants least. */
#include "backoff.h"

#include <common/instant.h>

int64_t clew__backoff_ns(unsigned attempts, double asked_s, uint64_t random)
{
    double part = (double)(random >> 11) / 9007199254740992.0; /* 0 <= part < 1 */
    double wait = 1.0;

    for (unsigned i = 1; i < attempts && wait < CLEW__BACKOFF_MAX_S; i++)
        wait *= 2;
    if (wait > CLEW__BACKOFF_MAX_S)
        wait = CLEW__BACKOFF_MAX_S;
    wait *= 1 - part / 2;
    if (asked_s > CLEW__WAIT_MAX_S)
        asked_s = CLEW__WAIT_MAX_S;
    if (asked_s >= 0 && wait < asked_s)
        wait = asked_s + part * (asked_s < 10 ? asked_s / 10 : 1);
    return (int64_t)(wait * (double)CLEW__SECOND_NS);
}
