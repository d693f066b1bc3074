/* SPDX-License-Identifier: Apache-2.0
 * YAML through libyaml's document tree. The tree keeps the place of each node,
 * which a mapper onto C structures throws away, and with it the only honest
 * answer to "what is wrong with my configuration, and where?".
 *
 * Aliases make the tree a graph, possibly a cyclic one: who descends bounds the
 * depth and the number of nodes visited. MT-Unsafe: one thread per tree. */
#include "yaml_tree.h"

#include <clew/log.h>

#include <buf.h>
#include <json.h>
#include <scan.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int not_yaml(const struct clew__yaml *yaml, const yaml_parser_t *parser)
{
    return clew_set_error(-EINVAL, "%s:%zu:%zu: %s", yaml->file, parser->problem_mark.line + 1,
                          parser->problem_mark.column + 1,
                          parser->problem ? parser->problem : "not YAML");
}

/* Behind the document: that there is none. */
static int refuse_second(const struct clew__yaml *yaml, yaml_parser_t *parser)
{
    yaml_document_t second;
    yaml_node_t *more;
    int r = 0;

    if (!yaml_parser_load(parser, &second))
        return not_yaml(yaml, parser);
    more = yaml_document_get_root_node(&second);
    if (more)
        r = clew_set_error(-EINVAL, "%s:%zu:%zu: a second document", yaml->file,
                           more->start_mark.line + 1, more->start_mark.column + 1);
    yaml_document_delete(&second);
    return r;
}

int clew__yaml_parse(struct clew__yaml *yaml, const char *file, const char *text, size_t len)
{
    yaml_parser_t parser;
    int r;

    yaml->file = file;
    if (len > CLEW__YAML_FILE_MAX)
        return clew_set_error(-EFBIG, "%s: larger than %u bytes", file, CLEW__YAML_FILE_MAX);
    if (!yaml_parser_initialize(&parser))
        return clew_set_error(-ENOMEM, "%s: out of memory", file);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (!yaml_parser_load(&parser, &yaml->document)) {
        r = not_yaml(yaml, &parser);
    } else {
        r = yaml_document_get_root_node(&yaml->document)
                ? refuse_second(yaml, &parser)
                : clew_set_error(-EINVAL, "%s:1:1: the file is empty", file);
        if (r < 0)
            yaml_document_delete(&yaml->document);
    }
    yaml_parser_delete(&parser);
    return r;
}

int clew__yaml_load(struct clew__yaml *yaml, const char *file)
{
    FILE *stream = fopen(file, "re");
    char *text;
    size_t len;
    int r;

    if (!stream)
        return clew_set_error(-errno, "%s: %s", file, strerror(errno));
    text = malloc(CLEW__YAML_FILE_MAX + 1);
    if (!text) {
        (void)fclose(stream);
        return clew_set_error(-ENOMEM, "%s: out of memory", file);
    }
    len = fread(text, 1, CLEW__YAML_FILE_MAX + 1, stream);
    r = ferror(stream) ? clew_set_error(-EIO, "%s: cannot be read", file)
                       : clew__yaml_parse(yaml, file, text, len);
    free(text);
    (void)fclose(stream);
    return r;
}

void clew__yaml_done(struct clew__yaml *yaml)
{
    yaml_document_delete(&yaml->document);
}

struct clew__yaml_node clew__yaml_root(struct clew__yaml *yaml)
{
    return (struct clew__yaml_node){yaml, yaml_document_get_root_node(&yaml->document)};
}

int clew__yaml_error(struct clew__yaml_node node, const char *format, ...)
{
    char reason[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    return clew_set_error(-EINVAL, "%s:%zu:%zu: %s", node.yaml->file,
                          node.node ? node.node->start_mark.line + 1 : 1,
                          node.node ? node.node->start_mark.column + 1 : 1, reason);
}

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static yaml_node_t *at(struct clew__yaml_node node, int index)
{
    return yaml_document_get_node(&node.yaml->document, index);
}

static int unknown_key(struct clew__yaml_node key, const char *name, const char *const *keys)
{
    char known[256];
    size_t len = 0;

    known[0] = '\0';
    for (size_t i = 0; keys[i]; i++) {
        size_t n = strlen(keys[i]) + 2;

        if (len + n + sizeof("...") > sizeof(known)) {
            (void)snprintf(known + len, sizeof(known) - len, ", ...");
            break;
        }
        len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "", keys[i]);
    }
    return clew__yaml_error(key, "unknown key \"%.64s\"; known here: %s", name, known);
}

int clew__yaml_keys(struct clew__yaml_node mapping, const char *const *keys)
{
    uint64_t seen = 0;

    if (!mapping.node || mapping.node->type != YAML_MAPPING_NODE)
        return clew__yaml_error(mapping, "expected a mapping (key: value)");
    for (yaml_node_pair_t *pair = mapping.node->data.mapping.pairs.start;
         pair < mapping.node->data.mapping.pairs.top; pair++) {
        struct clew__yaml_node key = {mapping.yaml, at(mapping, pair->key)};
        const char *name = scalar(key.node);
        unsigned i;

        if (!name)
            return clew__yaml_error(key, "a key has to be a word");
        for (i = 0; keys[i] && strcmp(keys[i], name) != 0; i++)
            ;
        if (!keys[i])
            return unknown_key(key, name, keys);
        if (seen & UINT64_C(1) << i)
            return clew__yaml_error(key, "key \"%s\" stands here twice", name);
        seen |= UINT64_C(1) << i;
    }
    return 0;
}

/* An empty value, or one of the words for null without quotes. */
static bool is_null(const yaml_node_t *node)
{
    const char *text = scalar(node);

    return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

struct clew__yaml_node clew__yaml_get(struct clew__yaml_node mapping, const char *key)
{
    struct clew__yaml_node none = {mapping.yaml, NULL};

    for (yaml_node_pair_t *pair = mapping.node->data.mapping.pairs.start;
         pair < mapping.node->data.mapping.pairs.top; pair++) {
        const char *name = scalar(at(mapping, pair->key));

        if (name && strcmp(name, key) == 0) {
            struct clew__yaml_node value = {mapping.yaml, at(mapping, pair->value)};

            return is_null(value.node) ? none : value;
        }
    }
    return none;
}

int clew__yaml_count(struct clew__yaml_node sequence, int max)
{
    ptrdiff_t n;

    if (!sequence.node)
        return 0;
    if (sequence.node->type != YAML_SEQUENCE_NODE)
        return clew__yaml_error(sequence, "expected a list");
    n = sequence.node->data.sequence.items.top - sequence.node->data.sequence.items.start;
    if (n > max)
        return clew__yaml_error(sequence, "more than %d entries", max);
    return (int)n;
}

static bool is_double(struct clew__yaml_node mapping, int i)
{
    const yaml_node_pair_t *pair = mapping.node->data.mapping.pairs.start;
    const char *name = scalar(at(mapping, pair[i].key));

    for (int before = 0; before < i; before++)
        if (strcmp(scalar(at(mapping, pair[before].key)), name) == 0)
            return true;
    return false;
}

int clew__yaml_pairs(struct clew__yaml_node mapping, int max)
{
    ptrdiff_t n;

    if (!mapping.node)
        return 0;
    if (mapping.node->type != YAML_MAPPING_NODE)
        return clew__yaml_error(mapping, "expected a mapping (key: value)");
    n = mapping.node->data.mapping.pairs.top - mapping.node->data.mapping.pairs.start;
    if (n > max)
        return clew__yaml_error(mapping, "more than %d entries", max);
    for (int i = 0; i < n; i++) {
        struct clew__yaml_node key = clew__yaml_pair(mapping, i, NULL);

        if (!scalar(key.node))
            return clew__yaml_error(key, "a key has to be a word");
        if (is_double(mapping, i))
            return clew__yaml_error(key, "this key stands here twice");
    }
    return (int)n;
}

struct clew__yaml_node clew__yaml_pair(struct clew__yaml_node mapping, int i,
                                       struct clew__yaml_node *ret_value)
{
    const yaml_node_pair_t *pair = mapping.node->data.mapping.pairs.start + i;

    if (ret_value) {
        *ret_value = (struct clew__yaml_node){mapping.yaml, at(mapping, pair->value)};
        if (is_null(ret_value->node))
            ret_value->node = NULL;
    }
    return (struct clew__yaml_node){mapping.yaml, at(mapping, pair->key)};
}

bool clew__yaml_is_list(struct clew__yaml_node node)
{
    return node.node && node.node->type == YAML_SEQUENCE_NODE;
}

bool clew__yaml_is_mapping(struct clew__yaml_node node)
{
    return node.node && node.node->type == YAML_MAPPING_NODE;
}

struct clew__yaml_node clew__yaml_entry(struct clew__yaml_node sequence, int i)
{
    return (struct clew__yaml_node){sequence.yaml,
                                    at(sequence, sequence.node->data.sequence.items.start[i])};
}

const char *clew__yaml_word(struct clew__yaml_node node)
{
    return node.node ? scalar(node.node) : NULL;
}

bool clew__yaml_is_plain(struct clew__yaml_node node)
{
    return clew__yaml_word(node) && node.node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* The length of NAME in "${NAME}" at text, 0 when there is none. */
static size_t variable_len(const char *text)
{
    size_t n = 0;

    if (text[0] != '$' || text[1] != '{' || (!isalpha((unsigned char)text[2]) && text[2] != '_'))
        return 0;
    while (isalnum((unsigned char)text[2 + n]) || text[2 + n] == '_')
        n++;
    return text[2 + n] == '}' && n < 256 ? n : 0;
}

static void substitute(struct clew__buf *buf, const char *text)
{
    while (*text) {
        size_t n = variable_len(text);
        char name[256];
        const char *value;

        if (text[0] == '$' && (n = variable_len(text + 1)) > 0) {
            clew__buf_add(buf, text + 1, n + 3);
            text += n + 4;
        } else if ((n = variable_len(text)) > 0) {
            memcpy(name, text + 2, n);
            name[n] = '\0';
            value = getenv(name);
            clew__buf_adds(buf, value ? value : "");
            text += n + 3;
        } else {
            clew__buf_addc(buf, *text++);
        }
    }
}

int clew__yaml_text(struct clew__yaml_node node, size_t max, const char *fallback, char **ret_text)
{
    const char *text = node.node ? scalar(node.node) : fallback;
    struct clew__buf buf;
    char *copy;
    size_t len = 0;

    if (!node.node && !fallback) {
        *ret_text = NULL;
        return 0;
    }
    if (!text)
        return clew__yaml_error(node, "expected a text");
    if (node.node && node.node->data.scalar.length != strlen(text))
        return clew__yaml_error(node, "a NUL character in a text");
    clew__buf_init(&buf, CLEW__YAML_TEXT_MAX);
    substitute(&buf, text);
    copy = clew__buf_take(&buf, &len);
    if (!copy || len > max) {
        free(copy);
        return clew__yaml_error(node, "longer than %zu bytes", max);
    }
    for (size_t i = 0, n; i < len; i += n) {
        n = clew__utf8_sequence(copy + i, len - i);
        if (n == 0) {
            free(copy);
            return clew__yaml_error(node, "not UTF-8 (from an environment variable)");
        }
    }
    *ret_text = copy;
    return 0;
}

int clew__yaml_bool(struct clew__yaml_node node, bool *ret_value)
{
    const char *text = scalar(node.node);

    if (!node.node)
        return 0;
    if (!text || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
        return clew__yaml_error(node, "expected true or false");
    *ret_value = strcmp(text, "true") == 0;
    return 0;
}

int clew__yaml_uint(struct clew__yaml_node node, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    const char *text = scalar(node.node);
    uint64_t value;

    if (!node.node)
        return 0;
    if (!text || !*text || strlen(text) > 19 || strspn(text, "0123456789") != strlen(text))
        return clew__yaml_error(node, "expected a number");
    value = strtoull(text, NULL, 10);
    if (value < min || value > max)
        return clew__yaml_error(node, "expected a number from %" PRIu64 " to %" PRIu64, min, max);
    *ret_value = value;
    return 0;
}

int clew__yaml_double(struct clew__yaml_node node, double *ret_value)
{
    const char *text = scalar(node.node);
    double value;

    if (!node.node)
        return 0;
    if (!text || !clew__scan_is_number(text, strlen(text)))
        return clew__yaml_error(node, "expected a number");
    value = clew__scan_double(text, strlen(text));
    if (!isfinite(value))
        return clew__yaml_error(node, "expected a finite number");
    *ret_value = value;
    return 0;
}
