/* SPDX-License-Identifier: Apache-2.0
 *
 * The core's configuration, all of it from the environment. An empty variable
 * counts as unset. A wrong value of a CLEW_ variable is an error that names the
 * variable, the value and what is allowed.
 */
#include "core_priv.h"
#include "secret_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_MS 100u
#define ROTATED_KEEP 5u

struct clew__config clew__config;

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

static int read_levels(void)
{
    const char *value = get("CLEW_LOG_LEVEL");

    if (value &&
        copy(clew__config.levels, sizeof(clew__config.levels), "CLEW_LOG_LEVEL", value) < 0)
        return -EINVAL;
    return 0;
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

/* ---- outputs ---------------------------------------------------------------------- */

static int bad_output(const char *text, size_t len, const char *why)
{
    return clew_set_error(-EINVAL, "CLEW_LOG_OUTPUT: \"%.*s\": %s", (int)(len < 100 ? len : 100),
                          text, why);
}

static int parse_format(const char *text, enum clew__format *ret)
{
    static const char *const names[] = {"auto", "json", "text"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(text, names[i]) == 0) {
            *ret = (enum clew__format)i;
            return 0;
        }
    return -EINVAL;
}

static int read_keep(const char *text, unsigned *ret)
{
    unsigned long n;

    if (read_number("CLEW_LOG_OUTPUT: keep", text, 1, CLEW__KEEP_MAX, &n) < 0)
        return -EINVAL;
    *ret = (unsigned)n;
    return 0;
}

static int read_compress(const char *text, bool *ret)
{
    if (strcmp(text, "gzip") != 0 && strcmp(text, "none") != 0)
        return clew_set_error(-EINVAL, "CLEW_LOG_OUTPUT: compress=%.32s: use gzip or none", text);
    *ret = strcmp(text, "gzip") == 0;
    return 0;
}

/* Value of the option called name, 1 when there is no such option. */
static int read_value(struct clew__output *output, const char *name, const char *value)
{
    bool is_file = output->kind == CLEW__OUTPUT_STREAM && strchr(output->name, '/');

    if (strcmp(name, "level") == 0)
        return clew_level_parse(value, &output->level) == 0 ? 0 : 1;
    if (strcmp(name, "format") == 0 && output->kind == CLEW__OUTPUT_STREAM)
        return parse_format(value, &output->format) == 0 ? 0 : 1;
    if (strcmp(name, "rotate_size") == 0 && is_file)
        return clew__size_parse("CLEW_LOG_OUTPUT: rotate_size", value, &output->rotation.max_bytes);
    if (strcmp(name, "rotate_time") == 0 && is_file)
        return clew__period_parse("CLEW_LOG_OUTPUT: rotate_time", value, &output->rotation.period);
    if (strcmp(name, "keep") == 0 && is_file)
        return read_keep(value, &output->rotation.keep);
    if (strcmp(name, "compress") == 0 && is_file)
        return read_compress(value, &output->rotation.compress);
    if (strcmp(name, "facility") == 0 && output->kind == CLEW__OUTPUT_SYSLOG)
        return copy(output->facility, sizeof(output->facility), "CLEW_LOG_OUTPUT: facility", value);
    return 1;
}

/* NAME=VALUE behind a target. */
static int read_option(struct clew__output *output, const char *text, size_t len)
{
    char option[128], *value;
    int err;

    if (len >= sizeof(option))
        return bad_output(text, len, "this option is too long");
    memcpy(option, text, len);
    option[len] = '\0';
    value = strchr(option, '=');
    if (!value)
        return bad_output(text, len, "options are NAME=VALUE");
    *value++ = '\0';
    err = read_value(output, option, value);
    return err <= 0 ? err
                    : bad_output(text, len,
                                 "use level=LEVEL, format=auto, json or text; for a file "
                                 "rotate_size=, rotate_time=, keep=, compress=; for syslog "
                                 "facility=");
}

static int read_name(struct clew__output *output, const char *text, size_t len)
{
    static const struct {
        const char *name;
        enum clew__output_kind kind;
    } kinds[] = {{"journald", CLEW__OUTPUT_JOURNALD}, {"syslog", CLEW__OUTPUT_SYSLOG}};

    if (len >= sizeof(output->name))
        return bad_output(text, len, "the name is too long");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t n = strlen(kinds[i].name);

        if (len >= n && memcmp(text, kinds[i].name, n) == 0 && (len == n || text[n] == ':')) {
            output->kind = kinds[i].kind;
            if (len > n)
                memcpy(output->name, text + n + 1, len - n - 1);
            return 0;
        }
    }
    memcpy(output->name, text, len);
    if (!strchr(output->name, '/') && strcmp(output->name, "stdout") != 0 &&
        strcmp(output->name, "stderr") != 0)
        return bad_output(text, len,
                          "use stdout, stderr, none, a file's path (with a slash), journald or "
                          "syslog[:ADDRESS]");
    return 0;
}

/* A target and its options, separated by spaces. */
static int read_target(const char *text, size_t len, enum clew__format format)
{
    struct clew__output *output = &clew__config.outputs[clew__config.noutputs];
    const char *end = text + len;
    size_t n = strcspn(text, " ;");

    if (clew__config.noutputs == CLEW__TARGETS_MAX)
        return bad_output(text, len, "there are four already");
    *output = (struct clew__output){
        .level = CLEW_LEVEL_TRACE, .format = format, .rotation = {.keep = ROTATED_KEEP}};
    if (read_name(output, text, n) < 0)
        return -EINVAL;
    for (text += n; text < end; text += n) {
        text += strspn(text, " ");
        n = strcspn(text, " ;");
        if (text < end && n && read_option(output, text, n) < 0)
            return -EINVAL;
    }
    clew__config.noutputs++;
    return 0;
}

/* TARGET [OPTION=VALUE ...] [; TARGET ...] */
static int read_outputs(void)
{
    const char *format_text = get("CLEW_LOG_FORMAT"), *list = get("CLEW_LOG_OUTPUT");
    enum clew__format format = CLEW__FORMAT_AUTO;

    if (format_text && parse_format(format_text, &format) < 0)
        return clew_set_error(-EINVAL, "CLEW_LOG_FORMAT=%.64s: use auto, json or text",
                              format_text);
    clew__config.noutputs = 0;
    if (!list)
        list = "stdout";
    if (strcmp(list, "none") == 0)
        return 0;
    while (*list) {
        size_t len;

        list += strspn(list, " ;");
        len = strcspn(list, ";");
        if (len && read_target(list, len, format) < 0)
            return -EINVAL;
        list += len;
    }
    return 0;
}

static int read_extras(void)
{
    const char *crash = get("CLEW_LOG_CRASH"), *capture = get("CLEW_LOG_STDERR");

    clew__config.crash = crash && strcmp(crash, "1") == 0;
    if (crash && !clew__config.crash && strcmp(crash, "0") != 0)
        return clew_set_error(-EINVAL, "CLEW_LOG_CRASH=%.32s: use 1 or 0", crash);
    clew__config.capture_stderr = CLEW_LEVEL_OFF;
    if (capture && clew_level_parse(capture, &clew__config.capture_stderr) < 0)
        return clew_set_error(-EINVAL, "CLEW_LOG_STDERR=%.32s: use a level, or off", capture);
    return 0;
}

/* ---- rings ------------------------------------------------------------------------ */

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
    if (n % 4)
        return clew_set_error(-EINVAL, "CLEW_RING_KIB=%lu: must be a multiple of 4", n);
    clew__config.ring_bytes = n * 1024;
    n = BLOCK_MS;
    if (full && strcmp(full, "drop") == 0)
        n = 0;
    else if (full && strncmp(full, "block:", 6) == 0) {
        if (read_number("CLEW_RING_FULL=block:MS", full + 6, 1, 60000, &n) < 0)
            return -EINVAL;
    } else if (full && strcmp(full, "block") != 0)
        return clew_set_error(-EINVAL, "CLEW_RING_FULL=%.32s: use drop, block or block:MS", full);
    clew__config.block_ms = (unsigned)n;
    return 0;
}

int clew__config_read(const char *service, const char *version)
{
    int err = read_names(service, version);

    if (err == 0)
        err = read_levels();
    if (err == 0)
        err = read_outputs();
    if (err == 0)
        err = read_extras();
    if (err == 0)
        err = read_rings();
    if (err == 0)
        err = clew__secret_config();
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
