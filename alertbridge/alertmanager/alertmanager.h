/* SPDX-License-Identifier: Apache-2.0
 * The Alertmanagers whose API v2 is asked: the key "alertmanagers" of the
 * configuration. Each is an integration without a receiver, so clew__http_send() asks
 * it with its login and its TLS. */
#ifndef CLEW_ALERTBRIDGE_ALERTMANAGER_H
#define CLEW_ALERTBRIDGE_ALERTMANAGER_H

#include <config/config.h>

#define CLEW__ALERTMANAGERS_MAX 16

/* Reads the list into config->alertmanagers.
 * returns  0, -EINVAL, -ENOMEM; what was read is in config */
int clew__config_alertmanagers(struct clew__yaml_node root, struct clew__config *config);
void clew__alertmanagers_done(struct clew__config *config);

/* Who makes silences, in the order of the list: deliveries with the action "silence"
 * go to it (silence.c). */
extern const struct clew__receiver_ops clew__silencer;

/* Appends the matchers of a silence for alerts with these labels, as API v2 has them,
 * without those that a source of the configuration puts on (Alertmanager does not
 * know them).
 * returns  how many; -ENOMEM */
int clew__silence_matchers(const struct clew__config *config, const json_t *labels,
                           struct clew__buf *json);

/* Appends a silence as API v2 wants it. matchers: JSON. */
void clew__silence_body(struct clew__buf *json, const char *matchers, int64_t starts_at,
                        int64_t ends_at, const char *created_by, const char *comment);

#endif
