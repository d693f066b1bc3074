/* SPDX-License-Identifier: Apache-2.0
 * Credentials become the header's value once, when the configuration is read. They
 * are never part of an error. MT-Unsafe, as the tree is. */
#include "authorization.h"

#include "config.h"

#include <clew/log.h>

#include <base64.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "scheme rest", which has to be one line. */
static int set_value(char **ret_value, struct clew__yaml_node node, const char *scheme,
                     const char *rest)
{
    size_t len = strlen(scheme) + strlen(rest) + 2;
    char *text = malloc(len);

    if (!text)
        return clew_set_error(-ENOMEM, "out of memory");
    (void)snprintf(text, len, "%s %s", scheme, rest);
    *ret_value = text;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7F)
            return clew__yaml_error(node, "a control character in a credential");
    return 0;
}

static int read_basic_auth(char **ret_value, struct clew__yaml_node node)
{
    static const char *const basic_keys[] = {"username", "password", "password_file", NULL};
    char *username = NULL, *password = NULL, *pair = NULL, *text = NULL;
    int r = clew__yaml_keys(node, basic_keys);

    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "username"), 256, "", &username);
    if (r == 0)
        r = clew__config_secret(node, "password", "password_file", &password);
    if (r == 0 && (!*username || !*password || strchr(username, ':')))
        r = clew__yaml_error(node, "username or password is empty, or the username has a colon");
    if (r == 0) {
        size_t len = strlen(username) + strlen(password) + 1;

        pair = malloc(len + 1);
        text = malloc(CLEW__BASE64_MAX(len) + 1);
        if (pair && text) {
            (void)snprintf(pair, len + 1, "%s:%s", username, password);
            *clew__put_base64(text, pair, len) = '\0';
        }
        r = pair && text ? set_value(ret_value, node, "Basic", text)
                         : clew_set_error(-ENOMEM, "out of memory");
    }
    free(username);
    free(password);
    free(pair);
    free(text);
    return r;
}

static int read_authorization(char **ret_value, struct clew__yaml_node node)
{
    static const char *const authorization_keys[] = {"type", "credentials", "credentials_file",
                                                     NULL};
    char *type = NULL, *credentials = NULL;
    int r = clew__yaml_keys(node, authorization_keys);

    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "type"), 64, "Bearer", &type);
    if (r == 0)
        r = clew__config_secret(node, "credentials", "credentials_file", &credentials);
    if (r == 0 && (!*type || !*credentials))
        r = clew__yaml_error(node, "type or credentials are empty");
    if (r == 0)
        r = set_value(ret_value, node, type, credentials);
    free(type);
    free(credentials);
    return r;
}

int clew__config_authorization(struct clew__yaml_node mapping, char **ret_value)
{
    struct clew__yaml_node basic = clew__yaml_get(mapping, "basic_auth");
    struct clew__yaml_node authorization = clew__yaml_get(mapping, "authorization");

    if (basic.node && authorization.node)
        return clew__yaml_error(mapping, "basic_auth and authorization exclude each other");
    if (basic.node)
        return read_basic_auth(ret_value, basic);
    return authorization.node ? read_authorization(ret_value, authorization) : 0;
}

int clew__config_tls(struct clew__yaml_node mapping, struct clew__tls_files *tls)
{
    static const char *const keys[] = {"ca_file", "cert_file", "key_file", NULL};
    struct clew__yaml_node node = clew__yaml_get(mapping, "tls_config");
    char **const files[] = {&tls->ca_file, &tls->cert_file, &tls->key_file};
    int r = node.node ? clew__yaml_keys(node, keys) : 0;

    for (unsigned i = 0; i < 3 && r == 0; i++)
        r = clew__yaml_text(node.node ? clew__yaml_get(node, keys[i]) : node, 4096, "", files[i]);
    if (r == 0 && !*tls->cert_file != !*tls->key_file)
        r = clew__yaml_error(node, "cert_file and key_file need each other");
    return r;
}

void clew__tls_files_done(struct clew__tls_files *tls)
{
    free(tls->ca_file);
    free(tls->cert_file);
    free(tls->key_file);
}
