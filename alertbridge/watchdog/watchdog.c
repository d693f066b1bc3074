/* SPDX-License-Identifier: Apache-2.0
 * What is expected is a timer that each sight of the alert sets anew. When it fires,
 * an alert of the bridge's own begins, by the same way as Alertmanager's, but to the
 * receiver that the configuration names; it ends with the next sight. So it is
 * acknowledged, explained, told once and told to be over as all others are, and a
 * crash neither forgets nor repeats it. In the writer's thread. */
#include "watchdog.h"

#include <common/duration.h>
#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDED "ended"        /* arguments of the timer: it was resolved; */
#define GRACE "another time" /* the time that a start has given */

static void name_of(const struct clew__watchdog *watchdog, char ret_fingerprint[CLEW__DIGEST_TEXT])
{
    clew__digest((const char *const[]){"watchdog", watchdog->name}, 2, ret_fingerprint);
    ret_fingerprint[16] = '\0';
}

/* Since when it is missing; 0: it is not. */
static int missing_since(struct clew__db *db, const struct clew__watchdog *watchdog,
                         int64_t *ret_since)
{
    char fingerprint[CLEW__DIGEST_TEXT];

    name_of(watchdog, fingerprint);
    return clew__db_number(db, 0, ret_since,
                           "SELECT max(starts_at) FROM alerts WHERE fingerprint = ?1"
                           " AND status = 'firing'",
                           "s", fingerprint);
}

/* The body that Alertmanager would send about it. */
static char *make_body(const struct clew__config *config, const struct clew__watchdog *watchdog,
                       int64_t since, int64_t until, const char *summary)
{
    char fingerprint[CLEW__DIGEST_TEXT], starts[CLEW__INSTANT_TEXT], ends[CLEW__INSTANT_TEXT];
    char group[300], *text;
    json_t *body;

    name_of(watchdog, fingerprint);
    (void)snprintf(group, sizeof(group), "watchdog/%s", watchdog->name);
    (void)clew__instant_format(since, starts);
    if (until)
        (void)clew__instant_format(until, ends);
    body = json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:{s:s},"
                     " s:[{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:{s:s}}]}",
                     "version", "4", "groupKey", group, "receiver", "alertbridge", "externalURL",
                     config->external_url, "status", until ? "resolved" : "firing", "groupLabels",
                     "alertname", "WatchdogMissing", "watchdog", watchdog->name, "commonLabels",
                     "alertname", "WatchdogMissing", "watchdog", watchdog->name, "severity",
                     "critical", "commonAnnotations", "summary", summary, "alerts", "status",
                     until ? "resolved" : "firing", "fingerprint", fingerprint, "startsAt", starts,
                     "endsAt", until ? ends : "0001-01-01T00:00:00Z", "generatorURL", "", "labels",
                     "alertname", "WatchdogMissing", "watchdog", watchdog->name, "severity",
                     "critical", "annotations", "summary", summary);
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

/* until: when it came again; 0: it is missing. */
static int tell(struct clew__db *db, const struct clew__config *config,
                const struct clew__watchdog *watchdog, int64_t since, int64_t until, int64_t now,
                const char *summary, uint64_t *deliveries)
{
    const struct clew__thread_of thread = {"", "", ""};
    struct clew__notification notification;
    struct clew__apply apply = {.config = config,
                                .notification = &notification,
                                .thread = &thread,
                                .now = now,
                                .receiver = clew__config_receiver(config, watchdog->receiver)};
    char *body = make_body(config, watchdog, since, until, summary);
    int r;

    if (!body)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__notification_parse(&notification, body, strlen(body));
    free(body);
    if (r < 0)
        return r;
    r = clew__store_apply(db, &apply);
    clew__notification_done(&notification);
    *deliveries += apply.ndeliveries;
    return r;
}

static int seen(struct clew__db *db, const struct clew__config *config,
                const struct clew__watchdog *watchdog, int64_t now, uint64_t *deliveries)
{
    char summary[400];
    int64_t since = 0;
    int r =
        clew__timer_after(db, CLEW__WATCHDOG_KIND, watchdog->name, now, watchdog->within_ns, "");

    if (r == 0)
        r = missing_since(db, watchdog, &since);
    if (r < 0 || since == 0)
        return r;
    (void)snprintf(summary, sizeof(summary), "The watchdog %s is back.", watchdog->name);
    return tell(db, config, watchdog, since, now, now, summary, deliveries);
}

int clew__watchdog_see(struct clew__db *db, const struct clew__config *config,
                       const struct clew__alert *alert, int64_t now, uint64_t *deliveries)
{
    int r = 0;

    for (size_t i = 0; i < config->nwatchdogs && r == 0; i++) {
        const struct clew__watchdog *watchdog = &config->watchdogs[i];

        if (!clew__matchers_match(watchdog->matchers, watchdog->nmatchers, alert->labels))
            continue;
        if (alert->firing)
            r = seen(db, config, watchdog, now, deliveries);
        else if (alert->change == CLEW__CHANGE_RESOLVED)
            r = clew__timer_after(db, CLEW__WATCHDOG_KIND, watchdog->name, now, 0, ENDED);
    }
    return r;
}

/* ---- the time runs out -------------------------------------------------------- */

static const struct clew__watchdog *find(const struct clew__config *config, const char *name)
{
    for (size_t i = 0; i < config->nwatchdogs; i++)
        if (strcmp(config->watchdogs[i].name, name) == 0)
            return &config->watchdogs[i];
    return NULL;
}

static int fire(struct clew__db *db, struct clew__firing *firing)
{
    const struct clew__watchdog *watchdog = find(firing->config, firing->timer->key);
    char summary[400], within[CLEW__DURATION_TEXT];
    int64_t since = 0;
    int r;

    if (!watchdog)
        return 0; /* nobody expects it any more */
    r = missing_since(db, watchdog, &since);
    if (r < 0 || since)
        return r;
    if (strcmp(firing->timer->arg, ENDED) == 0)
        (void)snprintf(summary, sizeof(summary),
                       "The watchdog %s has ended, which it never should: alerts may be lost.",
                       watchdog->name);
    else
        (void)snprintf(summary, sizeof(summary),
                       "The watchdog %s has not been seen for %s: alerts may be lost.",
                       watchdog->name, clew__duration_format(watchdog->within_ns, within));
    return tell(db, firing->config, watchdog, firing->now, 0, firing->now, summary,
                &firing->ndeliveries);
}

const struct clew__timer_ops clew__watchdog_timer = {.kind = CLEW__WATCHDOG_KIND, .fire = fire};

/* ---- the start ------------------------------------------------------------------ */

static int begin_one(struct clew__db *db, const struct clew__watchdog_begin *begin,
                     const struct clew__watchdog *watchdog)
{
    struct clew__row *row =
        clew__db_prepare(db, "SELECT due_at, arg FROM timers WHERE kind = ?1 AND key = ?2", "ss",
                         CLEW__WATCHDOG_KIND, watchdog->name);
    int r = row ? clew__db_step(db, row) : -EIO;
    bool known = r == 1, overdue = false;
    int64_t since = 0;

    if (r < 0)
        return r;
    if (known) {
        overdue = begin->start && clew__db_int(row, 0) <= begin->now &&
                  strcmp(clew__db_text(row, 1), "") == 0;
        clew__db_reset(row);
    }
    if (known && !overdue)
        return 0;
    r = missing_since(db, watchdog, &since);
    return r < 0 || since ? r
                          : clew__timer_after(db, CLEW__WATCHDOG_KIND, watchdog->name, begin->now,
                                              watchdog->within_ns, known ? GRACE : "");
}

int clew__watchdog_begin(struct clew__db *db, void *arg)
{
    const struct clew__watchdog_begin *begin = arg;
    int r = 0;

    for (size_t i = 0; i < begin->config->nwatchdogs && r == 0; i++)
        r = begin_one(db, begin, &begin->config->watchdogs[i]);
    return r;
}
