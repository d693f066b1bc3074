/* SPDX-License-Identifier: Apache-2.0
 * A template is parsed once, when the configuration is read, into a list of
 * pieces: a literal, or a field with its functions. Whatever could go wrong goes
 * wrong there, with a reason; rendering cannot fail except by the buffer's cap.
 * A template is immutable, so any thread may render it. */
#include "template.h"

#include <clew/log.h>

#include <json.h>

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS_MAX 4u
#define PIECES_MAX 64u
#define VALUE_MAX 4096u /* bytes of one value; longer ones are cut, no page is lost for it */

enum field {
    FIELD_LITERAL,
    FIELD_STATUS,
    FIELD_RECEIVER,
    FIELD_EXTERNAL_URL,
    FIELD_GROUP_LABELS,
    FIELD_COMMON_LABELS,
    FIELD_COMMON_ANNOTATIONS,
    FIELD_LABELS,
    FIELD_ANNOTATIONS,
};

static const struct {
    const char *name;
    enum field field;
    bool is_map;
} fields[] = {
    {"Status", FIELD_STATUS, false},
    {"Receiver", FIELD_RECEIVER, false},
    {"ExternalURL", FIELD_EXTERNAL_URL, false},
    {"GroupLabels", FIELD_GROUP_LABELS, true},
    {"CommonLabels", FIELD_COMMON_LABELS, true},
    {"CommonAnnotations", FIELD_COMMON_ANNOTATIONS, true},
    {"Labels", FIELD_LABELS, true},
    {"Annotations", FIELD_ANNOTATIONS, true},
};

typedef void function(struct clew__buf *buf, const char *text, size_t len);

struct piece {
    enum field field;
    char *text; /* the literal, or the name within a map */
    function *functions[FUNCTIONS_MAX];
    unsigned nfunctions;
};

struct clew__template {
    struct piece *pieces;
    size_t n;
};

/* Like Go's url.QueryEscape: a space becomes '+'. */
static void urlquery(struct clew__buf *buf, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~')
            clew__buf_addc(buf, (char)c);
        else if (c == ' ')
            clew__buf_addc(buf, '+');
        else
            clew__buf_addf(buf, "%%%02X", c);
    }
}

static void to_upper(struct clew__buf *buf, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        clew__buf_addc(buf, text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : text[i]);
}

static void to_lower(struct clew__buf *buf, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        clew__buf_addc(buf, text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i]);
}

static function *find_function(const char *name, size_t len)
{
    static const struct {
        const char *name;
        function *call;
    } functions[] = {{"urlquery", urlquery}, {"toUpper", to_upper}, {"toLower", to_lower}};

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strlen(functions[i].name) == len && memcmp(functions[i].name, name, len) == 0)
            return functions[i].call;
    return NULL;
}

static struct piece *add_piece(struct clew__template *template, enum field field, const char *text,
                               size_t len)
{
    struct piece *pieces = realloc(template->pieces, (template->n + 1) * sizeof(*pieces));
    char *copy = strndup(text, len);

    if (pieces)
        template->pieces = pieces;
    if (!pieces || !copy) {
        free(copy);
        return NULL;
    }
    pieces[template->n] = (struct piece){.field = field, .text = copy};
    return &pieces[template->n++];
}

static void skip_space(const char **at, const char *end)
{
    while (*at < end && isspace((unsigned char)**at))
        (*at)++;
}

static size_t take_word(const char **at, const char *end)
{
    const char *start = *at;

    while (*at < end && (isalnum((unsigned char)**at) || **at == '_'))
        (*at)++;
    return (size_t)(*at - start);
}

/* ".Name" or ".Name.key" at *at. */
static int parse_field(struct clew__template *template, const char **at, const char *end,
                       struct piece **ret_piece)
{
    const char *name, *key = "";
    size_t len, key_len = 0, i;

    if (*at == end || **at != '.')
        return clew_set_error(-EINVAL, "expected a field such as .CommonLabels.severity after {{");
    name = ++*at;
    len = take_word(at, end);
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strlen(fields[i].name) == len && memcmp(fields[i].name, name, len) == 0)
            break;
    if (i == sizeof(fields) / sizeof(fields[0]))
        return clew_set_error(-EINVAL, "unknown field \".%.*s\"", (int)(len > 64 ? 64 : len), name);
    if (fields[i].is_map) {
        if (*at < end && **at == '.') {
            key = ++*at;
            key_len = take_word(at, end);
        }
        if (key_len == 0)
            return clew_set_error(-EINVAL, "\".%s\" needs a name: .%s.name", fields[i].name,
                                  fields[i].name);
    }
    *ret_piece = add_piece(template, fields[i].field, key, key_len);
    return *ret_piece ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

/* What stands between {{ and }}. */
static int parse_action(struct clew__template *template, const char *at, const char *end)
{
    struct piece *piece = NULL;
    int r;

    skip_space(&at, end);
    r = parse_field(template, &at, end, &piece);
    if (r < 0)
        return r;
    for (;;) {
        const char *name;
        size_t len;

        skip_space(&at, end);
        if (at == end)
            return 0;
        if (*at++ != '|')
            return clew_set_error(-EINVAL, "expected | or }} after the field");
        skip_space(&at, end);
        name = at;
        len = take_word(&at, end);
        if (piece->nfunctions == FUNCTIONS_MAX)
            return clew_set_error(-EINVAL, "more than %u functions", FUNCTIONS_MAX);
        piece->functions[piece->nfunctions] = find_function(name, len);
        if (!piece->functions[piece->nfunctions])
            return clew_set_error(
                -EINVAL, "unknown function \"%.*s\" (there are urlquery, toUpper, toLower)",
                (int)(len > 64 ? 64 : len), name);
        piece->nfunctions++;
    }
}

int clew__template_parse(const char *text, struct clew__template **ret_template)
{
    struct clew__template *template = calloc(1, sizeof(*template));
    int r = 0;

    while (template && *text && r == 0) {
        const char *open = strstr(text, "{{"), *close;
        size_t len = open ? (size_t)(open - text) : strlen(text);

        if (len && !add_piece(template, FIELD_LITERAL, text, len))
            r = clew_set_error(-ENOMEM, "out of memory");
        if (!open || r < 0)
            break;
        if (template->n >= PIECES_MAX) {
            r = clew_set_error(-EINVAL, "more than %u pieces", PIECES_MAX);
            break;
        }
        close = strstr(open, "}}");
        if (!close) {
            r = clew_set_error(-EINVAL, "{{ without }}");
            break;
        }
        r = parse_action(template, open + 2, close);
        text = close + 2;
    }
    if (!template)
        return clew_set_error(-ENOMEM, "out of memory");
    if (r < 0)
        template = clew__template_free(template);
    else
        *ret_template = template;
    return r;
}

struct clew__template *clew__template_free(struct clew__template *template)
{
    if (!template)
        return NULL;
    for (size_t i = 0; i < template->n; i++)
        free(template->pieces[i].text);
    free(template->pieces);
    free(template);
    return NULL;
}

static const char *value_of(const struct piece *piece, const struct clew__page *page)
{
    switch (piece->field) {
    case FIELD_STATUS:
        return page->action == CLEW__ACTION_RESOLVE ? "resolved" : "firing";
    case FIELD_RECEIVER:
        return page->receiver;
    case FIELD_EXTERNAL_URL:
        return page->external_url;
    case FIELD_GROUP_LABELS:
        return clew__page_value(page->group_labels, piece->text);
    case FIELD_COMMON_LABELS:
        return clew__page_value(page->common_labels, piece->text);
    case FIELD_COMMON_ANNOTATIONS:
        return clew__page_value(page->common_annotations, piece->text);
    case FIELD_LABELS:
        return clew__page_shared(page, false, piece->text);
    case FIELD_ANNOTATIONS:
        return clew__page_shared(page, true, piece->text);
    default:
        return piece->text;
    }
}

static void render_value(const struct piece *piece, const char *value, clew__escape *escape,
                         struct clew__buf *buf)
{
    struct clew__buf from, to;

    clew__buf_init(&from, buf->max);
    clew__buf_init(&to, buf->max);
    clew__buf_add(&from, value, clew__utf8_cut(value, strlen(value), VALUE_MAX));
    for (unsigned i = 0; i < piece->nfunctions; i++) {
        struct clew__buf swap = from;

        clew__buf_reset(&to);
        piece->functions[i](&to, from.data ? from.data : "", from.len);
        from = to;
        to = swap;
    }
    if (from.failed || to.failed)
        buf->failed = true;
    else if (escape)
        escape(buf, from.data ? from.data : "", from.len);
    else
        clew__buf_add(buf, from.data ? from.data : "", from.len);
    clew__buf_done(&from);
    clew__buf_done(&to);
}

void clew__template_render(const struct clew__template *template, const struct clew__page *page,
                           clew__escape *escape, struct clew__buf *buf)
{
    for (size_t i = 0; i < template->n; i++) {
        const struct piece *piece = &template->pieces[i];

        if (piece->field == FIELD_LITERAL)
            clew__buf_adds(buf, piece->text);
        else
            render_value(piece, value_of(piece, page), escape, buf);
    }
}
