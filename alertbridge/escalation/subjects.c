/* SPDX-License-Identifier: Apache-2.0
 * See subjects.h. In the writer's thread, like all that changes the store. */
#include "subjects.h"

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct clew__subject *add(struct clew__subjects *subjects)
{
    if (subjects->n == subjects->room) {
        size_t room = subjects->room ? subjects->room * 2 : 16;
        struct clew__subject *longer = realloc(subjects->items, room * sizeof(*longer));

        if (!longer)
            return NULL;
        subjects->items = longer;
        subjects->room = room;
    }
    return &subjects->items[subjects->n];
}

#define SELECT \
    "SELECT a.id, a.starts_at, a.status, a.fingerprint, a.labels, k.alert_id, a.webhook_id"

/* Adds all rows of a SELECT. */
static int load(struct clew__db *db, struct clew__row *row, struct clew__subjects *subjects)
{
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        struct clew__subject *subject = add(subjects);
        char *labels = subject ? strdup(clew__db_text(row, 4)) : NULL;

        if (!labels) {
            r = clew_set_error(-ENOMEM, "out of memory");
            break;
        }
        *subject = (struct clew__subject){.id = clew__db_int(row, 0),
                                          .starts_at = clew__db_int(row, 1),
                                          .firing = strcmp(clew__db_text(row, 2), "firing") == 0,
                                          .acknowledged = clew__db_int(row, 5) != 0,
                                          .webhook_id = clew__db_int(row, 6),
                                          .labels = labels};
        (void)snprintf(subject->fingerprint, sizeof(subject->fingerprint), "%s",
                       clew__db_text(row, 3));
        subjects->n++;
    }
    clew__db_reset(row);
    return r;
}

int clew__subjects_load(struct clew__db *db, int64_t webhook_id, struct clew__subjects *subjects)
{
    return load(db,
                clew__db_prepare(db,
                                 SELECT " FROM alerts a LEFT JOIN acks k ON k.alert_id = a.id"
                                        " WHERE a.webhook_id = ?1 ORDER BY a.id",
                                 "i", webhook_id),
                subjects);
}

int clew__subjects_of_storm(struct clew__db *db, const char *target,
                            struct clew__subjects *subjects)
{
    return load(db,
                clew__db_prepare(db,
                                 SELECT " FROM storm_alerts s JOIN alerts a ON a.id = s.alert_id"
                                        " LEFT JOIN acks k ON k.alert_id = a.id"
                                        " WHERE s.target = ?1 ORDER BY a.id",
                                 "s", target),
                subjects);
}

void clew__subjects_done(struct clew__subjects *subjects)
{
    for (size_t i = 0; i < subjects->n; i++)
        free(subjects->items[i].labels);
    free(subjects->items);
}

/* Keeps in common what other has too. */
static void intersect(json_t *common, json_t *other)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(common, next, key, value)
    {
        if (!json_equal(value, json_object_get(other, key)))
            json_object_del(common, key);
    }
}

json_t *clew__subjects_common(const struct clew__subjects *subjects)
{
    json_t *common = NULL;

    for (size_t i = 0; i < subjects->n; i++) {
        json_t *labels = json_loads(subjects->items[i].labels, 0, NULL);

        if (!common)
            common = json_incref(labels);
        else
            intersect(common, labels);
        json_decref(labels);
    }
    return common ? common : json_object();
}

int clew__subjects_digest(struct clew__db *db, const struct clew__subjects *subjects,
                          const char *name, const char *title, int64_t webhook_id, int64_t now,
                          char ret_group[CLEW__DIGEST_TEXT], int64_t *ret_webhook_id)
{
    json_t *labels = clew__subjects_common(subjects),
           *group = json_pack("{s:s}", "alertname", title);
    char *common = json_dumps(labels, JSON_COMPACT | JSON_SORT_KEYS), at[24];
    char *group_labels = group ? json_dumps(group, JSON_COMPACT) : NULL;
    int r = -ENOMEM;

    json_decref(labels);
    json_decref(group);
    (void)snprintf(at, sizeof(at), "%lld", (long long)now);
    clew__digest((const char *const[]){"digest", name, at}, 3, ret_group);
    if (common && group_labels)
        r = clew__db_number(db, 0, ret_webhook_id,
                            "INSERT INTO webhooks (received_at, group_digest, group_key,"
                            " sender_receiver, external_url, group_labels, common_labels,"
                            " common_annotations, truncated, request_id, correlation_id,"
                            " traceparent) SELECT ?1, ?2, 'digest', '', external_url,"
                            " ?5, ?3, '{}', 0, '', '', ''"
                            " FROM webhooks WHERE id = ?4 RETURNING id",
                            "issis", now, ret_group, common, webhook_id, group_labels);
    free(common);
    free(group_labels);
    return r;
}
