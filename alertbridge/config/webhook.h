/* SPDX-License-Identifier: Apache-2.0
 * The part of the configuration about who may send webhooks, and how. */
#ifndef CLEW_ALERTBRIDGE_CONFIG_WEBHOOK_H
#define CLEW_ALERTBRIDGE_CONFIG_WEBHOOK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml_tree.h>

#define CLEW__WEBHOOK_PATH "/api/v1/alertmanager"

/* What a sender may show; any one of them is enough. "" or NULL: not in use. */
struct clew__credentials {
    char *username, *password;
    char *bearer_token;
    char *hmac_secret;           /* of HMAC-SHA256 over the body, */
    char *hmac_timestamp_header; /* or over the header's text, ":" and the body */
    char *hmac_header;           /* where the signature stands, in hex */
    uint64_t hmac_tolerance_seconds;
};

/* Where webhooks of one origin arrive. */
struct clew__source {
    char *path;
    struct clew__credentials credentials; /* none: those of the first source */
    json_t *labels;                       /* put on each of its alerts; NULL: none */
};

struct clew__webhook {
    uint64_t max_body_bytes;
    struct clew__source *sources; /* the first: CLEW__WEBHOOK_PATH without labels */
    size_t nsources;
    char *certificate, *key, *client_ca; /* PEM; NULL: no TLS, no client certificates */
};

/* Reads the mapping; an absent one gives the defaults.
 * owner    clew__webhook_done(), also after a failure
 * returns  0, -EINVAL, -ENOMEM */
int clew__webhook_read(struct clew__yaml_node node, struct clew__webhook *webhook);
void clew__webhook_done(struct clew__webhook *webhook);

/* What a source's senders have to show. */
const struct clew__credentials *clew__webhook_credentials(const struct clew__webhook *webhook,
                                                          const struct clew__source *source);
/* Whether anything has to be shown. */
bool clew__credentials_any(const struct clew__credentials *credentials);

#endif
