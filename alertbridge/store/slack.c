/* SPDX-License-Identifier: Apache-2.0
 * The bot's memory. An incident has one message at a time; the row says which, and
 * what the worst was that it has told. A note goes to the thread that was there
 * when it was queued, even if the incident has a newer message by then.
 *
 * A post is written down before it is made, because Slack has nothing to recognise
 * a repeat by: a row in slack_begun without a result is a post that may be there
 * already. Limits that Slack tells are kept here too, so neither a restart nor
 * another replica asks earlier than told. */
#include "slack.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const methods[] = {
    [CLEW__SLACK_POST] = "chat.postMessage",
    [CLEW__SLACK_UPDATE] = "chat.update",
    [CLEW__SLACK_HISTORY] = "conversations.history",
    [CLEW__SLACK_REPLIES] = "conversations.replies",
};

const char *clew__slack_method_text(enum clew__slack_method method)
{
    return methods[method];
}

int64_t clew__severity_rank(const char *severity)
{
    if (!*severity)
        return 0;
    if (strcmp(severity, "info") == 0 || strcmp(severity, "none") == 0 ||
        strcmp(severity, "low") == 0)
        return 1;
    return strcmp(severity, "warning") == 0 || strcmp(severity, "medium") == 0 ? 2 : 3;
}

/* ---- before an attempt ------------------------------------------------ */

static int recall_begun(struct clew__db *db, struct clew__slack_memory *memory)
{
    return clew__db_number(db, 0, &memory->begun_at,
                           "SELECT at FROM slack_begun WHERE delivery_id = ?1", "i",
                           memory->delivery->id);
}

static int recall_message(struct clew__db *db, struct clew__slack_memory *memory)
{
    bool note = memory->delivery->action == CLEW__ACTION_NOTE;
    struct clew__row *row =
        note ? clew__db_prepare(db,
                                "SELECT channel, ts, broadcast FROM slack_notes"
                                " WHERE delivery_id = ?1",
                                "i", memory->delivery->id)
             : clew__db_prepare(db,
                                "SELECT m.channel, m.ts, m.opened_at = i.opened_at AND m.ended = 0,"
                                " m.severity, m.firing FROM deliveries d"
                                " JOIN incidents i ON i.id = d.incident_id"
                                " JOIN slack_messages m ON m.incident_id = i.id WHERE d.id = ?1",
                                "i", memory->delivery->id);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r;
    memory->any = true;
    (void)snprintf(memory->channel, sizeof(memory->channel), "%s", clew__db_text(row, 0));
    (void)snprintf(memory->ts, sizeof(memory->ts), "%s", clew__db_text(row, 1));
    if (note) {
        memory->broadcast = clew__db_int(row, 2) != 0;
    } else {
        memory->current = clew__db_int(row, 2) != 0;
        memory->severity = clew__db_int(row, 3);
        memory->nfiring = clew__db_int(row, 4);
    }
    clew__db_reset(row);
    return 0;
}

static int recall_limits(struct clew__db *db, struct clew__slack_memory *memory)
{
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT method, until FROM slack_limits"
                                             " WHERE target = ?1 AND until > ?2",
                                             "si", memory->target, memory->now);
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1)
        for (unsigned i = 0; i < CLEW__SLACK_METHODS; i++)
            if (strcmp(clew__db_text(row, 0), methods[i]) == 0)
                memory->until[i] = clew__db_int(row, 1);
    clew__db_reset(row);
    return r;
}

int clew__slack_recall(struct clew__db *db, void *arg)
{
    struct clew__slack_memory *memory = arg;
    int r = recall_begun(db, memory);

    if (r == 0)
        r = recall_message(db, memory);
    return r == 0 ? recall_limits(db, memory) : r;
}

int clew__slack_begin(struct clew__db *db, void *arg)
{
    const struct clew__slack_begin *begin = arg;

    return clew__db_run(db,
                        "INSERT INTO slack_begun (delivery_id, at) VALUES (?1, ?2)"
                        " ON CONFLICT (delivery_id) DO NOTHING",
                        "ii", begin->delivery_id, begin->now);
}

/* ---- the incident as it is ------------------------------------------- */

/* The rank of the severity in the JSON of labels as it is stored: without spaces,
 * and a quote within a value has a backslash before it, so this is the member. */
static int64_t rank_of(const char *labels)
{
    static const char member[] = "\"severity\":\"";
    const char *at = strstr(labels, member);
    char word[32];

    if (!at)
        return 0;
    at += sizeof(member) - 1;
    (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(at, "\""), at);
    return clew__severity_rank(word);
}

static int take_alert(struct clew__slack_now *now, struct clew__row *row)
{
    size_t n = now->nalerts++;
    char *fingerprint = strdup(clew__db_text(row, 2)), *url = strdup(clew__db_text(row, 4));
    json_t *labels = json_loads(clew__db_text(row, 0), 0, NULL);
    json_t *annotations = json_loads(clew__db_text(row, 5), 0, NULL);

    now->owned[2 * n] = fingerprint;
    now->owned[2 * n + 1] = url;
    now->alerts[n] = (struct clew__page_alert){.firing = true,
                                               .fingerprint = fingerprint,
                                               .starts_at = clew__db_int(row, 3),
                                               .generator_url = url,
                                               .labels = labels,
                                               .annotations = annotations};
    return fingerprint && url && labels && annotations ? 0
                                                       : clew_set_error(-ENOMEM, "out of memory");
}

static int look_at_alerts(struct clew__db *db, struct clew__slack_now *now)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT a.labels, coalesce(k.at, 0), a.fingerprint, a.starts_at, a.generator_url,"
        " a.annotations FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id"
        " LEFT JOIN acks k ON k.alert_id = a.id WHERE m.incident_id = ?1 AND m.open = 1"
        " ORDER BY a.id",
        "i", now->incident_id);
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        int64_t rank = rank_of(clew__db_text(row, 0));

        now->nfiring++;
        now->nacknowledged += clew__db_int(row, 1) != 0;
        now->severity = rank > now->severity ? rank : now->severity;
        if (now->nalerts < CLEW__PAGE_ALERTS_MAX && take_alert(now, row) < 0)
            r = -ENOMEM;
    }
    clew__db_reset(row);
    return r;
}

static int look_at_actors(struct clew__db *db, struct clew__slack_now *now)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT k.actor, min(k.at) FROM incident_alerts m JOIN acks k ON k.alert_id = m.alert_id"
        " WHERE m.incident_id = ?1 AND m.open = 1 GROUP BY k.actor ORDER BY min(k.at) LIMIT 5",
        "i", now->incident_id);
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1)
        clew__buf_addf(&now->actors, "%s%s", now->actors.len ? ", " : "", clew__db_text(row, 0));
    clew__db_reset(row);
    return r;
}

static int look_at_silence(struct clew__db *db, struct clew__slack_now *now)
{
    struct clew__row *row =
        clew__db_prepare(db,
                         "SELECT ends_at, created_by FROM silences"
                         " WHERE incident_id = ?1 AND ends_at > ?2 AND silence_id <> ''"
                         " ORDER BY ends_at DESC LIMIT 1",
                         "ii", now->incident_id, now->now);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r;
    now->silenced_until = clew__db_int(row, 0);
    (void)snprintf(now->silenced_by, sizeof(now->silenced_by), "%s", clew__db_text(row, 1));
    clew__db_reset(row);
    return 0;
}

static int look_at_incident(struct clew__db *db, struct clew__slack_now *now)
{
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT i.id, i.dedup_key FROM deliveries d"
                                             " JOIN incidents i ON i.id = d.incident_id"
                                             " WHERE d.id = ?1",
                                             "i", now->delivery->id);
    int64_t paged = 0;
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r < 0 ? r : clew_set_error(-ENOENT, "the store: a delivery is missing");
    now->incident_id = clew__db_int(row, 0);
    (void)snprintf(now->dedup_key, sizeof(now->dedup_key), "%s", clew__db_text(row, 1));
    clew__db_reset(row);
    r = clew__db_number(db, 0, &paged,
                        "SELECT 1 FROM incident_alerts m"
                        " JOIN incident_alerts o ON o.alert_id = m.alert_id AND o.open = 1"
                        " JOIN incidents i ON i.id = o.incident_id"
                        " WHERE m.incident_id = ?1 AND m.open = 1 AND i.kind = 'pagerduty'"
                        " AND i.open = 1 LIMIT 1",
                        "i", now->incident_id);
    now->paged = paged != 0;
    return r;
}

int clew__slack_look(struct clew__db *db, void *arg)
{
    struct clew__slack_now *now = arg;
    int r = look_at_incident(db, now);

    if (r == 0)
        r = look_at_alerts(db, now);
    if (r == 0)
        r = look_at_actors(db, now);
    return r == 0 ? look_at_silence(db, now) : r;
}

void clew__slack_now_done(struct clew__slack_now *now)
{
    for (size_t i = 0; i < now->nalerts; i++) {
        free(now->owned[2 * i]);
        free(now->owned[2 * i + 1]);
        json_decref(now->alerts[i].labels);
        json_decref(now->alerts[i].annotations);
    }
    clew__buf_done(&now->actors);
}

/* ---- what an attempt leaves behind ------------------------------------ */

#define INSERT_DELIVERY                                                             \
    "INSERT INTO deliveries (webhook_id, incident_id, target, order_key, receiver," \
    " kind, action, alert_ids, fired, resolved, firing, created_at, next_attempt_at, note) "

/* The thread of the incident's message is where a note goes. */
static int address_note(struct clew__db *db, int64_t note_id, bool broadcast)
{
    return clew__db_run(db,
                        "INSERT INTO slack_notes (delivery_id, channel, ts, broadcast)"
                        " SELECT d.id, m.channel, m.ts, ?2 FROM deliveries d"
                        " JOIN slack_messages m ON m.incident_id = d.incident_id WHERE d.id = ?1",
                        "ii", note_id, (int64_t)broadcast);
}

static int queue_change(struct clew__db *db, const struct clew__slack_result *result)
{
    int64_t id = 0;
    int r = clew__db_number(db, 0, &id,
                            INSERT_DELIVERY
                            "SELECT webhook_id, incident_id, target, order_key, receiver, kind,"
                            " 'note', alert_ids, fired, resolved, firing, ?2, ?2, ?3"
                            " FROM deliveries WHERE id = ?1"
                            " AND (action <> 'update' OR note <> '') RETURNING id",
                            "iis", result->delivery_id, result->now, result->note);

    return r == 0 && id ? address_note(db, id, result->broadcast) : r;
}

static int record_message(struct clew__db *db, const struct clew__slack_result *result)
{
    return clew__db_run(
        db,
        "INSERT INTO slack_messages (incident_id, opened_at, channel, ts, severity, firing, ended)"
        " SELECT i.id, i.opened_at, ?2, ?3, ?4, ?5, ?6 FROM deliveries d"
        " JOIN incidents i ON i.id = d.incident_id WHERE d.id = ?1"
        " ON CONFLICT (incident_id) DO UPDATE SET opened_at = excluded.opened_at,"
        " channel = excluded.channel, ts = excluded.ts, severity = excluded.severity,"
        " firing = excluded.firing, ended = excluded.ended",
        "issiii", result->delivery_id, result->channel, result->ts, result->severity,
        result->nfiring, (int64_t)result->over);
}

static int record_update(struct clew__db *db, const struct clew__slack_result *result)
{
    int r = clew__db_run(db,
                         "UPDATE slack_messages SET severity = ?2, firing = ?3, ended = ?4"
                         " WHERE incident_id = (SELECT incident_id FROM deliveries WHERE id = ?1)",
                         "iiii", result->delivery_id, result->severity, result->nfiring,
                         (int64_t)result->over);

    return r == 0 ? queue_change(db, result) : r;
}

int clew__slack_record(struct clew__db *db, void *arg)
{
    const struct clew__slack_result *result = arg;
    int r = 0;

    if (result->limited_until)
        r = clew__db_run(db,
                         "INSERT INTO slack_limits (target, method, until) VALUES (?1, ?2, ?3)"
                         " ON CONFLICT (target, method) DO UPDATE SET until = excluded.until"
                         " WHERE slack_limits.until < excluded.until",
                         "ssi", result->target, methods[result->method], result->limited_until);
    if (r == 0 && result->settled)
        r = clew__db_run(db, "DELETE FROM slack_begun WHERE delivery_id = ?1", "i",
                         result->delivery_id);
    if (r == 0 && result->lost)
        r = clew__db_run(db,
                         "UPDATE slack_messages SET ts = '' WHERE incident_id ="
                         " (SELECT incident_id FROM deliveries WHERE id = ?1)",
                         "i", result->delivery_id);
    if (r == 0 && result->posted)
        r = record_message(db, result);
    if (r == 0 && result->updated)
        r = record_update(db, result);
    if (r == 0 && result->ask)
        r = clew__db_run(db,
                         INSERT_DELIVERY
                         "SELECT webhook_id, incident_id, ?2, ?2 || '/' || dedup_key, d.receiver,"
                         " ?3, 'lines', alert_ids, fired, resolved, firing, ?4, ?4, ''"
                         " FROM deliveries d JOIN incidents i ON i.id = d.incident_id"
                         " WHERE d.id = ?1",
                         "issi", result->delivery_id, result->ask->target, result->ask->ops->kind,
                         result->now);
    return r;
}

int clew__slack_say(struct clew__db *db, void *arg)
{
    const struct clew__slack_say *say = arg;
    int64_t id = 0;
    int r = clew__db_number(
        db, 0, &id,
        INSERT_DELIVERY
        "SELECT d.webhook_id, i.id, i.target, i.target || '/' || i.dedup_key, i.receiver, i.kind,"
        " 'note', '[]', 0, 0, 0, ?2, ?2, ?3 FROM deliveries d"
        " JOIN incidents i ON i.id = d.incident_id"
        " JOIN slack_messages m ON m.incident_id = i.id AND m.ts <> ''"
        " WHERE d.id = ?1 RETURNING id",
        "iis", say->delivery_id, say->now, say->text);

    return r == 0 && id ? address_note(db, id, false) : r;
}
