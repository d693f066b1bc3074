/* SPDX-License-Identifier: Apache-2.0
 *
 *   10:00:00.123 INFO  user_service     User balance updated operation=deposit …
 *
 * JSON is read by jansson; nothing of it reaches the terminal unescaped.
 */
#include "line.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *const levels[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
static const char *const level_colours[] = {"\033[2m",  "\033[36m",   "\033[32m",
                                            "\033[33m", "\033[1;31m", "\033[1;31m"};

int cli_level_rank(const char *name)
{
    for (int i = 0; name && i < 6; i++)
        if (strcasecmp(name, levels[i]) == 0)
            return i;
    return -1;
}

int cli_line_rank(const char *json, size_t len)
{
    json_t *line = json_loadb(json, len, 0, NULL);
    int rank = cli_level_rank(json_string_value(json_object_get(line, "level")));

    json_decref(line);
    return rank;
}

static void add(struct clew__buf *out, bool colour, const char *code, const char *text)
{
    if (colour)
        clew__buf_adds(out, code);
    cli_add_safe(out, text, strlen(text));
    if (colour)
        clew__buf_adds(out, CLI_RESET);
}

static void add_value(struct clew__buf *out, const json_t *value)
{
    const char *text = json_string_value(value);
    char *dump;

    if (text && *text && !strpbrk(text, " \"=\t\n")) {
        cli_add_safe(out, text, json_string_length(value));
        return;
    }
    dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12));
    if (dump)
        cli_add_safe(out, dump, strlen(dump));
    free(dump);
}

static void add_pair(struct clew__buf *out, bool colour, const char *key, const json_t *value)
{
    clew__buf_addc(out, ' ');
    add(out, colour, CLI_DIM, key);
    add(out, colour, CLI_DIM, "=");
    add_value(out, value);
}

/* Bound fields stand beside the ids; those and the line's own keys do not. */
static bool is_own_key(const char *key)
{
    static const char *const own[] = {"timestamp",      "level",    "service", "request_id",
                                      "correlation_id", "trace_id", "span_id", "message",
                                      "context",        "source"};

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(key, own[i]) == 0)
            return true;
    return false;
}

static void add_fields(struct clew__buf *out, bool colour, json_t *line)
{
    const char *key;
    json_t *value, *source = json_object_get(line, "source");
    char place[160];

    json_object_foreach(line, key, value)
    {
        if (!is_own_key(key))
            add_pair(out, colour, key, value);
    }
    json_object_foreach(json_object_get(line, "context"), key, value)
        add_pair(out, colour, key, value);
    if (json_is_string(json_object_get(line, "span_id")))
        add_pair(out, colour, "span", json_object_get(line, "span_id"));
    if (source) {
        const char *file = json_string_value(json_object_get(source, "file"));

        (void)snprintf(place, sizeof(place), " %.120s:%d", file ? file : "?",
                       (int)json_integer_value(json_object_get(source, "line")));
        add(out, colour, CLI_DIM, place);
    }
}

void cli_format_line(struct clew__buf *out, const char *json, size_t len, long long time_ns,
                     bool colour)
{
    json_t *line = json_loadb(json, len, JSON_ALLOW_NUL, NULL);
    const char *service = json_string_value(json_object_get(line, "service"));
    const char *message = json_string_value(json_object_get(line, "message"));
    int rank = cli_level_rank(json_string_value(json_object_get(line, "level")));
    time_t seconds = (time_t)(time_ns / 1000000000);
    char text[48];
    struct tm tm;

    (void)localtime_r(&seconds, &tm);
    (void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
    (void)snprintf(text + 8, sizeof(text) - 8, ".%03d ", (int)(time_ns / 1000000 % 1000));
    add(out, colour, CLI_DIM, text);
    if (!service || !message || rank < 0) {
        cli_add_safe(out, json, len);
        json_decref(line);
        return;
    }
    (void)snprintf(text, sizeof(text), "%-5s ", levels[rank]);
    add(out, colour, level_colours[rank], text);
    (void)snprintf(text, sizeof(text), "%-16.40s ", service);
    add(out, colour, cli_colour_of(service, strlen(service)), text);
    add(out, colour, CLI_BOLD, message);
    add_fields(out, colour, line);
    json_decref(line);
}
