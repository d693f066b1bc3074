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

static void add_pair(struct clew__buf *out, const char *key, enum clew_type type,
                     const struct clew_value *value, bool colour)
{
    clew__buf_adds(out, colour ? " " DIM : " ");
    clew__json_chars(out, key, strlen(key));
    clew__buf_adds(out, colour ? "=" RESET : "=");
    add_value(out, type, value);
}

void clew__format_text(struct clew__buf *out, const struct clew__line *line, bool colour)
{
    const struct clew_site *site = line->site;
    const struct clew__line_context *context = line->context;
    const char *file = strrchr(site->file, '/');

    if (colour)
        clew__buf_adds(out, DIM);
    add_time(out, line->time_ns);
    if (colour)
        clew__buf_addf(out, RESET "%s", level_colour(site->level));
    clew__buf_addf(out, "%-5s ", clew_level_name((enum clew_level)site->level));
    if (colour)
        clew__buf_adds(out, RESET BOLD);
    clew__json_chars(out, site->message, strlen(site->message));
    if (colour)
        clew__buf_adds(out, RESET);
    for (size_t i = 0; i < context->nbound; i++)
        add_pair(out, context->bound[i].key, context->bound[i].type, &context->bound[i].value,
                 colour);
    for (unsigned i = 0; i < site->nfields; i++)
        if (!(line->text->skip & (1u << i)))
            add_pair(out, site->keys[i], (enum clew_type)site->types[i], &line->values[i], colour);
    if (colour)
        clew__buf_adds(out, DIM);
    if (context->request_id[0]) {
        struct clew_value id = clew_value_stringn(context->request_id, strlen(context->request_id));

        clew__buf_adds(out, " request_id=");
        add_value(out, CLEW_TYPE_STRING, &id);
    }
    clew__buf_addf(out, " %s:%d", file ? file + 1 : site->file, site->line);
    if (colour)
        clew__buf_adds(out, RESET);
}
