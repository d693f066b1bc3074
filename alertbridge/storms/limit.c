/* SPDX-License-Identifier: Apache-2.0
 * The window begins with the first page after the last window, so a storm's first
 * pages go out at once and its digest comes at a known time. The count, the held
 * alerts and the timer are rows of the transaction that holds them: a crash neither
 * forgets nor repeats one. A held alert belongs to no incident of the target; the
 * digest is an incident of its own, of all that still fire then, and ends with the
 * last of them. In the writer's thread. */
#include "limit.h"

#include <common/duration.h>
#include <escalation/subjects.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct window {
    int64_t began_at, pages;
};

static int load_window(struct clew__db *db, const char *target, struct window *window)
{
    struct clew__row *row =
        clew__db_prepare(db, "SELECT began_at, pages FROM storms WHERE target = ?1", "s", target);
    int r = row ? clew__db_step(db, row) : -EIO;

    *window = (struct window){0, 0};
    if (r <= 0)
        return r;
    window->began_at = clew__db_int(row, 0);
    window->pages = clew__db_int(row, 1);
    clew__db_reset(row);
    return 0;
}

static int hold(struct clew__db *db, const struct clew__applying *applying,
                const struct clew__receiver *receiver, const char *target, int64_t ends_at,
                const struct clew__alert *alert, int64_t alert_id)
{
    char window[CLEW__DURATION_TEXT], reason[384];
    int r = clew__db_run(db,
                         "INSERT INTO storm_alerts (target, alert_id) VALUES (?1, ?2)"
                         " ON CONFLICT (target, alert_id) DO NOTHING",
                         "si", target, alert_id);

    if (r < 0 || clew__db_changed(db) == 0)
        return r;
    (void)snprintf(reason, sizeof(reason), "more than %u pages in %s; told at the end of that",
                   receiver->limit_pages, clew__duration_format(receiver->limit_window_ns, window));
    r = clew__audit(db, applying, alert, target, "held", reason);
    return r == 0 ? clew__timer_after(db, CLEW__STORM_KIND, target, applying->now,
                                      ends_at - applying->now, "")
                  : r;
}

int clew__limit_take(struct clew__db *db, struct clew__applying *applying,
                     const struct clew__receiver *receiver,
                     const struct clew__integration *integration, const struct clew__alert *alert,
                     int64_t alert_id, bool *ret_held)
{
    struct window window;
    int r;

    *ret_held = false;
    if (receiver->limit_pages == 0 || clew__config_critical(applying->config, alert->labels))
        return 0;
    r = load_window(db, integration->target, &window);
    if (r < 0)
        return r;
    if (applying->now >= window.began_at + receiver->limit_window_ns ||
        applying->now < window.began_at)
        window = (struct window){applying->now, 0};
    *ret_held = window.pages >= receiver->limit_pages;
    if (*ret_held)
        return hold(db, applying, receiver, integration->target,
                    window.began_at + receiver->limit_window_ns, alert, alert_id);
    return clew__db_run(db,
                        "INSERT INTO storms (target, receiver, began_at, pages)"
                        " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (target) DO UPDATE SET"
                        " receiver = excluded.receiver, began_at = excluded.began_at,"
                        " pages = excluded.pages",
                        "ssii", integration->target, receiver->name, window.began_at,
                        window.pages + 1);
}

/* ---- the end of a window --------------------------------------------------- */

struct digest {
    struct clew__firing *firing;
    const char *target;
    char receiver[257];
    struct clew__subjects subjects;
    size_t ntold;
};

/* The value that all of them share of the label that says best where this is. */
static const char *place(json_t *common)
{
    static const char *const names[] = {"service", "namespace", "team", "cluster", "job"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (*clew__page_value(common, names[i]))
            return clew__page_value(common, names[i]);
    return "";
}

/* Loads what was held, and forgets it: the next window begins with the next page. */
static int take_held(struct clew__db *db, struct digest *digest)
{
    struct clew__row *row =
        clew__db_prepare(db, "SELECT receiver FROM storms WHERE target = ?1", "s", digest->target);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r == 1)
        (void)snprintf(digest->receiver, sizeof(digest->receiver), "%s", clew__db_text(row, 0));
    clew__db_reset(row);
    if (r >= 0)
        r = clew__subjects_of_storm(db, digest->target, &digest->subjects);
    if (r == 0)
        r = clew__db_run(db, "DELETE FROM storm_alerts WHERE target = ?1", "s", digest->target);
    return r == 0 ? clew__db_run(db, "DELETE FROM storms WHERE target = ?1", "s", digest->target)
                  : r;
}

static int tell(struct clew__db *db, struct digest *digest, struct clew__applying *applying,
                const struct clew__integration *integration, const struct clew__subject *subject)
{
    json_t *labels = json_loads(subject->labels, 0, NULL);
    struct clew__alert alert = {.firing = subject->firing,
                                .fingerprint = subject->fingerprint,
                                .starts_at = subject->starts_at,
                                .labels = labels};
    int r;

    if (!labels)
        return clew_set_error(-ENOMEM, "out of memory");
    if (!integration)
        r = clew__audit(db, applying, &alert, digest->target, "not sent",
                        "its target is not configured any more");
    else if (!subject->firing)
        r = clew__audit(db, applying, &alert, digest->target, "not sent",
                        "it ended before the digest");
    else if (subject->acknowledged)
        r = clew__audit(db, applying, &alert, digest->target, "not sent",
                        "somebody had it in hand before the digest");
    else
        r = clew__incidents_together(db, applying, integration, "the digest of a storm", &alert,
                                     subject->id);
    json_decref(labels);
    return r;
}

static int tell_all(struct clew__db *db, struct digest *digest, struct clew__applying *applying)
{
    const struct clew__integration *integration =
        clew__config_integration(digest->firing->config, digest->target, digest->receiver);
    int r = 0;

    for (size_t i = 0; i < digest->subjects.n && r == 0; i++)
        r = tell(db, digest, applying, integration, &digest->subjects.items[i]);
    if (r == 0)
        r = clew__incidents_queue(db, applying);
    digest->firing->ndeliveries = applying->ndeliveries;
    return r;
}

static int fire(struct clew__db *db, struct clew__firing *firing)
{
    struct digest digest = {.firing = firing, .target = firing->timer->key};
    char group[CLEW__DIGEST_TEXT], title[300], note[128];
    struct clew__applying applying = {
        .config = firing->config, .group = group, .now = firing->now, .note = note};
    size_t over = 0;
    int r = take_held(db, &digest);

    for (size_t i = 0; i < digest.subjects.n; i++)
        over += !digest.subjects.items[i].firing;
    if (r == 0 && digest.subjects.n) {
        json_t *common = clew__subjects_common(&digest.subjects);
        const char *where = place(common);

        (void)snprintf(title, sizeof(title), "%zu more%s%.200s", digest.subjects.n,
                       *where ? " in " : "", where);
        (void)snprintf(note, sizeof(note), "so many came that %zu were held, %zu of them are over",
                       digest.subjects.n, over);
        r = clew__subjects_digest(db, &digest.subjects, digest.target, title,
                                  digest.subjects.items[0].webhook_id, firing->now, group,
                                  &applying.webhook_id);
        json_decref(common);
        if (r == 0)
            r = tell_all(db, &digest, &applying);
    }
    clew__applying_done(&applying);
    clew__subjects_done(&digest.subjects);
    return r;
}

const struct clew__timer_ops clew__storm_timer = {.kind = CLEW__STORM_KIND, .fire = fire};
