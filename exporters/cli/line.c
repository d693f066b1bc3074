/* SPDX-License-Identifier: Apache-2.0
 *
 *   10:00:00.123 INFO  user_service     User balance updated operation=deposit …
 *
 * A line is read once: the members are noted where they lie, the first of each
 * role is picked out, and what is left is printed in its order. Nothing of it
 * reaches the terminal unescaped. Of a key that comes twice the first counts.
 */
#include "line.h"
#include "when.h"

#include <level.h>
#include <time_text.h>

#include <stdio.h>
#include <string.h>

#define MEMBERS_KEPT 64

struct line {
    struct clew__scan_member members[MEMBERS_KEPT];
    enum cli_role roles[MEMBERS_KEPT];
    size_t n;
    struct clew__scan rest; /* behind the members kept */
    /* The first that can be read as what it should be; at is NULL for none. */
    struct clew__scan_value time, level, service, message;
    int rank;
    int64_t time_ns;
};

static const char *const level_colours[] = {"\033[2m",  "\033[36m",   "\033[32m",
                                            "\033[33m", "\033[1;31m", "\033[1;31m"};

enum cli_role cli_role_of(const struct clew__scan_value *key)
{
    static const struct {
        const char *name;
        size_t len;
        enum cli_role role;
    } names[] = {
#define NAME(text, role) {text, sizeof(text) - 1, role}
        NAME("timestamp", CLI_TIME),  NAME("level", CLI_LEVEL),       NAME("service", CLI_SERVICE),
        NAME("request_id", CLI_ID),   NAME("correlation_id", CLI_ID), NAME("trace_id", CLI_ID),
        NAME("span_id", CLI_SPAN),    NAME("message", CLI_MESSAGE),   NAME("context", CLI_CONTEXT),
        NAME("source", CLI_SOURCE),   NAME("time", CLI_TIME),         NAME("msg", CLI_MESSAGE),
        NAME("lvl", CLI_LEVEL),       NAME("ts", CLI_TIME),           NAME("severity", CLI_LEVEL),
        NAME("@timestamp", CLI_TIME),
#undef NAME
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if ((key->len == names[i].len || key->escaped) &&
            clew__scan_equals(key, names[i].name, names[i].len))
            return names[i].role;
    return CLI_FIELD;
}

/* Takes the member for its role if nothing has it yet. */
static void note(struct line *line, const struct clew__scan_member *m, enum cli_role role)
{
    switch (role) {
    case CLI_TIME:
        if (!line->time.at && clew__time_value(&m->value, &line->time_ns))
            line->time = m->value;
        break;
    case CLI_LEVEL:
        if (line->rank < 0 && (line->rank = clew__level_value(&m->value)) >= 0)
            line->level = m->value;
        break;
    case CLI_SERVICE:
        if (!line->service.at && m->value.type == CLEW__SCAN_STRING)
            line->service = m->value;
        break;
    case CLI_MESSAGE:
        if (!line->message.at && m->value.type == CLEW__SCAN_STRING)
            line->message = m->value;
        break;
    default:
        break;
    }
}

static bool read_line(struct line *line, const char *json, size_t len)
{
    struct clew__scan scan;
    struct clew__scan_member member;
    int more;

    line->n = 0;
    line->rank = -1;
    line->time.at = line->level.at = line->service.at = line->message.at = NULL;
    if (!clew__scan_open(&scan, json, len))
        return false;
    line->rest = scan;
    while ((more = clew__scan_next(&scan, &member)) == 1) {
        enum cli_role role = cli_role_of(&member.key);

        note(line, &member, role);
        if (line->n < MEMBERS_KEPT) {
            line->members[line->n] = member;
            line->roles[line->n++] = role;
            line->rest = scan;
        }
    }
    return more == 0;
}

static void paint(struct clew__buf *out, bool colour, const char *code)
{
    if (colour)
        clew__buf_adds(out, code);
}

/* What the string stands for, made safe. */
static void add_decoded(struct clew__buf *out, const struct clew__scan_value *string)
{
    struct clew__buf text;

    if (!string->escaped) {
        cli_add_safe(out, string->at, string->len);
        return;
    }
    clew__buf_init(&text, string->len); /* an escape is longer than what it stands for */
    clew__scan_decode(&text, string);
    out->failed |= text.failed;
    cli_add_safe(out, text.data, text.len);
    clew__buf_done(&text);
}

/* Whether the string can stand behind "key=" without quotes. */
static bool is_bare(const struct clew__scan_value *string)
{
    for (size_t i = 0; i < string->len; i++)
        if (string->at[i] == ' ' || string->at[i] == '=')
            return false;
    return string->len > 0 && !string->escaped;
}

void cli_add_value(struct clew__buf *out, const struct clew__scan_value *value)
{
    struct clew__buf text;

    if (value->type == CLEW__SCAN_STRING ? is_bare(value) : value->type < CLEW__SCAN_STRING) {
        cli_add_safe(out, value->at, value->len);
        return;
    }
    clew__buf_init(&text, 6 * value->len + 2);
    clew__scan_compact(&text, value);
    out->failed |= text.failed;
    cli_add_safe(out, text.data, text.len);
    clew__buf_done(&text);
}

static void add_pair(struct clew__buf *out, bool colour, const struct clew__scan_value *key,
                     const struct clew__scan_value *value)
{
    clew__buf_addc(out, ' ');
    paint(out, colour, CLI_DIM);
    add_decoded(out, key);
    clew__buf_addc(out, '=');
    paint(out, colour, CLI_RESET);
    cli_add_value(out, value);
}

static void add_context(struct clew__buf *out, bool colour, const struct clew__scan_value *context)
{
    struct clew__scan scan;
    struct clew__scan_member member;

    if (!clew__scan_open(&scan, context->at, context->len))
        return;
    while (clew__scan_next(&scan, &member) == 1)
        add_pair(out, colour, &member.key, &member.value);
}

static void add_source(struct clew__buf *out, bool colour, const struct clew__scan_value *source)
{
    struct clew__scan_value file = {.type = CLEW__SCAN_NULL}, line = {.type = CLEW__SCAN_NULL};
    struct clew__scan scan;
    struct clew__scan_member member;

    if (!clew__scan_open(&scan, source->at, source->len))
        return;
    while (clew__scan_next(&scan, &member) == 1) {
        if (member.value.type == CLEW__SCAN_STRING && clew__scan_equals(&member.key, "file", 4))
            file = member.value;
        if (member.value.type == CLEW__SCAN_NUMBER && clew__scan_equals(&member.key, "line", 4))
            line = member.value;
    }
    clew__buf_addc(out, ' ');
    paint(out, colour, CLI_DIM);
    if (file.type == CLEW__SCAN_STRING)
        add_decoded(out, &file);
    else
        clew__buf_addc(out, '?');
    clew__buf_addc(out, ':');
    clew__buf_add(out, line.at, line.len);
    paint(out, colour, CLI_RESET);
}

static void add_member(struct clew__buf *out, bool colour, const struct line *line,
                       const struct clew__scan_member *m, enum cli_role role)
{
    const char *at = m->value.at;

    if (role == CLI_ID || at == line->time.at || at == line->level.at || at == line->service.at ||
        at == line->message.at)
        return;
    if (role == CLI_CONTEXT && m->value.type == CLEW__SCAN_OBJECT)
        add_context(out, colour, &m->value);
    else if (role == CLI_SOURCE && m->value.type == CLEW__SCAN_OBJECT)
        add_source(out, colour, &m->value);
    else if (role == CLI_SPAN && m->value.type == CLEW__SCAN_STRING)
        add_pair(out, colour,
                 &(struct clew__scan_value){.type = CLEW__SCAN_STRING, .at = "span", .len = 4},
                 &m->value);
    else
        add_pair(out, colour, &m->key, &m->value);
}

/* Fields beside the ids first, then the context, the span and the place: in
 * our own lines' order but for the span. */
static int turn_of(enum cli_role role)
{
    return role == CLI_CONTEXT ? 1 : role == CLI_SPAN ? 2 : role == CLI_SOURCE ? 3 : 0;
}

static void add_fields(struct clew__buf *out, bool colour, const struct line *line)
{
    struct clew__scan rest;
    struct clew__scan_member member;
    unsigned turns = 1;

    for (size_t i = 0; i < line->n; i++)
        turns |= 1u << turn_of(line->roles[i]);
    for (int turn = 0; turn < 4; turn++) {
        for (size_t i = 0; i < line->n && (turns >> turn & 1); i++)
            if (turn_of(line->roles[i]) == turn)
                add_member(out, colour, line, &line->members[i], line->roles[i]);
    }
    rest = line->rest;
    while (line->n == MEMBERS_KEPT && clew__scan_next(&rest, &member) == 1)
        add_member(out, colour, line, &member, cli_role_of(&member.key));
}

static void add_service(struct clew__buf *out, bool colour, const struct clew__scan_value *service)
{
    size_t start, shown;

    if (colour)
        clew__buf_adds(out, cli_colour_of(service->at, service->len));
    start = out->len;
    add_decoded(out, service);
    shown = out->len - start;
    for (; shown < 16; shown++)
        clew__buf_addc(out, ' ');
    paint(out, colour, CLI_RESET);
    clew__buf_addc(out, ' ');
}

/* All behind the time. */
static void add_line(struct clew__buf *out, bool colour, const struct line *line)
{
    if (line->rank >= 0) {
        const char *name = cli_level_name(line->rank);

        paint(out, colour, level_colours[line->rank]);
        clew__buf_adds(out, name);
        clew__buf_add(out, "     ", 6 - strlen(name));
        paint(out, colour, CLI_RESET);
    }
    if (line->service.at)
        add_service(out, colour, &line->service);
    if (line->message.at) {
        paint(out, colour, CLI_BOLD);
        add_decoded(out, &line->message);
        paint(out, colour, CLI_RESET);
    }
    add_fields(out, colour, line);
}

static void add_time(struct clew__buf *out, const struct cli_style *style, int64_t ns)
{
    paint(out, style->colour, CLI_DIM);
    cli_when_add(out, ns, style->utc, style->dated);
    paint(out, style->colour, CLI_RESET);
}

void cli_format_line(struct clew__buf *out, const char *json, size_t len, long long time_ns,
                     bool colour)
{
    struct line line;
    bool object = read_line(&line, json, len);

    add_time(out, &(struct cli_style){.colour = colour}, time_ns);
    if (object && line.message.at && line.rank >= 0)
        add_line(out, colour, &line);
    else
        cli_add_safe(out, json, len);
}

bool cli_format_own(struct clew__buf *out, const char *json, size_t len,
                    const struct cli_style *style)
{
    struct line line;

    if (!read_line(&line, json, len))
        return false;
    if (!line.message.at && line.rank < 0) {
        cli_add_safe(out, json, len);
        return true;
    }
    if (line.time.at)
        add_time(out, style, line.time_ns);
    add_line(out, style->colour, &line);
    return true;
}
