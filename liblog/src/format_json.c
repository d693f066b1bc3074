/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON line. What never changes for a call site or a logger is escaped once,
 * what changes with the request once per context (line_context.c); a line is
 * these pieces with the values between them. Run by whoever empties a ring.
 */
#include "core_priv.h"
#include "fields_priv.h"

#include <json.h>

#include <stdlib.h>
#include <string.h>

/* ---- pieces ------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void add_string(struct clew__buf *out, const char *name, const char *text)
{
    clew__buf_adds(out, name);
    clew__json_string(out, text, strlen(text));
}

static void add_keys(struct clew__buf *out, struct clew__site_text *text,
                     const struct clew_site *site)
{
    for (unsigned i = 0; i < site->nfields; i++) {
        text->types[i] = clew__stored_type(site, i);
        for (unsigned j = i + 1; j < site->nfields; j++)
            if (strcmp(site->keys[i], site->keys[j]) == 0)
                text->skip |= 1u << i;
        if (text->types[i] == CLEW_TYPE_MESSAGE)
            text->skip |= 1u << i;
        text->key_at[i] = (uint32_t)out->len;
        add_string(out, ",", site->keys[i]);
        clew__buf_addc(out, ':');
        text->key_len[i] = (uint32_t)out->len - text->key_at[i];
    }
}

struct clew__site_text *clew__site_text_new(const struct clew_site *site, const char *service)
{
    static const char padding[CLEW__PIECE_SLACK];
    struct clew__site_text fixed = {.skip = 0}, *text;
    struct clew__buf out;

    clew__buf_init(&out, 262144);
    clew__buf_addf(&out, "\",\"level\":\"%s\"", clew_level_name((enum clew_level)site->level));
    add_string(&out, ",\"service\":", service);
    fixed.head_len = (uint32_t)out.len;
    if (site->logger[0])
        add_string(&out, ",\"logger\":", site->logger);
    fixed.logger_len = (uint32_t)out.len - fixed.head_len;
    add_string(&out, ",\"message\":", site->message);
    fixed.message_len = (uint32_t)out.len - fixed.head_len - fixed.logger_len;
    clew__buf_adds(&out, ",\"context\":{");
    fixed.open_len = 12;
    add_keys(&out, &fixed, site);
    fixed.tail_at = (uint32_t)out.len;
    add_string(&out, "},\"source\":{\"file\":", base_name(site->file));
    clew__buf_addf(&out, ",\"line\":%d", site->line);
    add_string(&out, ",\"function\":", site->function);
    clew__buf_adds(&out, "}}");
    fixed.tail_len = (uint32_t)out.len - fixed.tail_at;
    fixed.total = (uint32_t)out.len;
    clew__buf_add(&out, padding, sizeof(padding));
    text = out.failed ? NULL : malloc(sizeof(*text) + out.len);
    if (text) {
        *text = fixed;
        memcpy(text->pieces, out.data, out.len);
    }
    clew__buf_done(&out);
    return text;
}

struct clew__logger_text *clew__logger_text_new(const char *name, const char *fields, size_t len)
{
    struct clew__logger_text *text = calloc(1, sizeof(*text));
    struct clew__field field;
    size_t at = 0, key_at[64];

    if (!text)
        return NULL;
    text->plain = name;
    clew__buf_init(&text->name, 4096);
    clew__buf_init(&text->fields, 131072);
    clew__buf_init(&text->keys, 131072);
    add_string(&text->name, ",\"logger\":", name);
    while (text->n < 64 && clew__fields_next(fields, len, &at, &field)) {
        key_at[text->n] = text->keys.len;
        clew__buf_add(&text->keys, field.key, field.key_len);
        clew__buf_addc(&text->keys, '\0');
        text->at[text->n].at = (uint32_t)text->fields.len;
        clew__json_string(&text->fields, field.key, field.key_len);
        clew__buf_addc(&text->fields, ':');
        clew__json_value(&text->fields, field.type, &field.value);
        text->at[text->n].len = (uint32_t)text->fields.len - text->at[text->n].at;
        text->at[text->n].field.type = field.type;
        text->at[text->n++].field.value = field.value;
    }
    if (text->name.failed || text->fields.failed || text->keys.failed) {
        clew__logger_text_free(text);
        return NULL;
    }
    for (size_t i = 0; i < text->n; i++)
        text->at[i].field.key = text->keys.data + key_at[i];
    return text;
}

void clew__logger_text_free(struct clew__logger_text *text)
{
    if (!text)
        return;
    clew__buf_done(&text->name);
    clew__buf_done(&text->fields);
    clew__buf_done(&text->keys);
    free(text);
}

/* ---- a line -------------------------------------------------------------------- */

/* Copies in steps of 16 bytes; both sides have the slack. */
static inline char *put_piece(char *p, const char *piece, size_t len)
{
    for (size_t i = 0; i < len; i += CLEW__PIECE_SLACK)
        memcpy(p + i, piece + i, CLEW__PIECE_SLACK);
    return p + len;
}

static char *put_timestamp(char *p, uint64_t time_ns, struct clew__date *date)
{
    uint64_t second = time_ns / 1000000000u, ns = time_ns % 1000000000u;

    if (__builtin_expect(second != date->second || date->len == 0, 0)) {
        char *end;

        memcpy(date->text, "{\"timestamp\":\"", 14);
        end = clew__put_time(date->text + 14, (int64_t)(second * 1000000000u));
        date->len = (uint32_t)(end - date->text) - 10; /* without the fraction and Z */
        date->second = second;
    }
    memcpy(p, date->text, sizeof(date->text));
    p = clew__put_fraction(p + date->len, (uint32_t)ns);
    *p++ = 'Z';
    return p;
}

static char *put_span_id(char *p, uint64_t span_id)
{
    memcpy(p, ",\"span_id\":\"", 12);
    clew__hex(p + 12, &span_id, 8);
    p[28] = '"';
    return p + 29;
}

static bool site_has_key(const struct clew_site *site, const char *key)
{
    for (unsigned i = 0; i < site->nfields; i++)
        if (strcmp(site->keys[i], key) == 0)
            return true;
    return false;
}

/* The fields of the logger that the call does not have itself. */
static char *put_logger_fields(char *p, const struct clew__line *line)
{
    const struct clew__logger_text *logger = line->logger;
    bool first = true;

    for (size_t i = 0; i < logger->n; i++) {
        if (site_has_key(line->site, logger->at[i].field.key))
            continue;
        if (!first)
            *p++ = ',';
        first = false;
        memcpy(p, logger->fields.data + logger->at[i].at, logger->at[i].len);
        p += logger->at[i].len;
    }
    return p;
}

/* The message that the call made itself; it is among the values. */
static char *put_own_message(char *p, const struct clew__line *line)
{
    const struct clew__site_text *text = line->text;
    struct clew_value value;
    size_t at = 0;

    for (unsigned i = 0; i < line->site->nfields; i++) {
        if (!clew__value_next(line->payload, line->payload_len, &at, text->types[i], &value))
            return NULL;
        if (text->types[i] == CLEW_TYPE_MESSAGE) {
            memcpy(p, ",\"message\":", 11);
            return clew__put_value(p + 11, CLEW_TYPE_STRING, &value, value.len);
        }
    }
    return NULL;
}

static bool has_own_message(const struct clew__site_text *text, unsigned nfields)
{
    for (unsigned i = 0; i < nfields; i++)
        if (text->types[i] == CLEW_TYPE_MESSAGE)
            return true;
    return false;
}

/* The values with their keys, each key with the comma before it but the first. */
static char *put_fields(char *p, const struct clew__line *line, bool first)
{
    const struct clew__site_text *text = line->text;
    const char *payload = line->payload, *end = payload + line->payload_len;
    size_t at = 0;

    for (unsigned i = 0; i < line->site->nfields; i++) {
        unsigned type = text->types[i];
        struct clew_value value;

        if (!clew__value_next(payload, line->payload_len, &at, type, &value))
            return NULL;
        if ((text->skip & (1u << i)) || (type == CLEW_TYPE_HELD && value.as.u == 0))
            continue;
        p = put_piece(p, text->pieces + text->key_at[i] + first, text->key_len[i] - first);
        first = false;
        if (type == CLEW_TYPE_INT)
            p = clew__put_int(p, value.as.i);
        else
            p = clew__put_value(p, type, &value,
                                value.as.s && type >= CLEW_TYPE_STRING ? (size_t)(end - value.as.s)
                                                                       : 0);
    }
    return p;
}

size_t clew__format_json_bound(const struct clew__line *line)
{
    size_t pieces = line->text->total;

    if (line->logger)
        pieces += line->logger->name.len + line->logger->fields.len + 64;
    return 512 + pieces + line->context->ids_json.len + line->context->bound_json.len +
           160u * line->site->nfields + 16 * line->payload_len;
}

char *clew__format_json(char *p, const struct clew__line *line, struct clew__date *date)
{
    const struct clew__site_text *text = line->text;
    const struct clew__line_context *context = line->context;
    const char *piece = text->pieces;
    char *opened;
    bool empty = true;

    p = put_timestamp(p, line->time_ns, date);
    p = put_piece(p, piece, text->head_len);
    piece += text->head_len;
    if (line->logger) {
        memcpy(p, line->logger->name.data, line->logger->name.len);
        p += line->logger->name.len;
    } else {
        p = put_piece(p, piece, text->logger_len);
    }
    piece += text->logger_len;
    p = put_piece(p, context->ids_json.data, context->ids_json.len);
    if (line->span_id)
        p = put_span_id(p, line->span_id);
    p = put_piece(p, context->bound_json.data, context->bound_json.len);
    if (__builtin_expect(has_own_message(text, line->site->nfields), 0)) {
        p = put_own_message(p, line);
        if (!p)
            return NULL;
    } else {
        p = put_piece(p, piece, text->message_len);
    }
    piece += text->message_len;
    p = put_piece(p, piece, text->open_len);
    opened = p;
    if (line->logger) {
        p = put_logger_fields(p, line);
        empty = p == opened;
    }
    p = put_fields(p, line, empty);
    if (!p)
        return NULL;
    if (p == opened) /* nothing in it: no context, and no brace that closes it */
        return put_piece(p - text->open_len, text->pieces + text->tail_at + 1, text->tail_len - 1);
    return put_piece(p, text->pieces + text->tail_at, text->tail_len);
}

/* ---- taken apart ---------------------------------------------------------------- */

int clew__line_fields(const struct clew__line *line, struct clew_field ret[CLEW__LINE_FIELDS_MAX],
                      const char **ret_message, size_t *ret_message_len)
{
    const struct clew__site_text *text = line->text;
    size_t at = 0;
    int n = 0;

    *ret_message = line->site->message;
    *ret_message_len = strlen(line->site->message);
    for (size_t i = 0; line->logger && i < line->logger->n; i++)
        if (!site_has_key(line->site, line->logger->at[i].field.key))
            ret[n++] = line->logger->at[i].field;
    for (unsigned i = 0; i < line->site->nfields; i++) {
        struct clew_value value;

        if (!clew__value_next(line->payload, line->payload_len, &at, text->types[i], &value))
            return -1;
        if (text->types[i] == CLEW_TYPE_MESSAGE) {
            *ret_message = value.as.s ? value.as.s : "";
            *ret_message_len = value.len;
        }
        if (!(text->skip & (1u << i)) && !(text->types[i] == CLEW_TYPE_HELD && value.as.u == 0))
            ret[n++] = (struct clew_field){
                .key = line->site->keys[i], .type = (enum clew_type)text->types[i], .value = value};
    }
    return n;
}
