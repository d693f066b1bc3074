/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the environment. Empty counts as unset. Sources: OpenTelemetry's
 * "Environment Variable Specification" and "OTLP Exporter Configuration" for
 * OTEL_ (settings_otlp.c), this folder's README for CLEW_.
 */
#include "settings_priv.h"

#include <base64.h>
#include <buf.h>
#include <clew/log.h>
#include <json.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const char *clew__settings_get(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* The signal's own variable before the general one. */
const char *clew__settings_get_either(const char *own, const char *general)
{
    const char *value = clew__settings_get(own);

    return value ? value : clew__settings_get(general);
}

int clew__settings_copy(char *to, size_t size, const char *name, const char *value)
{
    if (strlen(value) >= size)
        return clew_set_error(-EINVAL, "%s: longer than %zu bytes", name, size - 1);
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

bool clew__settings_is_url(const char *text)
{
    return (strncasecmp(text, "http://", 7) == 0 && text[7]) ||
           (strncasecmp(text, "https://", 8) == 0 && text[8]);
}

/* base with path behind it, one slash between. */
int clew__settings_join_url(char *to, size_t size, const char *name, const char *base,
                            const char *path)
{
    size_t len = strlen(base);

    if (!clew__settings_is_url(base))
        return clew_set_error(-EINVAL, "%s: must begin with http:// or https://", name);
    while (len && base[len - 1] == '/')
        len--;
    if (snprintf(to, size, "%.*s%s", (int)len, base, path) >= (int)size)
        return clew_set_error(-EINVAL, "%s: longer than %zu bytes", name, size - 1);
    return 0;
}

/* A number of our own: wrong is an error. */
static int own_number(const char *name, long low, long high, long fallback, long *ret)
{
    const char *text = clew__settings_get(name);
    char *end;

    *ret = fallback;
    if (!text)
        return 0;
    errno = 0;
    *ret = strtol(text, &end, 10);
    if (errno || *end || *ret < low || *ret > high)
        return clew_set_error(-EINVAL, "%s=%.32s: use a number from %ld to %ld", name, text, low,
                              high);
    return 0;
}

/* Logging has not started yet: said when it has. */
void clew__settings_warn_later(struct clew__settings *s, const char *format, ...)
{
    va_list args;

    if (s->nwarnings == CLEW__WARNINGS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(s->warnings[s->nwarnings++], sizeof(s->warnings[0]), format, args);
    va_end(args);
}

/* A number of OpenTelemetry's: wrong is told and passed over. */
long clew__settings_otel_number(struct clew__settings *s, const char *own, const char *general,
                                long low, long high, long fallback)
{
    const char *text = general ? clew__settings_get_either(own, general) : clew__settings_get(own);
    char *end;
    long n;

    if (!text)
        return fallback;
    errno = 0;
    n = strtol(text, &end, 10);
    if (!errno && !*end && n >= low && n <= high)
        return n;
    clew__settings_warn_later(s, "%s: \"%.32s\" is not a number from %ld to %ld, using %ld", own,
                              text, low, high, fallback);
    return fallback;
}

int clew__settings_secret(char *to, size_t size, const char *name)
{
    char file_variable[64], *newline;
    const char *value = clew__settings_get(name), *path;
    ssize_t n;
    int fd;

    to[0] = '\0';
    if (value)
        return clew__settings_copy(to, size, name, value);
    (void)snprintf(file_variable, sizeof(file_variable), "%s_FILE", name);
    path = clew__settings_get(file_variable);
    if (!path)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, to, size - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return clew_set_error(-EINVAL, "%s=%.256s: %s", file_variable, path, strerror(errno));
    to[n] = '\0';
    newline = strpbrk(to, "\r\n");
    if (newline)
        *newline = '\0';
    return 0;
}

int clew__settings_bearer(char *to, size_t size, const char *name)
{
    if (clew__settings_secret(to, size, name) < 0)
        return -EINVAL;
    return strpbrk(to, "\r\n") ? clew_set_error(-EINVAL, "%s: has a line break", name) : 0;
}

int clew__settings_basic(char to[CLEW__BASIC_MAX], const char *user_name, const char *password_name)
{
    const char *user = clew__settings_get(user_name);
    char password[1024], pair[CLEW__BASIC_MAX / 4 * 3];

    to[0] = '\0';
    if (!user)
        return 0;
    if (clew__settings_secret(password, sizeof(password), password_name) < 0)
        return -EINVAL;
    if (strchr(user, ':'))
        return clew_set_error(-EINVAL, "%s: no user's name has a colon", user_name);
    if (snprintf(pair, sizeof(pair), "%s:%s", user, password) >= (int)sizeof(pair))
        return clew_set_error(-EINVAL, "%s: too long", user_name);
    *clew__put_base64(to, pair, strlen(pair)) = '\0';
    return 0;
}

int clew__settings_bool(const char *name, bool fallback, bool *ret)
{
    const char *text = clew__settings_get(name);

    *ret = fallback;
    if (!text)
        return 0;
    *ret = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (!*ret && strcasecmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return clew_set_error(-EINVAL, "%s=%.32s: use true or false", name, text);
    return 0;
}

/* CLEW_LOKI_LABELS: k=v,k2=v2 into Loki's form. */
static int read_loki_labels(struct clew__settings *s)
{
    const char *p = clew__settings_get("CLEW_LOKI_LABELS");
    struct clew__buf out;

    clew__buf_init(&out, sizeof(s->loki_labels) - 1);
    while (p && *p) {
        size_t key = strcspn(p, "=,"), value = p[key] == '=' ? strcspn(p + key + 1, ",") : 0;
        bool good = key > 0 && p[key] == '=' && !isdigit((unsigned char)*p);

        for (size_t i = 0; i < key; i++)
            good = good && (isalnum((unsigned char)p[i]) || p[i] == '_');
        for (size_t i = 0; i < value; i++)
            good = good && (unsigned char)p[key + 1 + i] >= 0x20;
        if (!good || (key == 7 && strncmp(p, "service", 7) == 0)) {
            clew__buf_done(&out);
            return clew_set_error(-EINVAL,
                                  "CLEW_LOKI_LABELS: near \"%.32s\": use name=value,name=value; "
                                  "names are [a-zA-Z_][a-zA-Z0-9_]*, service is set already",
                                  p);
        }
        clew__buf_adds(&out, ", ");
        clew__buf_add(&out, p, key);
        clew__buf_addc(&out, '=');
        clew__json_string(&out, p + key + 1, value);
        p += key + 1 + value;
        p += *p == ',';
    }
    if (out.failed) {
        clew__buf_done(&out);
        return clew_set_error(-EINVAL, "CLEW_LOKI_LABELS: too long");
    }
    if (out.len)
        memcpy(s->loki_labels, out.data, out.len);
    s->loki_labels[out.len] = '\0';
    clew__buf_done(&out);
    return 0;
}

static int read_loki_authorization(struct clew__settings *s)
{
    char pair[CLEW__BASIC_MAX], token[CLEW__SECRET_MAX - 8];

    if (clew__settings_bearer(token, sizeof(token), "CLEW_LOKI_BEARER_TOKEN") < 0 ||
        clew__settings_basic(pair, "CLEW_LOKI_USERNAME", "CLEW_LOKI_PASSWORD") < 0)
        return -EINVAL;
    if (token[0] && pair[0])
        return clew_set_error(-EINVAL,
                              "CLEW_LOKI_USERNAME and CLEW_LOKI_BEARER_TOKEN: use one of them");
    if (token[0])
        (void)snprintf(s->loki_authorization, sizeof(s->loki_authorization), "Bearer %s", token);
    if (pair[0])
        (void)snprintf(s->loki_authorization, sizeof(s->loki_authorization), "Basic %s", pair);
    return 0;
}

static int read_loki(struct clew__settings *s)
{
    static const char path[] = "/loki/api/v1/push";
    const char *url = clew__settings_get("CLEW_LOKI_URL"),
               *tenant = clew__settings_get("CLEW_LOKI_TENANT");
    size_t len = url ? strlen(url) : 0;
    bool whole = len > sizeof(path) && strcmp(url + len - sizeof(path) + 1, path) == 0;

    if (!url)
        return 0;
    if (clew__settings_join_url(s->loki_url, sizeof(s->loki_url), "CLEW_LOKI_URL", url,
                                whole ? "" : path) < 0)
        return -EINVAL;
    if (tenant &&
        (clew__settings_copy(s->loki_tenant, sizeof(s->loki_tenant), "CLEW_LOKI_TENANT", tenant) <
             0 ||
         strspn(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!-_.*'()") !=
             strlen(tenant)))
        return clew_set_error(-EINVAL,
                              "CLEW_LOKI_TENANT: at most 150 of a-z A-Z 0-9 ! - _ . * ' ( )");
    if (read_loki_labels(s) < 0)
        return -EINVAL;
    return read_loki_authorization(s);
}

int clew__settings_read(struct clew__settings *ret)
{
    struct clew__settings s = {.nwarnings = 0};
    long queue_kib;

    if (own_number("CLEW_EXPORT_QUEUE_KIB", 1024, 4194304, 16384, &queue_kib) < 0 ||
        own_number("CLEW_SHUTDOWN_TIMEOUT_MS", 0, 600000, 5000, &s.shutdown_timeout_ms) < 0 ||
        clew__settings_bool("CLEW_METRICS_ENABLED", true, &s.metrics) < 0 ||
        clew__settings_read_management(&s.management) < 0 || read_loki(&s) < 0 ||
        clew__settings_read_otlp(&s) < 0)
        return -EINVAL;
    s.queue_bytes = (size_t)queue_kib * 1024;
    *ret = s;
    return 0;
}
