/* SPDX-License-Identifier: Apache-2.0
 * From a template's text to its pieces, when the configuration is read. Whatever
 * could go wrong goes wrong here, with a reason. An `if` is a piece that jumps
 * forward over what it guards; there is no way to jump back. */
#include "template_priv.h"
#include "text.h"

#include <common/duration.h>
#include <common/instant.h>

#include <clew/log.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 128u
#define DEPTH_MAX 8u
#define WORD_MAX 64 /* characters of a wrong word in an error */

enum type { ONE, MAP, TIME };

static const struct {
    const char *name;
    enum clew__field field;
    enum type type;
} fields[] = {
#define X(id, name, type) {name, CLEW__FIELD_##id, type},
    CLEW__FIELD_MAP(X)
#undef X
};

/* ---- functions ------------------------------------------------------------ */

static void urlquery(struct clew__buf *buf, const char *text, size_t len, const char *arg)
{
    (void)arg;
    clew__text_urlquery(buf, text, len);
}

static void to_upper(struct clew__buf *buf, const char *text, size_t len, const char *arg)
{
    (void)arg;
    for (size_t i = 0; i < len; i++)
        clew__buf_addc(buf, text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : text[i]);
}

static void to_lower(struct clew__buf *buf, const char *text, size_t len, const char *arg)
{
    (void)arg;
    for (size_t i = 0; i < len; i++)
        clew__buf_addc(buf, text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i]);
}

static void or_default(struct clew__buf *buf, const char *text, size_t len, const char *arg)
{
    if (len)
        clew__buf_add(buf, text, len);
    else
        clew__buf_adds(buf, arg);
}

#define FUNCTION_NAMES "urlquery, toUpper, toLower, default, add, unix, unixMs"

static const struct {
    const char *name;
    void (*call)(struct clew__buf *buf, const char *text, size_t len, const char *arg);
    bool has_arg;
} functions[] = {
    {"urlquery", urlquery, false},
    {"toUpper", to_upper, false},
    {"toLower", to_lower, false},
    {"default", or_default, true},
};

/* ---- words ---------------------------------------------------------------- */

struct parser {
    struct clew__template *template;
    const char *at;         /* what is not read yet */
    size_t open[DEPTH_MAX]; /* for each `if` that is not ended: its piece, or its else's */
    bool had_else[DEPTH_MAX];
    unsigned depth;
};

static int out_of_memory(void)
{
    return clew_set_error(-ENOMEM, "out of memory");
}

static void skip_space(struct parser *parser)
{
    while (isspace((unsigned char)*parser->at))
        parser->at++;
}

/* Letters, digits and '_' at `at`; returns how many, and is behind them. */
static size_t take_word(struct parser *parser)
{
    const char *start = parser->at;

    while (isalnum((unsigned char)*parser->at) || *parser->at == '_')
        parser->at++;
    return (size_t)(parser->at - start);
}

static bool is_word(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(word, name, len) == 0;
}

static bool at_end(const struct parser *parser)
{
    return parser->at[0] == '}' && parser->at[1] == '}';
}

/* "text" with \" and \\ in it. */
static int take_string(struct parser *parser, char **ret_text)
{
    const char *from;
    char *text, *to;

    skip_space(parser);
    if (*parser->at != '"')
        return clew_set_error(-EINVAL, "expected a text in double quotes");
    from = parser->at + 1;
    to = text = malloc(strlen(from) + 1);
    if (!text)
        return out_of_memory();
    while (*from && *from != '"') {
        if (from[0] == '\\' && (from[1] == '"' || from[1] == '\\'))
            from++;
        *to++ = *from++;
    }
    *to = '\0';
    if (!*from) {
        free(text);
        return clew_set_error(-EINVAL, "a text in double quotes has no end");
    }
    parser->at = from + 1;
    *ret_text = text;
    return 0;
}

/* ---- values --------------------------------------------------------------- */

static void value_done(struct clew__value *value)
{
    free(value->key);
    for (unsigned i = 0; i < value->ncalls; i++)
        free(value->calls[i].arg);
}

static int take_key(struct parser *parser, const char *field, struct clew__value *value)
{
    const char *key;
    size_t len = 0;

    if (*parser->at == '.') {
        key = ++parser->at;
        len = take_word(parser);
    }
    if (len == 0)
        return clew_set_error(-EINVAL, "\".%s\" needs a name: .%s.name", field, field);
    value->key = strndup(key, len);
    return value->key ? 0 : out_of_memory();
}

/* ".Name" or ".Name.key". */
static int take_field(struct parser *parser, struct clew__value *value, enum type *ret_type)
{
    const size_t n = sizeof(fields) / sizeof(fields[0]);
    const char *name;
    size_t len, i = 0;

    skip_space(parser);
    if (*parser->at != '.')
        return clew_set_error(-EINVAL, "expected a field such as .CommonLabels.severity after {{");
    name = ++parser->at;
    len = take_word(parser);
    while (i < n && !is_word(name, len, fields[i].name))
        i++;
    if (i == n)
        return clew_set_error(-EINVAL, "unknown field \".%.*s\"",
                              (int)(len > WORD_MAX ? WORD_MAX : len), name);
    value->field = fields[i].field;
    *ret_type = fields[i].type;
    return fields[i].type == MAP ? take_key(parser, fields[i].name, value) : 0;
}

/* What only a time has; returns 1 when the word is none of it. */
static int take_time_function(struct parser *parser, const char *name, size_t len,
                              struct clew__value *value, enum type *type)
{
    bool add = is_word(name, len, "add"), ms = is_word(name, len, "unixMs");
    char *text = NULL;
    bool negative;
    int64_t span;
    int r;

    if (!add && !ms && !is_word(name, len, "unix"))
        return 1;
    if (*type != TIME)
        return clew_set_error(-EINVAL, "%.*s needs a time, as .StartsAt", (int)len, name);
    if (!add) {
        value->form = ms ? CLEW__TIME_UNIX_MS : CLEW__TIME_UNIX;
        *type = ONE;
        return 0;
    }
    r = take_string(parser, &text);
    if (r < 0)
        return r;
    negative = *text == '-';
    if (!clew__duration_parse(text + negative, &span))
        r = clew_set_error(-EINVAL, "add needs a span of time, as \"-10m\"");
    else
        value->offset_ns += negative ? -span : span;
    free(text);
    return r;
}

static int take_function(struct parser *parser, struct clew__value *value, enum type *type)
{
    const size_t n = sizeof(functions) / sizeof(functions[0]);
    const char *name = parser->at;
    size_t len = take_word(parser), i = 0;
    int r = take_time_function(parser, name, len, value, type);

    if (r <= 0)
        return r;
    while (i < n && !is_word(name, len, functions[i].name))
        i++;
    if (i == n)
        return clew_set_error(-EINVAL, "unknown function \"%.*s\" (there are " FUNCTION_NAMES ")",
                              (int)(len > WORD_MAX ? WORD_MAX : len), name);
    if (value->ncalls == CLEW__TEMPLATE_FUNCTIONS_MAX)
        return clew_set_error(-EINVAL, "more than %u functions", CLEW__TEMPLATE_FUNCTIONS_MAX);
    value->calls[value->ncalls++].function = functions[i].call;
    *type = ONE;
    return functions[i].has_arg ? take_string(parser, &value->calls[value->ncalls - 1].arg) : 0;
}

/* .Field | function | function "text" */
static int take_value(struct parser *parser, struct clew__value *value)
{
    enum type type;
    int r = take_field(parser, value, &type);

    for (skip_space(parser); r == 0 && *parser->at == '|'; skip_space(parser)) {
        parser->at++;
        skip_space(parser);
        r = take_function(parser, value, &type);
    }
    return r;
}

/* ---- pieces --------------------------------------------------------------- */

static struct clew__piece *add_piece(struct parser *parser)
{
    struct clew__template *template = parser->template;
    struct clew__piece *longer;

    if (template->n == PIECES_MAX) {
        (void)clew_set_error(-EINVAL, "more than %u pieces", PIECES_MAX);
        return NULL;
    }
    longer = realloc(template->pieces, (template->n + 1) * sizeof(*longer));
    if (!longer) {
        (void)out_of_memory();
        return NULL;
    }
    template->pieces = longer;
    longer[template->n] = (struct clew__piece){0};
    return &longer[template->n++];
}

/* The error that add_piece() has set. */
static int no_piece(const struct parser *parser)
{
    return parser->template->n == PIECES_MAX ? -EINVAL : -ENOMEM;
}

static int add_text(struct parser *parser, const char *text, size_t len)
{
    struct clew__piece *piece = len ? add_piece(parser) : NULL;

    if (!piece)
        return len ? no_piece(parser) : 0;
    piece->text = strndup(text, len);
    return piece->text ? 0 : out_of_memory();
}

/* if .Field · if not .Field · if eq .Field "text" · if ne .Field "text" */
static int take_if(struct parser *parser)
{
    const char *start, *word;
    struct clew__piece *piece;
    size_t len;
    bool compares;
    int r;

    if (parser->depth == DEPTH_MAX)
        return clew_set_error(-EINVAL, "if in if, more than %u deep", DEPTH_MAX);
    piece = add_piece(parser);
    if (!piece)
        return no_piece(parser);
    piece->kind = CLEW__PIECE_IF;
    skip_space(parser);
    start = word = parser->at;
    len = take_word(parser);
    compares = is_word(word, len, "eq") || is_word(word, len, "ne");
    piece->negated = is_word(word, len, "ne") || is_word(word, len, "not");
    if (!compares && !piece->negated)
        parser->at = start;
    r = take_value(parser, &piece->value);
    if (r == 0 && compares)
        r = take_string(parser, &piece->text);
    parser->had_else[parser->depth] = false;
    parser->open[parser->depth++] = parser->template->n - 1;
    return r;
}

static int take_else(struct parser *parser)
{
    struct clew__piece *piece;

    if (parser->depth == 0 || parser->had_else[parser->depth - 1])
        return clew_set_error(-EINVAL, "else without if");
    piece = add_piece(parser);
    if (!piece)
        return no_piece(parser);
    piece->kind = CLEW__PIECE_JUMP;
    parser->template->pieces[parser->open[parser->depth - 1]].to = parser->template->n;
    parser->open[parser->depth - 1] = parser->template->n - 1;
    parser->had_else[parser->depth - 1] = true;
    return 0;
}

static int take_end(struct parser *parser)
{
    if (parser->depth == 0)
        return clew_set_error(-EINVAL, "end without if");
    parser->template->pieces[parser->open[--parser->depth]].to = parser->template->n;
    return 0;
}

/* What stands between {{ and }}. */
static int take_action(struct parser *parser)
{
    const char *start, *word;
    struct clew__piece *piece;
    size_t len;
    int r;

    skip_space(parser);
    start = word = parser->at;
    len = take_word(parser);
    if (is_word(word, len, "if")) {
        r = take_if(parser);
    } else if (is_word(word, len, "else")) {
        r = take_else(parser);
    } else if (is_word(word, len, "end")) {
        r = take_end(parser);
    } else {
        parser->at = start;
        piece = add_piece(parser);
        if (!piece)
            return no_piece(parser);
        piece->kind = CLEW__PIECE_VALUE;
        r = take_value(parser, &piece->value);
    }
    if (r < 0)
        return r;
    skip_space(parser);
    if (!*parser->at)
        return clew_set_error(-EINVAL, "{{ without }}");
    if (!at_end(parser))
        return clew_set_error(-EINVAL, "expected | or }} after the field");
    parser->at += 2;
    return 0;
}

int clew__template_parse(const char *text, struct clew__template **ret_template)
{
    struct parser parser = {.template = calloc(1, sizeof(*parser.template)), .at = text};
    int r = 0;

    if (!parser.template)
        return out_of_memory();
    while (*parser.at && r == 0) {
        const char *open = strstr(parser.at, "{{");

        r = add_text(&parser, parser.at, open ? (size_t)(open - parser.at) : strlen(parser.at));
        if (!open)
            break;
        parser.at = open + 2;
        if (r == 0)
            r = take_action(&parser);
    }
    if (r == 0 && parser.depth)
        r = clew_set_error(-EINVAL, "if without end");
    if (r < 0)
        (void)clew__template_free(parser.template);
    else
        *ret_template = parser.template;
    return r;
}

struct clew__template *clew__template_free(struct clew__template *template)
{
    if (!template)
        return NULL;
    for (size_t i = 0; i < template->n; i++) {
        free(template->pieces[i].text);
        value_done(&template->pieces[i].value);
    }
    free(template->pieces);
    free(template);
    return NULL;
}
