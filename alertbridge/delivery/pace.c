/* SPDX-License-Identifier: Apache-2.0
 * A bucket that leaks once a second. Its clock is the monotonic one: a step of the
 * wall clock neither opens nor closes it. */
#include "sending.h"

#include <common/instant.h>

int64_t clew__pace_take(struct clew__pace *pace, double burst, int64_t monotonic_now)
{
    double passed = (double)(monotonic_now - pace->at) / (double)CLEW__SECOND_NS;
    double spent = pace->spent > passed ? pace->spent - passed : 0;

    if (spent + 1 > burst)
        return (int64_t)((spent + 1 - burst) * (double)CLEW__SECOND_NS) + 1;
    pace->spent = spent + 1;
    pace->at = monotonic_now;
    return 0;
}
