/* SPDX-License-Identifier: Apache-2.0
 * Alerts that come and go. One that fires so often within a window is told once more,
 * with a note, and then held: further beginnings and ends are noted, not told, until
 * it has been calm for a time; then its end is told. */
#ifndef CLEW_ALERTBRIDGE_STORMS_FLAP_H
#define CLEW_ALERTBRIDGE_STORMS_FLAP_H

#include <store/apply_priv.h>
#include <timers/timer.h>

#define CLEW__FLAP_KIND "flapping"

enum clew__flap {
    CLEW__FLAP_NO,
    CLEW__FLAP_BEGINS, /* to be told, with clew__flap_note() */
    CLEW__FLAP_HELD,   /* not to be told */
};

/* An alert that fires; part of the transaction that would tell it. */
int clew__flap_fired(struct clew__db *db, struct clew__applying *applying,
                     const struct clew__alert *alert, int64_t alert_id, enum clew__flap *ret_flap);
/* One that ended: NO or HELD. */
int clew__flap_resolved(struct clew__db *db, struct clew__applying *applying,
                        const struct clew__alert *alert, int64_t alert_id,
                        enum clew__flap *ret_flap);
/* Why the last page before the calm is the last. */
const char *clew__flap_note(const struct clew__config *config, char *text, size_t size);

extern const struct clew__timer_ops clew__flap_timer;

#endif
