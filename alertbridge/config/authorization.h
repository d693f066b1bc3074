/* SPDX-License-Identifier: Apache-2.0
 * How the bridge shows who it is where it asks or tells by HTTP. */
#ifndef CLEW_ALERTBRIDGE_CONFIG_AUTHORIZATION_H
#define CLEW_ALERTBRIDGE_CONFIG_AUTHORIZATION_H

#include <yaml_tree.h>

/* The value of the header Authorization from a mapping's basic_auth or authorization
 * (Alertmanager's keys); NULL when it has neither.
 * owner    free(), also after a failure
 * returns  0, -EINVAL, -ENOMEM */
int clew__config_authorization(struct clew__yaml_node mapping, char **ret_value);

/* Files for TLS, each "" for none: who is believed, and who the bridge is. */
struct clew__tls_files {
    char *ca_file, *cert_file, *key_file;
};
/* From a mapping's tls_config; an absent one gives "". As above. */
int clew__config_tls(struct clew__yaml_node mapping, struct clew__tls_files *tls);
void clew__tls_files_done(struct clew__tls_files *tls);

#endif
