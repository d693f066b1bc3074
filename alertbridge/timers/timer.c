/* SPDX-License-Identifier: Apache-2.0
 * Setting timers: rows, in the transaction of whatever sets them. */
#include "timer.h"

#include <clew/log.h>

#include <errno.h>
#include <string.h>

static int set(struct clew__db *db, const char *kind, const char *key, int64_t due_at,
               int64_t elapsing, const char *arg)
{
    if (strlen(arg) > CLEW__TIMER_ARG_MAX ||
        strlen(key) >= sizeof(((struct clew__timer *)0)->key) ||
        strlen(kind) >= sizeof(((struct clew__timer *)0)->kind))
        return clew_set_error(-EINVAL, "a timer's kind, key or argument is too long");
    return clew__db_run(db,
                        "INSERT INTO timers (kind, key, due_at, elapsing, arg)"
                        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (kind, key) DO UPDATE SET"
                        " due_at = excluded.due_at, elapsing = excluded.elapsing,"
                        " arg = excluded.arg",
                        "ssiis", kind, key, due_at, elapsing, arg);
}

int clew__timer_after(struct clew__db *db, const char *kind, const char *key, int64_t now,
                      int64_t after_ns, const char *arg)
{
    return set(db, kind, key, now + after_ns, 1, arg);
}

int clew__timer_at(struct clew__db *db, const char *kind, const char *key, int64_t due_at,
                   const char *arg)
{
    return set(db, kind, key, due_at, 0, arg);
}

int clew__timer_cancel(struct clew__db *db, const char *kind, const char *key)
{
    return clew__db_run(db, "DELETE FROM timers WHERE kind = ?1 AND key = ?2", "ss", kind, key);
}
