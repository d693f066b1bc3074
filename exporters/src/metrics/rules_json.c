/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of JSON as events. First all quotes that begin or end a string are found
 * (rules_quotes.c); then the line is walked from one to the next, so that the
 * inside of strings is never looked at again. Keys are looked up in tables, one
 * for each object that has something in it; other objects are walked as well,
 * because a line counts only when all of it is JSON. What was read so is remembered:
 * the next line that differs in its values only is read by rules_layout.c.
 *
 * A line with control characters or of more than 32 KiB is left to the scanner,
 * which answers the same; tests/fuzz/run derive holds one against the other.
 */
#include "rules_json.h"

#include "rules_hash.h"

#include <buf.h>
#include <scan.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 256u
#define ENTRIES_MIN 16u
#define NONE UINT8_MAX

/* A key that something is known about. Of the same thing at several places the
 * lowest rank counts. */
struct entry {
    const char *key;
    uint32_t len;
    uint8_t columns[2]; /* where its value goes; NONE: nowhere */
    uint8_t ranks[2];
    struct clew__json_node *child; /* where its members are known; NULL: nowhere */
};

struct clew__json_node {
    struct entry *entries; /* open addressing, a power of two of them, half empty */
    uint32_t mask, n;
};

/* ---- tables ------------------------------------------------------------------------ */

static inline uint32_t slot_of(const char *key, size_t len)
{
    uint64_t word = len < 8 ? clew__read_short(key, len) : clew__read(key, 8);

    return (uint32_t)((word + len) * UINT64_C(0x9E3779B97F4A7C15) >> 40);
}

static inline const struct entry *find(const struct clew__json_node *node, const char *key,
                                       size_t len)
{
    for (uint32_t i = slot_of(key, len);; i++) {
        const struct entry *entry = &node->entries[i & node->mask];

        if (!entry->key || (entry->len == len && clew__same_text(entry->key, key, len)))
            return entry;
    }
}

static bool grow(struct clew__json_node *node)
{
    uint32_t size = node->entries ? 2 * (node->mask + 1) : ENTRIES_MIN;
    struct clew__json_node larger = {calloc(size, sizeof(struct entry)), size - 1, node->n};

    if (!larger.entries)
        return false;
    for (uint32_t i = 0; node->entries && i <= node->mask; i++)
        if (node->entries[i].key)
            *(struct entry *)(uintptr_t)find(&larger, node->entries[i].key, node->entries[i].len) =
                node->entries[i];
    free(node->entries);
    *node = larger;
    return true;
}

static struct entry *entry_of(struct clew__json_node *node, const char *key, size_t len)
{
    struct entry *entry;

    if (2 * (node->n + 1) > node->mask && !grow(node))
        return NULL;
    entry = (struct entry *)(uintptr_t)find(node, key, len);
    if (!entry->key) {
        *entry = (struct entry){
            .key = key, .len = (uint32_t)len, .columns = {NONE, NONE}, .child = NULL};
        node->n++;
    }
    return entry;
}

static struct clew__json_node *new_node(struct clew__json_reader *reader)
{
    struct clew__json_node *node;

    if (reader->nnodes == NODES_MAX)
        return NULL;
    node = &reader->nodes[reader->nnodes];
    if (!grow(node))
        return NULL;
    reader->nnodes++;
    return node;
}

static bool know(struct clew__json_node *node, const char *key, size_t len, unsigned column,
                 uint8_t rank)
{
    struct entry *entry = entry_of(node, key, len);
    unsigned i;

    if (!entry)
        return false;
    i = entry->columns[0] != NONE && entry->columns[0] != column;
    entry->columns[i] = (uint8_t)column;
    entry->ranks[i] = rank;
    return true;
}

static struct clew__json_node *child_of(struct clew__json_reader *reader,
                                        struct clew__json_node *node, const char *key, size_t len)
{
    struct entry *entry = entry_of(node, key, len);

    if (entry && !entry->child)
        entry->child = new_node(reader);
    return entry ? entry->child : NULL;
}

/* The key itself, and the way through objects that its dots say. */
static bool know_field(struct clew__json_reader *reader, struct clew__json_node *node,
                       const char *name, unsigned column, uint8_t rank)
{
    const char *dot;

    if (!know(node, name, strlen(name), column, rank))
        return false;
    for (; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        node = child_of(reader, node, name, (size_t)(dot - name));
        if (!node)
            return false;
    }
    return know(node, name, strlen(name), column, (uint8_t)(rank + 1));
}

static bool know_all(struct clew__json_reader *reader, const struct clew__rules *set)
{
    static const struct {
        const char *key;
        uint8_t column, rank;
    } lines[] = {{"message", CLEW__COLUMN_MESSAGE, 0}, {"msg", CLEW__COLUMN_MESSAGE, 1},
                 {"logger", CLEW__COLUMN_LOGGER, 0},   {"level", CLEW__COLUMN_LEVEL, 0},
                 {"lvl", CLEW__COLUMN_LEVEL, 1},       {"severity", CLEW__COLUMN_LEVEL, 2},
                 {"trace_id", CLEW__COLUMN_TRACE, 0},  {"span_id", CLEW__COLUMN_SPAN, 0},
                 {"timestamp", CLEW__COLUMN_TIME, 0},  {"time", CLEW__COLUMN_TIME, 1}};
    struct clew__json_node *top = new_node(reader),
                           *context = top ? child_of(reader, top, "context", 7) : NULL;

    if (!context)
        return false;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (!know(top, lines[i].key, strlen(lines[i].key), lines[i].column, lines[i].rank))
            return false;
    for (unsigned i = CLEW__COLUMN_EVENT; i < set->ncolumns; i++)
        if (!know_field(reader, top, set->columns[i], i, 0) ||
            !know_field(reader, context, set->columns[i], i, 2))
            return false;
    return true;
}

int clew__json_init(struct clew__json_reader *reader, const struct clew__rules *set)
{
    reader->nnodes = 0;
    reader->ncolumns = set->ncolumns;
    reader->find_quotes = clew__quotes_finder();
    reader->nodes = calloc(NODES_MAX, sizeof(*reader->nodes));
    reader->layouts = clew__layouts_new(set->ncolumns);
    if (reader->nodes && reader->layouts && know_all(reader, set))
        return 0;
    clew__json_done(reader);
    return clew_set_error(-ENOMEM, "no memory, or fields with too many dots");
}

void clew__json_done(struct clew__json_reader *reader)
{
    for (size_t i = 0; i < reader->nnodes; i++)
        free(reader->nodes[i].entries);
    free(reader->nodes);
    clew__layouts_free(reader->layouts);
    reader->layouts = NULL;
    reader->nodes = NULL;
    reader->nnodes = 0;
}

/* ---- the walk ------------------------------------------------------------------------- */

/* Kept in registers: all that takes one of it is inlined into walk_line(). */
struct walk {
    struct clew__json_reader *reader;
    const char *line, *p, *end; /* *end may be read, and is nothing that JSON has */
    const uint16_t *quote;      /* the next; an even number is left, then NO_QUOTE */
    bool slashes;
};

#define NO_QUOTE UINT16_MAX
#define INLINE static inline __attribute__((always_inline))

INLINE void skip_spaces(struct walk *w)
{
    while (__builtin_expect(*w->p == ' ', 0))
        w->p++;
}

INLINE void store(struct clew__json_reader *reader, const struct entry *entry,
                  struct clew__rule_value value)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned column = entry->columns[i];

        if (column != NONE && entry->ranks[i] < reader->ranks[column]) {
            reader->event[column] = value;
            reader->ranks[column] = entry->ranks[i];
        }
    }
}

/* For its layout: a value that goes from start to stop, before it is stored. */
INLINE void note_value(struct clew__json_reader *reader, const struct entry *entry,
                       const char *start, const char *stop)
{
    struct clew__layout_value *value;
    unsigned n = 0;

    if (reader->nvalues >= CLEW__LAYOUT_VALUES_MAX) {
        reader->nvalues = CLEW__LAYOUT_VALUES_MAX + 1;
        return;
    }
    value = &reader->values[reader->nvalues++];
    *value = (struct clew__layout_value){start, (uint32_t)(stop - start), {NONE, NONE}};
    for (unsigned i = 0; entry && i < 2; i++)
        if (entry->columns[i] != NONE && entry->ranks[i] < reader->ranks[entry->columns[i]])
            value->columns[n++] = entry->columns[i];
}

/* The string at w->p. */
INLINE bool take_string(struct walk *w, const char **ret, size_t *ret_len)
{
    size_t start = (size_t)(w->p - w->line), stop = w->quote[1];

    if (w->quote[0] != start)
        return false;
    *ret = w->p + 1;
    *ret_len = stop - start - 1;
    w->p = w->line + stop + 1;
    w->quote += 2;
    return true;
}

INLINE bool skip_digits(const char **p)
{
    const char *start = *p;

    while ((unsigned)(**p - '0') < 10)
        ++*p;
    return *p > start;
}

INLINE bool skip_number(struct walk *w)
{
    const char *p = w->p;
    bool good = true;

    p += *p == '-';
    if (*p == '0')
        p++;
    else
        good = skip_digits(&p);
    if (good && *p == '.') {
        p++;
        good = skip_digits(&p);
    }
    if (good && (*p == 'e' || *p == 'E')) {
        p++;
        p += *p == '+' || *p == '-';
        good = skip_digits(&p);
    }
    w->p = p;
    return good;
}

INLINE bool skip_word(struct walk *w, const char *word, size_t len)
{
    if ((size_t)(w->end - w->p) < len || memcmp(w->p, word, len) != 0)
        return false;
    w->p += len;
    return true;
}

/* Anything but an array or an object. */
INLINE bool take_scalar(struct walk *w, struct clew__rule_value *ret)
{
    const char *start = w->p;
    size_t len;

    switch (*start) {
    case '"':
        if (!take_string(w, &start, &len))
            return false;
        ret->as.text = start;
        ret->len = (uint32_t)len;
        ret->kind = w->slashes && memchr(start, '\\', len) ? CLEW__RULE_ESCAPED : CLEW__RULE_TEXT;
        return true;
    case 't':
    case 'f':
        ret->as.text = start;
        ret->len = *start == 't' ? 4 : 5;
        ret->kind = CLEW__RULE_TEXT;
        return *start == 't' ? skip_word(w, "true", 4) : skip_word(w, "false", 5);
    case 'n':
        *ret = (struct clew__rule_value){.kind = CLEW__RULE_ABSENT};
        return skip_word(w, "null", 4);
    default:
        if (!skip_number(w))
            return false;
        ret->as.text = start;
        ret->len = (uint32_t)(w->p - start);
        ret->kind = CLEW__RULE_NUMBER;
        return true;
    }
}

static __attribute__((noinline)) const struct entry *
find_escaped_key(const struct clew__json_node *node, const char *key, size_t len)
{
    struct clew__scan_value string = {
        .type = CLEW__SCAN_STRING, .escaped = true, .at = key, .len = len};
    char room[256];
    struct clew__buf out = {.data = room, .cap = sizeof(room), .max = sizeof(room)};

    clew__scan_decode(&out, &string);
    return out.failed ? NULL : find(node, room, out.len);
}

/* NULL: nothing is known about it. */
INLINE const struct entry *known(const struct walk *w, const struct clew__json_node *node,
                                 const char *key, size_t len)
{
    const struct entry *entry;

    if (!node)
        return NULL;
    if (__builtin_expect(w->slashes, 0) && memchr(key, '\\', len))
        entry = find_escaped_key(node, key, len);
    else
        entry = find(node, key, len);
    return entry && entry->key ? entry : NULL;
}

/* "key": */
INLINE bool take_key(struct walk *w, const struct clew__json_node *node, const struct entry **ret)
{
    const char *key;
    size_t len;

    skip_spaces(w);
    if (!take_string(w, &key, &len))
        return false;
    if (__builtin_expect(*w->p != ':', 0)) {
        skip_spaces(w);
        if (*w->p != ':')
            return false;
    }
    w->p++;
    *ret = known(w, node, key, len);
    return true;
}

/* Open brackets: whether each is an object, and what is known in it. */
struct level {
    const struct clew__json_node *node;
    bool object;
};

static bool walk_line(struct clew__json_reader *reader, const char *line, size_t len, bool slashes)
{
    static const struct clew__rule_value other = {.kind = CLEW__RULE_OTHER};
    struct walk walk = {reader, line, line, line + len, reader->quotes, slashes}, *w = &walk;
    struct level levels[CLEW__SCAN_DEPTH + 1]; /* the line itself is one */
    const struct entry *entry = NULL;
    size_t depth = 0;

    skip_spaces(w);
    if (*w->p != '{')
        return false;
    for (;;) { /* at a value */
        struct clew__rule_value value;

        skip_spaces(w);
        if (*w->p == '{' || *w->p == '[') {
            struct level *level = &levels[depth];

            if (depth == CLEW__SCAN_DEPTH + 1)
                return false;
            depth++;
            level->object = *w->p++ == '{';
            level->node = depth == 1 ? reader->nodes : entry && level->object ? entry->child : NULL;
            if (entry && entry->columns[0] != NONE) {
                store(reader, entry, other);
                reader->nvalues = CLEW__LAYOUT_VALUES_MAX + 1;
            }
            skip_spaces(w);
            entry = NULL;
            if (*w->p != (level->object ? '}' : ']')) {
                if (level->object && !take_key(w, level->node, &entry))
                    return false;
                continue;
            }
            w->p++;
            depth--;
        } else {
            bool quoted = *w->p == '"';
            const char *start = w->p + quoted;

            if (!take_scalar(w, &value))
                return false;
            note_value(reader, entry, start, w->p - quoted);
            if (entry)
                store(reader, entry, value);
        }
        for (;; depth--) { /* behind a value */
            struct level *level;

            skip_spaces(w);
            if (depth == 0)
                return w->p == w->end;
            level = &levels[depth - 1];
            if (*w->p == ',') {
                w->p++;
                entry = NULL;
                if (level->object && !take_key(w, level->node, &entry))
                    return false;
                break;
            }
            if (*w->p != (level->object ? '}' : ']'))
                return false;
            w->p++;
        }
    }
}

static inline void clear(struct clew__json_reader *reader)
{
    memset(reader->event, 0, reader->ncolumns * sizeof(reader->event[0]));
    memset(reader->ranks, NONE, reader->ncolumns);
    reader->nvalues = 0;
}

bool clew__json_read(struct clew__json_reader *reader, const char *line, size_t len,
                     size_t readable)
{
    struct clew__quotes quotes = {CLEW__QUOTES_TOO_HARD, false, 0};

    if (len <= CLEW__JSON_QUICK_MAX)
        quotes = reader->find_quotes(reader->quotes, line, len, readable);
    if (quotes.found == CLEW__QUOTES_NOT_JSON)
        return false;
    /* What stands at its end must stop the walk there. */
    if (quotes.found == CLEW__QUOTES_TOO_HARD || (line[len] != '\n' && line[len] != '\r'))
        return clew__json_read_slowly(reader, line, len);
    if (quotes.n % 2 != 0)
        return false;
    reader->quotes[quotes.n] = NO_QUOTE;
    clear(reader);
    if (!walk_line(reader, line, len, quotes.slashes))
        return false;
    if (reader->nvalues <= CLEW__LAYOUT_VALUES_MAX)
        clew__layouts_learn(reader->layouts, line, len, reader->values, reader->nvalues);
    return true;
}

const char *clew__json_read_known(struct clew__json_reader *reader, const char *line,
                                  const char *end)
{
    return clew__layouts_read(reader->layouts, line, end, reader->event);
}

/* ---- by the scanner ----------------------------------------------------------------- */

static struct clew__rule_value as_value(const struct clew__scan_value *from)
{
    struct clew__rule_value value = {.as.text = from->at, .len = (uint32_t)from->len};

    switch (from->type) {
    case CLEW__SCAN_NULL:
        return (struct clew__rule_value){.kind = CLEW__RULE_ABSENT};
    case CLEW__SCAN_FALSE:
    case CLEW__SCAN_TRUE:
        value.kind = CLEW__RULE_TEXT;
        return value;
    case CLEW__SCAN_NUMBER:
        value.kind = CLEW__RULE_NUMBER;
        return value;
    case CLEW__SCAN_STRING:
        value.kind = from->escaped ? CLEW__RULE_ESCAPED : CLEW__RULE_TEXT;
        return value;
    case CLEW__SCAN_ARRAY:
    case CLEW__SCAN_OBJECT:
        break;
    }
    return (struct clew__rule_value){.kind = CLEW__RULE_OTHER};
}

/* Nodes are a tree of no more levels than the dots of a field's name. */
static bool read_object(struct clew__json_reader *reader, const struct clew__json_node *node,
                        const char *text, size_t len)
{
    struct clew__scan scan;
    struct clew__scan_member member;
    int more = -1;

    if (clew__scan_open(&scan, text, len))
        while ((more = clew__scan_next(&scan, &member)) == 1) {
            const struct entry *entry = member.key.escaped
                                            ? find_escaped_key(node, member.key.at, member.key.len)
                                            : find(node, member.key.at, member.key.len);

            if (!entry || !entry->key)
                continue;
            store(reader, entry, as_value(&member.value));
            if (entry->child && member.value.type == CLEW__SCAN_OBJECT)
                (void)read_object(reader, entry->child, member.value.at, member.value.len);
        }
    return more == 0;
}

bool clew__json_read_slowly(struct clew__json_reader *reader, const char *line, size_t len)
{
    clear(reader);
    return read_object(reader, reader->nodes, line, len);
}
