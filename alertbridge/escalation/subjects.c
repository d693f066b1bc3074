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

int clew__subjects_load(struct clew__db *db, int64_t webhook_id, struct clew__subjects *subjects)
{
    struct clew__row *row =
        clew__db_prepare(db,
                         "SELECT a.id, a.starts_at, a.status, a.fingerprint, a.labels, k.alert_id"
                         " FROM alerts a LEFT JOIN acks k ON k.alert_id = a.id"
                         " WHERE a.webhook_id = ?1 ORDER BY a.id",
                         "i", webhook_id);
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
                                          .labels = labels};
        (void)snprintf(subject->fingerprint, sizeof(subject->fingerprint), "%s",
                       clew__db_text(row, 3));
        subjects->n++;
    }
    clew__db_reset(row);
    return r;
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

static json_t *common_labels(const struct clew__subjects *subjects)
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
                          const char *name, int64_t webhook_id, int64_t now,
                          char ret_group[CLEW__DIGEST_TEXT], int64_t *ret_webhook_id)
{
    json_t *labels = common_labels(subjects);
    char *common = json_dumps(labels, JSON_COMPACT | JSON_SORT_KEYS), at[24];
    int r = -ENOMEM;

    json_decref(labels);
    (void)snprintf(at, sizeof(at), "%lld", (long long)now);
    clew__digest((const char *const[]){"digest", name, at}, 3, ret_group);
    if (common)
        r = clew__db_number(db, 0, ret_webhook_id,
                            "INSERT INTO webhooks (received_at, group_digest, group_key,"
                            " sender_receiver, external_url, group_labels, common_labels,"
                            " common_annotations, truncated, request_id, correlation_id,"
                            " traceparent) SELECT ?1, ?2, 'digest', '', external_url,"
                            " '{\"alertname\":\"Digest\"}', ?3, '{}', 0, '', '', ''"
                            " FROM webhooks WHERE id = ?4 RETURNING id",
                            "issi", now, ret_group, common, webhook_id);
    free(common);
    return r;
}
