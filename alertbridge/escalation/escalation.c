/* SPDX-License-Identifier: Apache-2.0
 * A timer stands for all alerts that fired with one webhook and take one route: they
 * reach each step together and make one page there, however many they are. Who of
 * them is still to be told is asked when it fires: those that ended or that
 * somebody has in hand are left out, and when none is left the timer is not set
 * again. So neither the end of an alert nor an acknowledgement has to find its
 * timers.
 *
 * What was held back outside the hours comes as one digest: the first timer at the
 * opening takes all others of its route and step with it.
 *
 * Before anybody is told, Alertmanager is asked. What it says is silenced, inhibited or
 * gone waits for a timer of its own ("rest") while the others go on; what it does not
 * answer about is told.
 *
 * A timer names its route by the matchers and the receiver. When a new configuration
 * has no such route, its alerts take the routes that there are now, as if they had
 * just fired. In the writer's thread. */
#include "escalation.h"

#include "plan.h"
#include "subjects.h"

#include <alertmanager/watch.h>
#include <common/instant.h>
#include <common/metrics.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 1000 /* webhooks in a digest; what is beyond makes the next one */

#define KEY_TEXT (CLEW__DIGEST_TEXT + 32)

static void make_key(const struct clew__route *route, int64_t webhook_id, bool rest,
                     char ret_key[KEY_TEXT])
{
    (void)snprintf(ret_key, KEY_TEXT, "%s/%lld%s", route->id, (long long)webhook_id,
                   rest ? "/rest" : "");
}

static int set_timer(struct clew__db *db, const struct clew__route *route, int64_t webhook_id,
                     int64_t now, const struct clew__due *due)
{
    char key[KEY_TEXT], place[CLEW__PLACE_TEXT], arg[400];

    make_key(route, webhook_id, due->place.rest, key);
    clew__place_format(due->place, place);
    (void)snprintf(arg, sizeof(arg), "%s %s", place, clew__plan_receiver(route, due->place));
    return due->place.held
               ? clew__timer_at(db, CLEW__ESCALATION_KIND, key, due->at, arg)
               : clew__timer_after(db, CLEW__ESCALATION_KIND, key, now, due->at - now, arg);
}

/* The decision is the same for all alerts of a webhook that take the route. */
static struct clew__begun *find_begun(struct clew__applying *applying,
                                      const struct clew__route *route)
{
    for (size_t i = 0; i < applying->nbegun; i++)
        if (applying->begun[i].route == route)
            return &applying->begun[i];
    return NULL;
}

static int begin_route(struct clew__db *db, struct clew__applying *applying,
                       const struct clew__route *route, struct clew__begun **ret_begun)
{
    struct clew__begun *longer =
        realloc(applying->begun, (applying->nbegun + 1) * sizeof(*applying->begun));
    struct clew__due due, next;

    if (!longer)
        return clew_set_error(-ENOMEM, "out of memory");
    applying->begun = longer;
    *ret_begun = &applying->begun[applying->nbegun++];
    clew__plan_first(route, applying->now, &due);
    **ret_begun = (struct clew__begun){.route = route, .now = due.now};
    (void)snprintf((*ret_begun)->why, sizeof((*ret_begun)->why), "%s; %s", due.why, route->why);
    if (!due.now)
        return set_timer(db, route, applying->webhook_id, applying->now, &due);
    return clew__plan_next(route, due.place, applying->now, &next)
               ? set_timer(db, route, applying->webhook_id, applying->now, &next)
               : 0;
}

int clew__escalation_begin(struct clew__db *db, struct clew__applying *applying,
                           const struct clew__route *route, const struct clew__alert *alert,
                           bool *ret_now)
{
    struct clew__begun *begun = find_begun(applying, route);
    int r = begun ? 0 : begin_route(db, applying, route, &begun);

    if (r == 0 && !begun->now)
        r = clew__audit(db, applying, alert, "", "waits", begun->why);
    *ret_now = r == 0 && begun->now;
    return r;
}

static int is_to_come(struct clew__db *db, const struct clew__route *route, int64_t webhook_id,
                      bool *ret_is)
{
    char key[KEY_TEXT];
    int64_t n = 0;
    int r;

    make_key(route, webhook_id, false, key);
    r = clew__db_number(db, 0, &n,
                        "SELECT count(*) FROM timers WHERE kind = '" CLEW__ESCALATION_KIND
                        "' AND key = ?1",
                        "s", key);
    *ret_is = n > 0;
    return r;
}

/* The place after the first one of a route that tells at once; else the first one, since
 * nobody may have been told there. */
static bool follows(const struct clew__route *route, int64_t now, struct clew__due *ret_due)
{
    clew__plan_first(route, now, ret_due);
    return !ret_due->now || clew__plan_next(route, ret_due->place, now, ret_due);
}

int clew__escalation_again(struct clew__db *db, const struct clew__applying *applying,
                           json_t *labels)
{
    const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
    size_t n = clew__route_match(applying->config->route, labels, hits);
    bool to_come = false;
    struct clew__due due;
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        r = is_to_come(db, hits[i], applying->webhook_id, &to_come);
        if (r == 0 && !to_come && follows(hits[i], applying->now, &due))
            r = set_timer(db, hits[i], applying->webhook_id, applying->now, &due);
    }
    return r;
}

/* ---- a timer fires ------------------------------------------------------- */

struct run {
    struct clew__firing *firing;
    const struct clew__route *route;
    struct clew__place place;
    int64_t webhooks[BATCH_MAX];
    size_t nwebhooks;
    struct clew__subjects subjects; /* of all of them */
    struct clew__applying applying;
    char group[CLEW__DIGEST_TEXT];
    char reason[512]; /* why whoever is told is told */
    uint64_t npaged, nover, nheld;
};

static int64_t webhook_of(const char *key)
{
    const char *slash = strchr(key, '/');

    return slash ? strtoll(slash + 1, NULL, 10) : 0;
}

/* Takes the others that were held for the same opening. */
static int take_batch(struct clew__db *db, struct run *run)
{
    const char *arg = run->firing->timer->arg;
    char from[CLEW__DIGEST_TEXT + 1], to[CLEW__DIGEST_TEXT + 1];
    struct clew__row *row;
    int r;

    (void)snprintf(from, sizeof(from), "%s/", run->route->id);
    (void)snprintf(to, sizeof(to), "%s0", run->route->id); /* 0 comes after / */
    do {
        char key[256];

        row = clew__db_prepare(db,
                               "DELETE FROM timers WHERE id = (SELECT id FROM timers"
                               " WHERE kind = '" CLEW__ESCALATION_KIND "' AND key >= ?1"
                               " AND key < ?2 AND due_at <= ?3 AND arg = ?4 ORDER BY id LIMIT 1)"
                               " RETURNING key",
                               "ssis", from, to, run->firing->now, arg);
        r = row ? clew__db_step(db, row) : -EIO;
        if (r == 1) {
            (void)snprintf(key, sizeof(key), "%s", clew__db_text(row, 0));
            run->webhooks[run->nwebhooks++] = webhook_of(key);
        }
        clew__db_reset(row);
    } while (r == 1 && run->nwebhooks < BATCH_MAX);
    return r < 0 ? r : 0;
}

/* The group that a webhook was about. */
static int load_group(struct clew__db *db, int64_t webhook_id, char ret_group[CLEW__DIGEST_TEXT])
{
    struct clew__row *row =
        clew__db_prepare(db, "SELECT group_digest FROM webhooks WHERE id = ?1", "i", webhook_id);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r == 1)
        (void)snprintf(ret_group, CLEW__DIGEST_TEXT, "%s", clew__db_text(row, 0));
    clew__db_reset(row);
    return r == 0 ? clew_set_error(-ENOENT, "the store: a webhook is missing") : r < 0 ? r : 0;
}

static int load_run(struct clew__db *db, struct run *run)
{
    int r = 0;

    for (size_t i = 0; i < run->nwebhooks && r == 0; i++)
        r = clew__subjects_load(db, run->webhooks[i], &run->subjects);
    run->applying = (struct clew__applying){.config = run->firing->config,
                                            .group = run->group,
                                            .now = run->firing->now,
                                            .webhook_id = run->webhooks[0],
                                            .note = run->reason,
                                            .digest = run->place.held && run->place.step == 0};
    if (r < 0 || run->subjects.n == 0)
        return r; /* they are not even kept any more */
    if (run->nwebhooks > 1)
        r = clew__subjects_digest(db, &run->subjects, run->route->id, "Digest", run->webhooks[0],
                                  run->firing->now, run->group, &run->applying.webhook_id);
    else
        r = load_group(db, run->webhooks[0], run->group);
    return r;
}

static bool takes_route(const struct run *run, const struct clew__alert *alert)
{
    const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
    size_t n = clew__route_match(run->firing->config->route, alert->labels, hits);

    for (size_t i = 0; i < n; i++)
        if (hits[i] == run->route)
            return true;
    return false;
}

static int tell(struct clew__db *db, struct run *run, struct clew__alert *alert, int64_t alert_id)
{
    const char *name = clew__plan_receiver(run->route, run->place);
    const struct clew__receiver *receiver = clew__config_receiver(run->firing->config, name);
    char why[1024];

    (void)snprintf(why, sizeof(why), "%s; %s; %s", name, run->reason, run->route->why);
    return clew__incidents_tell(db, &run->applying, receiver, why, alert, alert_id);
}

/* Whether a receiver knows of an alert already. */
static int is_told(struct clew__db *db, const struct run *run, int64_t alert_id, bool *ret_told)
{
    const struct clew__receiver *receiver =
        clew__config_receiver(run->firing->config, clew__plan_receiver(run->route, run->place));
    int64_t n = 0;
    int r = 0;

    for (size_t i = 0; i < receiver->n && r == 0 && n == 0; i++)
        r = clew__db_number(db, 0, &n,
                            "SELECT count(*) FROM incident_alerts m JOIN incidents i"
                            " ON i.id = m.incident_id WHERE m.alert_id = ?1 AND m.open = 1"
                            " AND i.target = ?2",
                            "is", alert_id, receiver->integrations[i].target);
    *ret_told = n > 0;
    return r;
}

/* One that fires and nobody has in hand. */
static int tell_or_hold(struct clew__db *db, struct run *run, struct clew__alert *alert,
                        int64_t alert_id)
{
    enum clew__seen seen =
        clew__watch_state(run->firing->watch, run->firing->timer->due_at - CLEW__WATCH_FRESH_NS,
                          alert_id, alert->fingerprint);
    bool told = false;
    int r = run->place.rest ? is_told(db, run, alert_id, &told) : 0;

    if (r < 0 || told)
        return r;
    if (seen != CLEW__SEEN_SUPPRESSED && seen != CLEW__SEEN_GONE) {
        run->npaged++;
        return tell(db, run, alert, alert_id);
    }
    run->nheld++;
    return run->place.rest
               ? 0
               : clew__audit(db, &run->applying, alert, "", "waits",
                             seen == CLEW__SEEN_GONE
                                 ? "Alertmanager has it no longer; it is asked again"
                                 : "Alertmanager says that it is silenced or inhibited; "
                                   "it is asked again");
}

/* One that ended, or is in hand, before anybody was told. */
static int leave_out(struct clew__db *db, struct run *run, struct clew__alert *alert,
                     const struct clew__subject *subject)
{
    const struct clew__receiver *receiver;

    run->nover++;
    if (run->place.step > 0 || run->place.round > 0 || run->place.rest)
        return 0;
    if (subject->firing)
        return clew__audit(db, &run->applying, alert, "", "not sent",
                           "somebody had it in hand before its time came");
    if (!run->applying.digest)
        return clew__audit(db, &run->applying, alert, "", "not sent",
                           "it ended before its time came");
    receiver = clew__config_receiver(run->firing->config, run->route->receiver);
    return clew__incidents_mention(db, &run->applying, receiver, alert, subject->id);
}

static int handle(struct clew__db *db, struct run *run, const struct clew__subject *subject)
{
    json_t *labels = json_loads(subject->labels, 0, NULL);
    struct clew__alert alert = {.firing = subject->firing,
                                .fingerprint = subject->fingerprint,
                                .starts_at = subject->starts_at,
                                .labels = labels};
    int r = 0;

    if (!labels)
        return clew_set_error(-ENOMEM, "out of memory");
    if (!run->route) {
        if (subject->firing && !subject->acknowledged)
            r = clew__incidents_join(db, &run->applying, &alert, subject->id);
    } else if (takes_route(run, &alert)) {
        if (!subject->firing || subject->acknowledged)
            r = leave_out(db, run, &alert, subject);
        else
            r = tell_or_hold(db, run, &alert, subject->id);
    }
    json_decref(labels);
    return r;
}

static int set_next(struct clew__db *db, struct run *run)
{
    struct clew__place rest = {.step = run->place.step, .round = run->place.round, .rest = true};
    struct clew__due held = {.at = run->firing->now + run->firing->config->reconcile_ns,
                             .place = rest};
    struct clew__due next;
    bool more = run->npaged && clew__plan_next(run->route, run->place, run->firing->now, &next);
    bool on_its_way = false; /* those that were not suppressed */
    int r = more && run->place.rest ? is_to_come(db, run->route, run->webhooks[0], &on_its_way) : 0;

    for (size_t i = 0; i < run->nwebhooks && r == 0; i++) {
        if (more && !on_its_way)
            r = set_timer(db, run->route, run->webhooks[i], run->firing->now, &next);
        if (r == 0 && run->nheld)
            r = set_timer(db, run->route, run->webhooks[i], run->firing->now, &held);
    }
    return r;
}

static int run_step(struct clew__db *db, struct run *run)
{
    int r = 0;

    if (run->route && run->place.held)
        r = take_batch(db, run);
    if (r == 0)
        r = load_run(db, run);
    for (size_t i = 0; i < run->subjects.n && r == 0; i++)
        r = handle(db, run, &run->subjects.items[i]);
    if (r == 0)
        r = clew__incidents_queue(db, &run->applying);
    if (r == 0 && run->route)
        r = set_next(db, run);
    if (r == 0 && run->route) {
        const char *receiver = clew__plan_receiver(run->route, run->place);

        clew__metrics_escalation(receiver, "paged", run->npaged);
        clew__metrics_escalation(receiver, "over", run->nover);
        clew__metrics_escalation(receiver, "suppressed", run->nheld);
    }
    run->firing->ndeliveries = run->applying.ndeliveries;
    return r;
}

static int fire(struct clew__db *db, struct clew__firing *firing)
{
    char id[CLEW__DIGEST_TEXT];
    struct run run = {
        .firing = firing, .nwebhooks = 1, .webhooks = {webhook_of(firing->timer->key)}};
    struct clew__due due;
    int r;

    (void)snprintf(id, sizeof(id), "%.*s", (int)strcspn(firing->timer->key, "/"),
                   firing->timer->key);
    run.route = clew__route_find(firing->config->route, id);
    if (!clew__place_parse(firing->timer->arg, &run.place))
        return clew_set_error(-EINVAL, "a timer's argument is damaged");
    if (run.route && !clew__plan_receiver(run.route, run.place))
        return 0; /* the steps have become fewer */
    if (run.route && clew__plan_held(run.route, run.place, firing->now, &due)) {
        clew__metrics_escalation(clew__plan_receiver(run.route, run.place), "held", 1);
        return set_timer(db, run.route, run.webhooks[0], firing->now, &due);
    }
    if (run.route)
        clew__plan_reason(run.route, run.place, run.reason, sizeof(run.reason));
    r = run_step(db, &run);
    clew__applying_done(&run.applying);
    clew__subjects_done(&run.subjects);
    return r;
}

const struct clew__timer_ops clew__escalation_timer = {
    .kind = CLEW__ESCALATION_KIND, .confirms = true, .fire = fire};
