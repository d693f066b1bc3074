/* SPDX-License-Identifier: Apache-2.0
 * The list of what waits. */
#include "timer.h"

#include <escalation/escalation.h>
#include <storms/flap.h>
#include <storms/limit.h>
#include <watchdog/watchdog.h>

#include <stddef.h>

const struct clew__timer_ops *const clew__timer_kinds[] = {&clew__escalation_timer, &clew__storm_timer, &clew__flap_timer, &clew__watchdog_timer, NULL};
