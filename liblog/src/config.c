/* SPDX-License-Identifier: Apache-2.0
 *
 * The core's configuration, all of it from the environment. An empty variable
 * counts as unset. A wrong value of a CLEW_ variable is an error that names the
 * variable, the value and what is allowed.
 */
#include "core_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct clew__config clew__config = {.level = CLEW_LEVEL_INFO, .ring_bytes = 262144};

static const char *get(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static int copy(char *to, size_t size, const char *name, const char *value)
{
    if (strlen(value) >= size)
        return clew_set_error(-EINVAL, "%s: longer than %zu bytes", name, size - 1);
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

/* The value of service.name in OTEL_RESOURCE_ATTRIBUTES (k=v,k2=v2). */
static bool resource_service(char *to, size_t size)
{
    static const char key[] = "service.name=";
    const char *p = get("OTEL_RESOURCE_ATTRIBUTES");

    while (p && *p) {
        size_t len = strcspn(p, ",");

        if (len >= sizeof(key) - 1 && strncmp(p, key, sizeof(key) - 1) == 0) {
            len -= sizeof(key) - 1;
            if (len == 0 || len >= size)
                return false;
            memcpy(to, p + sizeof(key) - 1, len);
            to[len] = '\0';
            return true;
        }
        p += len;
        p += *p == ',';
    }
    return false;
}

static int read_names(const char *service, const char *version)
{
    const char *env = get("OTEL_SERVICE_NAME");

    if (env)
        service = env;
    clew__config.service[0] = clew__config.version[0] = '\0';
    if (version && copy(clew__config.version, sizeof(clew__config.version), "version", version) < 0)
        return -EINVAL;
    if (service && *service)
        return copy(clew__config.service, sizeof(clew__config.service), "service name", service);
    if (!resource_service(clew__config.service, sizeof(clew__config.service)))
        (void)snprintf(clew__config.service, sizeof(clew__config.service), "unknown_service:%s",
                       program_invocation_short_name);
    return 0;
}

static int read_level(void)
{
    const char *value = get("CLEW_LOG_LEVEL");

    if (value && clew_level_parse(value, &clew__config.level) < 0)
        return clew_set_error(
            -EINVAL, "CLEW_LOG_LEVEL=%.64s: use trace, debug, info, warn, error, fatal or off",
            value);
    return 0;
}

static int read_output(void)
{
    const char *format = get("CLEW_LOG_FORMAT"), *output = get("CLEW_LOG_OUTPUT");

    clew__config.format = CLEW__FORMAT_AUTO;
    if (format && strcasecmp(format, "json") == 0)
        clew__config.format = CLEW__FORMAT_JSON;
    else if (format && strcasecmp(format, "text") == 0)
        clew__config.format = CLEW__FORMAT_TEXT;
    else if (format && strcasecmp(format, "auto") != 0)
        return clew_set_error(-EINVAL, "CLEW_LOG_FORMAT=%.64s: use auto, json or text", format);
    if (output && strchr(output, '/') == NULL && strcmp(output, "stdout") != 0 &&
        strcmp(output, "stderr") != 0 && strcmp(output, "none") != 0)
        return clew_set_error(-EINVAL,
                              "CLEW_LOG_OUTPUT=%.64s: use stdout, stderr, none or a file's path "
                              "(with a slash)",
                              output);
    return copy(clew__config.output, sizeof(clew__config.output), "CLEW_LOG_OUTPUT",
                output ? output : "stdout");
}

static int read_number(const char *name, const char *text, unsigned long low, unsigned long high,
                       unsigned long *ret)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || n < low || n > high)
        return clew_set_error(-EINVAL, "%s: \"%.32s\" is not a number from %lu to %lu", name, text,
                              low, high);
    *ret = n;
    return 0;
}

static int read_rings(void)
{
    const char *directory = get("CLEW_RING_DIR"), *kib = get("CLEW_RING_KIB");
    const char *full = get("CLEW_RING_FULL");
    unsigned long n = 256;
    char standard[64];
    struct stat st;

    (void)snprintf(standard, sizeof(standard), "%s/clewline-%u",
                   stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp", (unsigned)geteuid());
    if (copy(clew__config.ring_directory, sizeof(clew__config.ring_directory), "CLEW_RING_DIR",
             directory ? directory : standard) < 0)
        return -EINVAL;
    if (kib && read_number("CLEW_RING_KIB", kib, 64, 65536, &n) < 0)
        return -EINVAL;
    if (n & (n - 1))
        return clew_set_error(-EINVAL, "CLEW_RING_KIB=%lu: must be a power of two", n);
    clew__config.ring_bytes = n * 1024;
    n = 0;
    if (full && strcmp(full, "block") == 0)
        n = 1000;
    else if (full && strncmp(full, "block:", 6) == 0) {
        if (read_number("CLEW_RING_FULL=block:MS", full + 6, 1, 60000, &n) < 0)
            return -EINVAL;
    } else if (full && strcmp(full, "drop") != 0)
        return clew_set_error(-EINVAL, "CLEW_RING_FULL=%.32s: use drop, block or block:MS", full);
    clew__config.block_ms = (unsigned)n;
    return 0;
}

int clew__config_read(const char *service, const char *version)
{
    int err = read_names(service, version);

    if (err == 0)
        err = read_level();
    if (err == 0)
        err = read_output();
    if (err == 0)
        err = read_rings();
    return err;
}

const char *clew_service_name(void)
{
    return clew__config.service;
}

const char *clew_service_version(void)
{
    return clew__config.version;
}
