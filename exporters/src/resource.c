/* SPDX-License-Identifier: Apache-2.0
 * See resource.h. */
#include "resource.h"

#include <json.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TEXT_MAX 2048u

static struct clew_field *find(struct clew__resource *r, const char *key)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->fields[i].key, key) == 0)
            return &r->fields[i];
    return NULL;
}

void clew__resource_set(struct clew__resource *r, const char *key, const char *value)
{
    struct clew_field *field = find(r, key);
    char *copy;

    if (!value[0] || (!field && r->n == CLEW__RESOURCE_MAX))
        return;
    copy = strdup(value);
    if (!copy)
        return;
    if (field) {
        free((char *)field->value.as.s);
    } else {
        char *own_key = strdup(key);

        if (!own_key) {
            free(copy);
            return;
        }
        field = &r->fields[r->n++];
        *field = (struct clew_field){
            .key = own_key, .type = CLEW_TYPE_STRING, .key_len = (uint32_t)strlen(own_key)};
    }
    field->value = clew_value_stringn(copy, strlen(copy));
}

void clew__resource_done(struct clew__resource *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free((char *)r->fields[i].key);
        if (r->fields[i].type == CLEW_TYPE_STRING)
            free((char *)r->fields[i].value.as.s);
    }
    r->n = 0;
}

/* One key or value: without the white space around it, decoded, valid UTF-8. */
static bool decode(char to[TEXT_MAX], const char *from, size_t len)
{
    size_t n = 0;

    while (len && (*from == ' ' || *from == '\t')) {
        from++;
        len--;
    }
    while (len && (from[len - 1] == ' ' || from[len - 1] == '\t'))
        len--;
    if (len >= TEXT_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];

        if (c == '%') {
            if (len - i < 3 || clew__unhex(&c, from + i + 1, 1) < 0 || c == 0)
                return false;
            i += 2;
        }
        to[n++] = (char)c;
    }
    to[n] = '\0';
    for (size_t i = 0, sequence; i < n; i += sequence)
        if ((sequence = clew__utf8_sequence(to + i, n - i)) == 0)
            return false;
    return true;
}

static int parse(struct clew__resource *r, const char *p)
{
    char key[TEXT_MAX], value[TEXT_MAX];

    while (*p) {
        size_t len = strcspn(p, ","), equals = strcspn(p, "=,");

        if (strspn(p, " \t") < len) { /* an empty member is none */
            if (p[equals] != '=' || !decode(key, p, equals) || !key[0] ||
                !decode(value, p + equals + 1, len - equals - 1))
                return -EINVAL;
            if (r && strcmp(key, "service.name") != 0)
                clew__resource_set(r, key, value);
        }
        p += len;
        p += *p == ',';
    }
    return 0;
}

int clew__resource_parse(struct clew__resource *r, const char *text)
{
    int err = parse(NULL, text);

    return err == 0 && r ? parse(r, text) : err;
}

/* A UUID of version 4 (RFC 9562). */
static void set_instance(struct clew__resource *r)
{
    unsigned char b[16];
    char hex[32], text[37];

    if (getrandom(b, sizeof(b), 0) != sizeof(b))
        return;
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    clew__hex(hex, b, sizeof(b));
    (void)snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
    clew__resource_set(r, "service.instance.id", text);
}

static void make(struct clew__resource *r)
{
    const char *attributes = getenv("OTEL_RESOURCE_ATTRIBUTES");

    clew__resource_set(r, "service.name", clew_service_name());
    clew__resource_set(r, "service.version", clew_service_version());
    set_instance(r);
    clew__resource_set(r, "telemetry.sdk.name", "clewline");
    clew__resource_set(r, "telemetry.sdk.language", "c");
    clew__resource_set(r, "telemetry.sdk.version", CLEW_VERSION);
    clew__resource_detect_host(r, "");
    clew__resource_detect_process(r, "");
    clew__resource_detect_container(r, "");
    clew__resource_detect_kubernetes(r, "");
    if (attributes)
        (void)clew__resource_parse(r, attributes); /* settings.c told what is wrong */
}

const struct clew__resource *clew__resource_get(void)
{
    static struct clew__resource resource;
    static pid_t made_by;

    if (made_by != getpid()) {
        made_by = getpid();
        clew__resource_done(&resource);
        resource.serial++;
        make(&resource);
    }
    return &resource;
}
