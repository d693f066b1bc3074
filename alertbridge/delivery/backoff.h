/* SPDX-License-Identifier: Apache-2.0
 * When to try again. */
#ifndef CLEW_ALERTBRIDGE_BACKOFF_H
#define CLEW_ALERTBRIDGE_BACKOFF_H

#include <stdint.h>

#define CLEW__BACKOFF_MAX_S 300.0
#define CLEW__WAIT_MAX_S 21600.0 /* of what a far side may ask for */

/* Nanoseconds until the attempt after `attempts` failed ones: 1 s, doubled each
 * time up to CLEW__BACKOFF_MAX_S, of which a random part of at most a half is
 * taken off; never less than asked_s seconds (negative: nothing asked), which is
 * cut at CLEW__WAIT_MAX_S. random: any number. Pure. */
int64_t clew__backoff_ns(unsigned attempts, double asked_s, uint64_t random);

#endif
