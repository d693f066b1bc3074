/* SPDX-License-Identifier: Apache-2.0
 * One webhook body of Alertmanager (payload version "4"), checked. */
#ifndef CLEW_ALERTBRIDGE_NOTIFICATION_H
#define CLEW_ALERTBRIDGE_NOTIFICATION_H

#include <common/digest.h>

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEW__FINGERPRINT_MAX 64u

/* What the store made of an alert (store/apply.c). */
#define CLEW__CHANGE_MAP(X)                                                 \
    X(NONE, "known already")                                                \
    X(FIRED, "fires, was not known")                                        \
    X(REFIRED, "fires again after it was resolved")                         \
    X(RESOLVED, "resolved")                                                 \
    X(LATE, "said to fire, but was reported as resolved by another sender") \
    X(STRAY, "resolved, but was never seen firing")

enum clew__change {
#define X(name, text) CLEW__CHANGE_##name,
    CLEW__CHANGE_MAP(X)
#undef X
};

/* Borrowed from the notification, except where said. */
struct clew__alert {
    bool firing;
    const char *fingerprint;
    int64_t starts_at, ends_at; /* ns; ends_at 0 while it fires */
    const char *generator_url;
    json_t *labels, *annotations;
    /* filled when it is applied */
    enum clew__change change;
    unsigned npages;
    /* when alerts are read one at a time: */
    const char *text;
    size_t len;
    json_t *own;
};

struct clew__notification {
    json_t *root; /* owns everything below */
    json_t *group_labels, *common_labels, *common_annotations;
    const char *group_key;
    const char *receiver; /* Alertmanager's, "" when absent */
    const char *external_url;
    char group[CLEW__DIGEST_TEXT];  /* digest of group_key */
    char source[CLEW__DIGEST_TEXT]; /* which Alertmanager, receiver and group sent it */
    uint64_t ntruncated;
    struct clew__alert *alerts;
    size_t nalerts;
    bool lean;    /* alerts are read one at a time */
    char *pinned; /* texts that clew__notification_pin() made */
    json_t *pin;  /* and for the alerts to come: the labels, */
    char *pin_text;
};

/* args     body: len bytes, need not end in NUL
 * owner    clew__notification_done()
 * returns  0; -EINVAL: clew_last_error() names the place, nothing is held then;
 *          -ENOMEM */
int clew__notification_parse(struct clew__notification *notification, const char *body, size_t len);
/* The same for a body that clew__notification_check() knows, but the alerts are read one
 * at a time: between clew__notification_open() and close(), in which alone their labels
 * and texts are there. A tree of ten thousand alerts would be dozens of megabytes. The
 * caller keeps body until clew__notification_done(). */
int clew__notification_parse_lean(struct clew__notification *notification, const char *body,
                                  size_t len);
/* Nothing but for clew__notification_parse_lean(). returns 0, -ENOMEM: no close() */
int clew__notification_open(struct clew__notification *notification, size_t i);
void clew__notification_close(struct clew__notification *notification, size_t i);
/* Puts labels on every alert, over its own, and makes alerts and groups different
 * from those with the same names and other labels: the fingerprint gets 8 digits
 * more. labels is copied; it is kept as an object of strings.
 * returns  0, -ENOMEM */
int clew__notification_pin(struct clew__notification *notification, json_t *labels);
void clew__notification_done(struct clew__notification *notification);

const char *clew__change_text(enum clew__change change);

#endif
