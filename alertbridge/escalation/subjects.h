/* SPDX-License-Identifier: Apache-2.0
 * The alerts that a timer of escalation.c is about. */
#ifndef CLEW_ALERTBRIDGE_SUBJECTS_H
#define CLEW_ALERTBRIDGE_SUBJECTS_H

#include <store/apply_priv.h>

struct clew__subject {
    int64_t id, starts_at, webhook_id;
    bool firing, acknowledged;
    char fingerprint[CLEW__FINGERPRINT_MAX + 1];
    char *labels; /* JSON; of 10,000 alerts the texts are small, the trees are not */
};

struct clew__subjects {
    struct clew__subject *items;
    size_t n, room;
};

/* Adds the alerts that fired with a webhook. */
int clew__subjects_load(struct clew__db *db, int64_t webhook_id, struct clew__subjects *subjects);
/* Adds those that a storm's limit has held from a target (storms/). */
int clew__subjects_of_storm(struct clew__db *db, const char *target,
                            struct clew__subjects *subjects);
void clew__subjects_done(struct clew__subjects *subjects);

/* The labels that all of them have; the caller's. */
json_t *clew__subjects_common(const struct clew__subjects *subjects);

/* Makes a webhook for alerts of several, so that they are one page: a group of its own
 * with what they have in common. Fills group (its digest) and *ret_webhook_id.
 * args     name: tells this digest from others of the same time; title: what people
 *          read; webhook_id: one of theirs, for Alertmanager's address */
int clew__subjects_digest(struct clew__db *db, const struct clew__subjects *subjects,
                          const char *name, const char *title, int64_t webhook_id, int64_t now,
                          char ret_group[CLEW__DIGEST_TEXT], int64_t *ret_webhook_id);

#endif
