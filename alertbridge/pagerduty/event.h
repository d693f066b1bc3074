/* SPDX-License-Identifier: Apache-2.0
 * What PagerDuty posts when somebody did something about an incident (webhooks v3).
 * Pure functions; MT-Safe. Source: PagerDuty's developer documentation, "Webhooks,
 * Overview" and "Verifying Signatures". */
#ifndef CLEW_ALERTBRIDGE_PAGERDUTY_EVENT_H
#define CLEW_ALERTBRIDGE_PAGERDUTY_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEW__PAGERDUTY_EVENT_MAX (512u << 10) /* bytes of a body; PagerDuty's end at 256 KB */

enum clew__pagerduty_event_kind {
    CLEW__PAGERDUTY_OTHER, /* nothing to do */
    CLEW__PAGERDUTY_ACKNOWLEDGED,
    CLEW__PAGERDUTY_UNACKNOWLEDGED,
    CLEW__PAGERDUTY_RESOLVED,
    CLEW__PAGERDUTY_REOPENED,
};

struct clew__pagerduty_event {
    enum clew__pagerduty_event_kind kind;
    char id[129];        /* the same when it is delivered again */
    char type[65];       /* "incident.acknowledged" */
    char dedup_key[256]; /* of the incident; "" for OTHER */
    char person[160];    /* "Bob (PagerDuty PXPGF42)", or "PagerDuty" */
    int64_t occurred_at; /* ns */
    bool echo;           /* an integration did it: this program, most likely */
};

/* Whether a body is PagerDuty's: one of the header's "v1=<hex>" is its HMAC-SHA256 by one
 * of the secrets (NULL-terminated). header may be NULL: false. The comparisons take the
 * same time for any signature. */
bool clew__pagerduty_verify(char *const *secrets, const char *header, const char *body, size_t len);

/* returns  0; -EINVAL, clew_last_error() says what is wrong */
int clew__pagerduty_read_event(const char *body, size_t len, struct clew__pagerduty_event *ret);

#endif
