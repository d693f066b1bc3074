/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON line. What never changes for a call site is escaped once
 * (clew__format_site), what changes with the request once per context
 * (record.c); a line is these pieces with the values between them.
 * Collector thread.
 */
#include "core_priv.h"

#include <json.h>

#include <stdio.h>
#include <string.h>

void clew__json_value(struct clew__buf *out, enum clew_type type, const struct clew_value *value)
{
    switch (type) {
    case CLEW_TYPE_BOOL:
        clew__buf_adds(out, value->as.b ? "true" : "false");
        break;
    case CLEW_TYPE_INT:
        clew__json_int(out, value->as.i);
        break;
    case CLEW_TYPE_UINT:
        clew__json_uint(out, value->as.u);
        break;
    case CLEW_TYPE_DOUBLE:
        clew__json_double(out, value->as.d);
        break;
    case CLEW_TYPE_STRING:
        if (value->as.s) {
            clew__json_string(out, value->as.s, value->len);
            break;
        }
        /* fall through */
    case CLEW_TYPE_END:
        clew__buf_adds(out, "null");
        break;
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

void clew__format_site(struct clew__site_text *text, const struct clew_site *site,
                       const char *service)
{
    struct clew__buf *out = &text->pieces;
    const char *file = base_name(site->file);
    bool first = true;

    clew__buf_init(out, 262144);
    clew__buf_addf(
        out, "\",\"level\":\"%s\",\"service\":", clew_level_name((enum clew_level)site->level));
    clew__json_string(out, service, strlen(service));
    text->head_len = (uint32_t)out->len;

    text->message_at = (uint32_t)out->len;
    clew__buf_adds(out, ",\"message\":");
    clew__json_string(out, site->message, strlen(site->message));
    if (site->nfields)
        clew__buf_adds(out, ",\"context\":{");
    text->message_len = (uint32_t)out->len - text->message_at;

    text->skip = 0;
    for (unsigned i = 0; i < site->nfields; i++) {
        for (unsigned j = i + 1; j < site->nfields; j++)
            if (strcmp(site->keys[i], site->keys[j]) == 0)
                text->skip |= 1u << i;
        if (text->skip & (1u << i))
            continue;
        text->key_at[i] = (uint32_t)out->len;
        if (!first)
            clew__buf_addc(out, ',');
        first = false;
        clew__json_string(out, site->keys[i], strlen(site->keys[i]));
        clew__buf_addc(out, ':');
        text->key_len[i] = (uint32_t)out->len - text->key_at[i];
    }

    text->tail_at = (uint32_t)out->len;
    if (site->nfields)
        clew__buf_addc(out, '}');
    clew__buf_adds(out, ",\"source\":{\"file\":");
    clew__json_string(out, file, strlen(file));
    clew__buf_addf(out, ",\"line\":%d,\"function\":", site->line);
    clew__json_string(out, site->function, strlen(site->function));
    clew__buf_adds(out, "}}");
    text->tail_len = (uint32_t)out->len - text->tail_at;
}

/* Lines come in time order, so the date is nearly always that of the last. */
static void add_timestamp(struct clew__buf *out, uint64_t time_ns)
{
    static uint64_t second = UINT64_MAX;
    static char date[40];
    static size_t date_len;
    uint64_t ns = time_ns % 1000000000u;
    char digits[10];

    if (time_ns / 1000000000u != second) {
        time_t t = (time_t)(time_ns / 1000000000u);
        struct tm tm;

        second = (uint64_t)t;
        (void)gmtime_r(&t, &tm);
        date_len = strftime(date, sizeof(date), "{\"timestamp\":\"%Y-%m-%dT%H:%M:%S.", &tm);
    }
    clew__buf_add(out, date, date_len);
    for (int i = 8; i >= 0; i--, ns /= 10)
        digits[i] = (char)('0' + ns % 10);
    digits[9] = 'Z';
    clew__buf_add(out, digits, 10);
}

void clew__format_json(struct clew__buf *out, const struct clew__line *line)
{
    const struct clew__site_text *text = line->text;
    const struct clew_site *site = line->site;
    const char *pieces = text->pieces.data;

    add_timestamp(out, line->time_ns);
    clew__buf_add(out, pieces, text->head_len);
    clew__buf_add(out, line->context->ids_json.data, line->context->ids_json.len);
    if (line->span_id) {
        char span[12 + 16 + 1] = ",\"span_id\":\"";

        clew__hex(span + 12, &line->span_id, 8);
        span[28] = '"';
        clew__buf_add(out, span, 29);
    }
    clew__buf_add(out, line->context->bound_json.data, line->context->bound_json.len);
    clew__buf_add(out, pieces + text->message_at, text->message_len);
    for (unsigned i = 0; i < site->nfields; i++) {
        if (text->skip & (1u << i))
            continue;
        clew__buf_add(out, pieces + text->key_at[i], text->key_len[i]);
        clew__json_value(out, (enum clew_type)site->types[i], &line->values[i]);
    }
    clew__buf_add(out, pieces + text->tail_at, text->tail_len);
}
