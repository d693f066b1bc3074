/* SPDX-License-Identifier: Apache-2.0
 *
 * The readable line, for a person at a terminal:
 *
 *   10:00:00.123 INFO  User balance updated operation=deposit amount=100.0 request_id=…
 * balance.c:42
 *
 * Values are quoted like JSON strings when they hold anything but plain
 * characters, so that no log value can move the cursor. Collector thread.
 */
#include "core_priv.h"

#include <json.h>

#include <string.h>

#define DIM "\033[2m"
#define BOLD "\033[1m"
#define RESET "\033[0m"

static const char *level_colour(uint8_t level)
{
    if (level >= CLEW_LEVEL_ERROR)
        return "\033[1;31m";
    if (level >= CLEW_LEVEL_WARN)
        return "\033[33m";
    if (level >= CLEW_LEVEL_INFO)
        return "\033[32m";
    return "\033[36m";
}

static void add_time(struct clew__buf *out, uint64_t time_ns)
{
    time_t t = (time_t)(time_ns / 1000000000u);
    struct tm tm;
    char text[16];

    (void)localtime_r(&t, &tm);
    (void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
    clew__buf_addf(out, "%s.%03u ", text, (unsigned)(time_ns / 1000000u % 1000u));
}

static bool is_bare(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= 0x20 || s[i] == '"' || s[i] == '=' || s[i] == '\\' ||
            (unsigned char)s[i] >= 0x7F)
            return false;
    return len > 0;
}

static void add_value(struct clew__buf *out, enum clew_type type, const struct clew_value *value)
{
    if (type == CLEW_TYPE_STRING && value->as.s && is_bare(value->as.s, value->len))
        clew__buf_add(out, value->as.s, value->len);
    else
        clew__json_value(out, type, value);
}

static void add_pairs(struct clew__buf *out, const struct clew_field *fields, size_t n, bool colour)
{
    for (size_t i = 0; i < n; i++) {
        clew__buf_adds(out, colour ? " " DIM : " ");
        clew__json_chars(out, fields[i].key, strlen(fields[i].key));
        clew__buf_adds(out, colour ? "=" RESET : "=");
        add_value(out, fields[i].type, &fields[i].value);
    }
}

void clew__format_text(struct clew__buf *out, const struct clew__line *line, bool colour)
{
    struct clew_field fields[CLEW__LINE_FIELDS_MAX];
    const struct clew_site *site = line->site;
    const struct clew__line_context *context = line->context;
    const char *file = strrchr(site->file, '/'), *message;
    size_t message_len;
    int n = clew__line_fields(line, fields, &message, &message_len);

    if (colour)
        clew__buf_adds(out, DIM);
    add_time(out, line->time_ns);
    if (colour)
        clew__buf_addf(out, RESET "%s", level_colour(site->level));
    clew__buf_addf(out, "%-5s ", clew_level_name((enum clew_level)site->level));
    if (colour)
        clew__buf_adds(out, RESET BOLD);
    clew__json_chars(out, message, message_len);
    if (colour)
        clew__buf_adds(out, RESET);
    add_pairs(out, context->bound, context->nbound, colour);
    if (n > 0)
        add_pairs(out, fields, (size_t)n, colour);
    if (colour)
        clew__buf_adds(out, DIM);
    if (context->request_id[0]) {
        struct clew_value id = clew_value_string(context->request_id);

        clew__buf_adds(out, " request_id=");
        add_value(out, CLEW_TYPE_STRING, &id);
    }
    clew__buf_addf(out, " %s:%d", file ? file + 1 : site->file, site->line);
    if (colour)
        clew__buf_adds(out, RESET);
}
