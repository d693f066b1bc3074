/* SPDX-License-Identifier: Apache-2.0
 * What one delivery tells: the group, the alerts that changed, the counts. It
 * is put together from the store at the moment of sending; receivers and
 * templates only read it. */
#ifndef CLEW_ALERTBRIDGE_PAGE_H
#define CLEW_ALERTBRIDGE_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many changed alerts are spelt out in one page; the others are counted. */
#define CLEW__PAGE_ALERTS_MAX 20u

struct clew__page_alert {
    bool firing;
    int64_t starts_at, ends_at; /* ends_at 0: unknown or still firing */
    const char *fingerprint;
    const char *generator_url; /* "" for none */
    json_t *labels;            /* objects of strings */
    json_t *annotations;
};

/* What a delivery does: a page about what fires (and ended) now; the end of
 * everything that it is about; somebody has it in hand; what is there already is
 * to be shown as it is now; something is said in a message's thread; Alertmanager is
 * asked for a silence; Loki is asked for lines. */
#define CLEW__ACTION_MAP(X)       \
    X(TRIGGER, "trigger")         \
    X(RESOLVE, "resolve")         \
    X(ACKNOWLEDGE, "acknowledge") \
    X(UPDATE, "update")           \
    X(NOTE, "note")               \
    X(SILENCE, "silence")         \
    X(LINES, "lines")

enum clew__action {
#define X(name, text) CLEW__ACTION_##name,
    CLEW__ACTION_MAP(X)
#undef X
};

/* "trigger" and so on, and back; a word that is none is an update. */
const char *clew__action_text(enum clew__action action);
enum clew__action clew__action_of(const char *text);

struct clew__page {
    enum clew__action action;
    const char *note; /* why it comes, when that is no change of an alert; "" for none. Of
                         CLEW__ACTION_NOTE: what is said, in Slack's markup */
    int64_t id;       /* of the delivery: the same at every attempt */
    const char *dedup_key;
    int64_t opened_at;     /* when the incident began, or the group first fired */
    const char *group_key; /* Alertmanager's, cut at 1024 characters */
    const char *receiver;
    const char *external_url; /* Alertmanager's, "" for none */
    json_t *group_labels;     /* objects of strings */
    json_t *common_labels;
    json_t *common_annotations;
    const struct clew__page_alert *alerts; /* the changed ones: fired, then resolved */
    size_t nalerts;
    uint64_t nfired, nresolved; /* how many changed; may be more than nalerts */
    uint64_t nfiring;           /* how many fire now, as far as the store knows */
    uint64_t ntruncated;        /* how many Alertmanager left out of its message */
};

/* A label's text in an object of strings, "" when it is not there. Borrowed. */
static inline const char *clew__page_value(const json_t *map, const char *name)
{
    const char *text = json_string_value(json_object_get(map, name));

    return text ? text : "";
}

/* The value of a label that all alerts of the page share, "" otherwise. */
const char *clew__page_shared(const struct clew__page *page, bool annotation, const char *name);
/* When what the page is about began: the first of its alerts (ns). */
int64_t clew__page_starts_at(const struct clew__page *page);
/* When the last of them ended; now, while one fires. */
int64_t clew__page_ends_at(const struct clew__page *page);
/* How bad it is, for colours: by the severity that all share; what is unknown is bad. */
enum clew__tone { CLEW__TONE_GOOD, CLEW__TONE_INFO, CLEW__TONE_WARNING, CLEW__TONE_DANGER };
enum clew__tone clew__page_tone(const struct clew__page *page);

/* The page's alertname: of the group, common, or of the first alert; never "". */
const char *clew__page_name(const struct clew__page *page);

#endif
