/* SPDX-License-Identifier: Apache-2.0
 * A click in Slack: its proof, its form, its payload. Pure functions; MT-Safe. */
#ifndef CLEW_ALERTBRIDGE_SLACK_INTERACTION_H
#define CLEW_ALERTBRIDGE_SLACK_INTERACTION_H

#include <common/digest.h>

#include <stdint.h>

#define CLEW__SLACK_INTERACTION_MAX (256u << 10) /* bytes of a body */
#define CLEW__SLACK_TOLERANCE_S 300

enum clew__slack_click_kind {
    CLEW__SLACK_CLICK_NONE, /* nothing to do: a link, or a button of somebody else */
    CLEW__SLACK_CLICK_ACKNOWLEDGE,
    CLEW__SLACK_CLICK_SILENCE,
    CLEW__SLACK_CLICK_RESOLVE,
};

struct clew__slack_click {
    enum clew__slack_click_kind kind;
    unsigned hours;              /* of a silence */
    char key[CLEW__DIGEST_TEXT]; /* the same for the same click */
    char user_id[32];
    char person[160]; /* "alice (Slack U123)" */
    int64_t incident_id;
    char dedup_key[CLEW__DIGEST_TEXT]; /* of the incident, as the button has it */
};

/* Whether a body is Slack's: "v0=" and the HMAC of "v0:<timestamp>:<body>", and the
 * timestamp (unix seconds) near now. Any of the texts may be NULL: false. The
 * comparison takes the same time for any signature. */
bool clew__slack_verify(const char *secret, const char *timestamp, const char *signature,
                        const char *body, size_t len, int64_t now);

/* Reads a form that has one payload with one click.
 * returns  0; -EINVAL, clew_last_error() says what is wrong; -ENOMEM */
int clew__slack_read_click(const char *body, size_t len, struct clew__slack_click *ret);

/* What a button of an incident gives back. */
#define CLEW__SLACK_BUTTON_MAX 96u
void clew__slack_button(int64_t incident_id, const char *dedup_key,
                        char ret[CLEW__SLACK_BUTTON_MAX]);

#endif
