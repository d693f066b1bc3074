/* SPDX-License-Identifier: Apache-2.0
 * Credentials, sources and TLS of the intake. What would leave the intake open by
 * mistake is an error: an empty secret, a source that nobody can tell from another.
 * MT-Unsafe, as the tree is; the result is immutable. */
#include "webhook.h"

#include "config.h"

#include <clew/log.h>

#include <ctype.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_DEFAULT (32u << 20)
#define SOURCES_MAX 1000
#define LABELS_MAX 32
#define PEM_MAX (1u << 20)
#define CREDENTIAL_KEYS "basic_auth", "bearer_token", "bearer_token_file", "hmac"

static bool has(const char *text)
{
    return text && *text;
}

bool clew__credentials_any(const struct clew__credentials *credentials)
{
    return has(credentials->username) || has(credentials->bearer_token) ||
           has(credentials->hmac_secret);
}

const struct clew__credentials *clew__webhook_credentials(const struct clew__webhook *webhook,
                                                          const struct clew__source *source)
{
    return clew__credentials_any(&source->credentials) ? &source->credentials
                                                       : &webhook->sources[0].credentials;
}

static int read_basic(struct clew__yaml_node node, struct clew__credentials *credentials)
{
    static const char *const keys[] = {"username", "password", "password_file", NULL};
    int r = clew__yaml_keys(node, keys);

    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "username"), 256, "", &credentials->username);
    if (r == 0)
        r = clew__config_secret(node, "password", "password_file", &credentials->password);
    /* Empty means open to everybody: nobody who writes basic_auth wants that. */
    if (r == 0 && (!*credentials->username || !*credentials->password))
        r = clew__yaml_error(node, "username or password is empty");
    return r;
}

/* A header's name (RFC 9110, section 5.6.2); "" where it may be absent. */
static int read_header(struct clew__yaml_node node, const char *fallback, char **ret_name)
{
    int r = clew__yaml_text(node, 128, fallback, ret_name);

    for (const char *c = r == 0 ? *ret_name : ""; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
            return clew__yaml_error(node, "not the name of a header");
    return r;
}

static int read_hmac(struct clew__yaml_node node, struct clew__credentials *credentials)
{
    static const char *const keys[] = {"secret",           "secret_file",       "header",
                                       "timestamp_header", "tolerance_seconds", NULL};
    int r = clew__yaml_keys(node, keys);

    credentials->hmac_tolerance_seconds = 300;
    if (r == 0)
        r = clew__config_secret(node, "secret", "secret_file", &credentials->hmac_secret);
    if (r == 0)
        r = read_header(clew__yaml_get(node, "header"), "X-Grafana-Alerting-Signature",
                        &credentials->hmac_header);
    if (r == 0)
        r = read_header(clew__yaml_get(node, "timestamp_header"), "",
                        &credentials->hmac_timestamp_header);
    if (r == 0)
        r = clew__yaml_uint(clew__yaml_get(node, "tolerance_seconds"), 1, 86400,
                            &credentials->hmac_tolerance_seconds);
    if (r == 0 && (!*credentials->hmac_secret || !*credentials->hmac_header))
        r = clew__yaml_error(node, "secret or header is empty");
    return r;
}

static int read_credentials(struct clew__yaml_node node, struct clew__credentials *credentials)
{
    struct clew__yaml_node basic = clew__yaml_get(node, "basic_auth");
    struct clew__yaml_node hmac = clew__yaml_get(node, "hmac");
    struct clew__yaml_node token = clew__yaml_get(node, "bearer_token");
    int r =
        clew__config_secret(node, "bearer_token", "bearer_token_file", &credentials->bearer_token);

    if (!token.node)
        token = clew__yaml_get(node, "bearer_token_file");
    if (r == 0 && token.node && !*credentials->bearer_token)
        r = clew__yaml_error(token, "the bearer token is empty");
    if (r == 0 && basic.node)
        r = read_basic(basic, credentials);
    return r == 0 && hmac.node ? read_hmac(hmac, credentials) : r;
}

static int read_labels(struct clew__yaml_node node, struct clew__source *source)
{
    struct clew__yaml_node key, value;
    int n = clew__yaml_pairs(node, LABELS_MAX), r = 0;

    if (n <= 0)
        return node.node && n == 0 ? clew__yaml_error(node, "expected labels (name: value)") : n;
    source->labels = json_object();
    for (int i = 0; i < n && r == 0; i++) {
        char *name = NULL, *text = NULL;

        key = clew__yaml_pair(node, i, &value);
        r = clew__yaml_text(key, 128, NULL, &name);
        if (r == 0 && !clew__is_label(name))
            r = clew__yaml_error(key, "not the name of a label");
        if (r == 0)
            r = clew__yaml_text(value, 1024, NULL, &text);
        if (r == 0 && !has(text))
            r = clew__yaml_error(key, "the label is empty");
        if (r == 0 && json_object_set_new(source->labels, name, json_string(text)) != 0)
            r = clew_set_error(-ENOMEM, "out of memory");
        free(name);
        free(text);
    }
    return r;
}

static int read_path(struct clew__yaml_node node, struct clew__source *source)
{
    int r = clew__yaml_text(node, 512, CLEW__WEBHOOK_PATH, &source->path);
    const char *path = source->path;

    if (r < 0)
        return r;
    for (const char *c = path; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("/-._~", *c))
            return clew__yaml_error(node, "a path has letters, digits and / - . _ ~");
    if (path[0] != '/' || !path[1] || strcmp(path, "/api/v1/alerts") == 0 ||
        strcmp(path, "/api/v1/deliveries") == 0)
        return clew__yaml_error(node, "the path is no path, or is taken");
    return 0;
}

static int read_source(struct clew__yaml_node node, struct clew__webhook *webhook)
{
    static const char *const keys[] = {"path", "labels", CREDENTIAL_KEYS, NULL};
    struct clew__source *source = &webhook->sources[webhook->nsources++];
    int r = clew__yaml_keys(node, keys);

    if (r == 0)
        r = read_path(clew__yaml_get(node, "path"), source);
    if (r == 0)
        r = read_labels(clew__yaml_get(node, "labels"), source);
    if (r == 0)
        r = read_credentials(node, &source->credentials);
    if (r < 0 || clew__credentials_any(&source->credentials))
        return r;
    for (size_t i = 0; i + 1 < webhook->nsources; i++)
        if (strcmp(webhook->sources[i].path, source->path) == 0)
            return clew__yaml_error(node, "a source needs a path or credentials of its own");
    return 0;
}

static int read_sources(struct clew__yaml_node list, struct clew__webhook *webhook)
{
    int n = clew__yaml_count(list, SOURCES_MAX), r = 0;
    struct clew__source *longer;

    if (n <= 0)
        return n;
    longer = realloc(webhook->sources, ((size_t)n + 1) * sizeof(*longer));
    if (!longer)
        return clew_set_error(-ENOMEM, "out of memory");
    webhook->sources = longer;
    memset(longer + 1, 0, (size_t)n * sizeof(*longer));
    for (int i = 0; i < n && r == 0; i++)
        r = read_source(clew__yaml_entry(list, i), webhook);
    return r;
}

static int read_pem(struct clew__yaml_node node, char **ret_text)
{
    char *path = NULL, *text = calloc(1, PEM_MAX + 1);
    FILE *file;
    size_t len = 0;
    int r = clew__yaml_text(node, 4096, NULL, &path);

    if (r == 0 && !text)
        r = clew_set_error(-ENOMEM, "out of memory");
    file = r == 0 ? fopen(path, "re") : NULL;
    if (r == 0 && !file)
        r = clew__yaml_error(node, "the file cannot be opened: %s", strerror(errno));
    if (file) {
        len = fread(text, 1, PEM_MAX, file);
        if (ferror(file) || !feof(file))
            r = clew__yaml_error(node, "the file cannot be read, or is too large");
        (void)fclose(file);
    }
    if (r == 0) {
        char *shorter = realloc(text, len + 1);

        *ret_text = shorter ? shorter : text;
        text = NULL;
    }
    free(text);
    free(path);
    return r;
}

/* So that a wrong file is found by `check`, not by the first sender. */
static int check_tls(struct clew__yaml_node node, const struct clew__webhook *webhook)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t certificate = {(unsigned char *)webhook->certificate,
                                  (unsigned)strlen(webhook->certificate)};
    gnutls_datum_t key = {(unsigned char *)webhook->key, (unsigned)strlen(webhook->key)};
    gnutls_datum_t ca = {(unsigned char *)webhook->client_ca,
                         webhook->client_ca ? (unsigned)strlen(webhook->client_ca) : 0};
    int r = gnutls_certificate_allocate_credentials(&credentials);

    if (r < 0)
        return clew_set_error(-ENOMEM, "out of memory");
    r = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (r < 0)
        r = clew__yaml_error(node, "certificate and key: %s", gnutls_strerror(r));
    if (r >= 0 && ca.size &&
        gnutls_certificate_set_x509_trust_mem(credentials, &ca, GNUTLS_X509_FMT_PEM) <= 0)
        r = clew__yaml_error(node, "client_ca_file has no certificate");
    gnutls_certificate_free_credentials(credentials);
    return r < 0 ? r : 0;
}

static int read_tls(struct clew__yaml_node node, struct clew__webhook *webhook)
{
    static const char *const keys[] = {"cert_file", "key_file", "client_ca_file", NULL};
    struct clew__yaml_node cert, key, ca;
    int r = clew__yaml_keys(node, keys);

    if (r < 0)
        return r;
    cert = clew__yaml_get(node, "cert_file");
    key = clew__yaml_get(node, "key_file");
    ca = clew__yaml_get(node, "client_ca_file");
    if (!cert.node || !key.node)
        return clew__yaml_error(node, "tls needs cert_file and key_file");
    r = read_pem(cert, &webhook->certificate);
    if (r == 0)
        r = read_pem(key, &webhook->key);
    if (r == 0 && ca.node)
        r = read_pem(ca, &webhook->client_ca);
    return r == 0 ? check_tls(node, webhook) : r;
}

int clew__webhook_read(struct clew__yaml_node node, struct clew__webhook *webhook)
{
    static const char *const keys[] = {"max_body_bytes", "sources", "tls", CREDENTIAL_KEYS, NULL};
    struct clew__yaml_node tls;
    int r;

    webhook->max_body_bytes = BODY_DEFAULT;
    webhook->sources = calloc(1, sizeof(*webhook->sources));
    if (!webhook->sources)
        return clew_set_error(-ENOMEM, "out of memory");
    webhook->nsources = 1;
    webhook->sources[0].path = strdup(CLEW__WEBHOOK_PATH);
    if (!webhook->sources[0].path)
        return clew_set_error(-ENOMEM, "out of memory");
    if (!node.node)
        return 0;
    r = clew__yaml_keys(node, keys);
    if (r == 0)
        r = clew__yaml_uint(clew__yaml_get(node, "max_body_bytes"), 1024, 1u << 30,
                            &webhook->max_body_bytes);
    if (r == 0)
        r = read_credentials(node, &webhook->sources[0].credentials);
    if (r < 0)
        return r;
    r = read_sources(clew__yaml_get(node, "sources"), webhook);
    tls = clew__yaml_get(node, "tls");
    return r == 0 && tls.node ? read_tls(tls, webhook) : r;
}

void clew__webhook_done(struct clew__webhook *webhook)
{
    for (size_t i = 0; i < webhook->nsources; i++) {
        struct clew__source *source = &webhook->sources[i];

        free(source->path);
        json_decref(source->labels);
        free(source->credentials.username);
        free(source->credentials.password);
        free(source->credentials.bearer_token);
        free(source->credentials.hmac_secret);
        free(source->credentials.hmac_header);
        free(source->credentials.hmac_timestamp_header);
    }
    free(webhook->sources);
    free(webhook->certificate);
    free(webhook->key);
    free(webhook->client_ca);
}
