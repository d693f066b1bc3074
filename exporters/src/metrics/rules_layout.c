/* SPDX-License-Identifier: Apache-2.0
 *
 * Layouts of JSON lines. A program writes few kinds of lines, and two of a kind
 * differ in the values only: what stands between them, keys and punctuation, is
 * the same to the byte. Lines that were read the long way leave it in a tree,
 * whose steps are such a text and the sort of value that follows; kinds that begin
 * alike share steps. A line that goes from the root to a leaf is JSON, because
 * one with other values of the same sorts was, and where its values count is
 * known. One that leaves the tree has to take the long way.
 */
#include "rules_layout.h"

#include "rules_hash.h"

#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define STEPS_MAX 1024u
#define TEXT_MAX 54u   /* of one step; what is longer takes several */
#define OTHERS_MAX 16u /* steps that can come at one place */
/* A full tree is forgotten, at most once for so many lines that did not fit. */
#define FORGET_LINES 65536u

enum sort { STRING, NUMBER, WORD, NOTHING, END };

struct step {
    char text[TEXT_MAX];
    uint8_t len, sort;
    uint8_t columns[2];
    uint16_t next, other; /* behind it, and in its place; 0: none */
};

struct clew__layouts {
    size_t ncolumns, nsteps, missed;
    struct step steps[STEPS_MAX]; /* the first has no text, and the tree behind it */
};

struct clew__layouts *clew__layouts_new(size_t ncolumns)
{
    struct clew__layouts *layouts = calloc(1, sizeof(*layouts));

    if (layouts) {
        layouts->ncolumns = ncolumns;
        layouts->nsteps = 1;
    }
    return layouts;
}

void clew__layouts_free(struct clew__layouts *layouts)
{
    free(layouts);
}

/* ---- learning ----------------------------------------------------------------------- */

/* The step behind at, which is made if it is not there; 0: there is no room. */
static size_t step_behind(struct clew__layouts *layouts, size_t at, const struct step *wanted)
{
    uint16_t *link = &layouts->steps[at].next;
    size_t others = 0;

    for (; *link; link = &layouts->steps[*link].other, others++) {
        const struct step *step = &layouts->steps[*link];

        if (step->sort == wanted->sort && step->len == wanted->len &&
            memcmp(step->text, wanted->text, wanted->len) == 0)
            return *link;
    }
    if (layouts->nsteps == STEPS_MAX || others == OTHERS_MAX)
        return 0;
    *link = (uint16_t)layouts->nsteps;
    layouts->steps[*link] = *wanted;
    layouts->nsteps++;
    return *link;
}

static bool has_room(struct clew__layouts *layouts, size_t n)
{
    if (layouts->nsteps + n <= STEPS_MAX)
        return true;
    if (++layouts->missed < FORGET_LINES)
        return false;
    layouts->missed = 0;
    layouts->nsteps = 1;
    layouts->steps[0].next = 0;
    return true;
}

static enum sort sort_of(const struct clew__layout_value *value)
{
    if (value->at[-1] == '"')
        return STRING;
    return *value->at == '-' || (*value->at >= '0' && *value->at <= '9') ? NUMBER : WORD;
}

/* The text up to a value or the end, in as many steps as it takes. */
static size_t learn_text(struct clew__layouts *layouts, size_t at, const char *text, size_t len,
                         const struct step *last)
{
    struct step step = {.sort = NOTHING, .columns = {CLEW__LAYOUT_NOWHERE, CLEW__LAYOUT_NOWHERE}};

    for (step.len = TEXT_MAX; len > TEXT_MAX; text += TEXT_MAX, len -= TEXT_MAX) {
        memcpy(step.text, text, TEXT_MAX);
        at = step_behind(layouts, at, &step);
        if (at == 0)
            return 0;
    }
    step = *last;
    memcpy(step.text, text, len);
    step.len = (uint8_t)len;
    return step_behind(layouts, at, &step);
}

void clew__layouts_learn(struct clew__layouts *layouts, const char *line, size_t len,
                         const struct clew__layout_value *values, size_t n)
{
    const char *text = line;
    size_t at = 0;

    /* A part of a line that found no more room would stay for nothing. */
    if (!has_room(layouts, n + 1 + len / TEXT_MAX))
        return;
    for (size_t i = 0; i < n; i++) {
        const struct clew__layout_value *value = &values[i];
        struct step last = {.sort = (uint8_t)sort_of(value),
                            .columns = {value->columns[0], value->columns[1]}};

        at = learn_text(layouts, at, text, (size_t)(value->at - text), &last);
        if (at == 0)
            return;
        text = value->at + value->len;
    }
    (void)learn_text(
        layouts, at, text, (size_t)(line + len - text),
        &(struct step){.sort = END, .columns = {CLEW__LAYOUT_NOWHERE, CLEW__LAYOUT_NOWHERE}});
}

/* ---- reading ------------------------------------------------------------------------ */

/* What these functions return is where the value ends; NULL: it is none of its
 * sort, or nobody here can tell. */
#define INLINE static inline __attribute__((always_inline))

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* At a backslash; behind the escape. */
static inline const char *skip_escape(const char *p, const char *end)
{
    if (end - p < 6)
        return NULL;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        return is_hex(p[2]) && is_hex(p[3]) && is_hex(p[4]) && is_hex(p[5]) ? p + 6 : NULL;
    default:
        return NULL;
    }
}

/* The first quote, backslash or control character; NULL: none up to end, or not
 * far enough from it. */
INLINE const char *string_stop(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  control = _mm_set1_epi8(0x1F);

    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)),
                                   _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);

        if (mask)
            return p + __builtin_ctz(mask);
    }
    return NULL;
#else
    while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p < end ? p : NULL;
#endif
}

/* To its closing quote. */
INLINE const char *skip_string(const char *p, const char *end, uint32_t *ret_kind)
{
    *ret_kind = CLEW__RULE_TEXT;
    for (;;) {
        p = string_stop(p, end);
        if (!p || *p == '"')
            return p;
        if (*p != '\\')
            return NULL;
        p = skip_escape(p, end);
        if (!p)
            return NULL;
        *ret_kind = CLEW__RULE_ESCAPED;
    }
}

/* Digits, with a point between them or without; other numbers are rare. */
INLINE const char *skip_number(const char *p, const char *end)
{
    const char *start = p, *stop = end - p > 32 ? p + 32 : end, *point;

    while (p < stop && (unsigned)(*p - '0') < 10)
        p++;
    if (p == stop || p == start || (*start == '0' && p - start > 1))
        return NULL;
    if (*p != '.')
        return p;
    point = p++;
    while (p < stop && (unsigned)(*p - '0') < 10)
        p++;
    return p < stop && p > point + 1 ? p : NULL;
}

INLINE const char *skip_word(const char *p, const char *end, uint32_t *ret_kind)
{
    *ret_kind = CLEW__RULE_TEXT;
    if (end - p < 5)
        return NULL;
    if (memcmp(p, "true", 4) == 0)
        return p + 4;
    if (memcmp(p, "false", 5) == 0)
        return p + 5;
    *ret_kind = CLEW__RULE_ABSENT;
    return memcmp(p, "null", 4) == 0 ? p + 4 : NULL;
}

/* At a line's end: its newline. */
INLINE const char *newline_at(const char *p, const char *end)
{
    if (p < end && *p == '\r')
        p++;
    return p < end && *p == '\n' ? p : NULL;
}

INLINE const char *skip_value(enum sort sort, const char *p, const char *end, uint32_t *ret_kind)
{
    switch (sort) {
    case STRING:
        return skip_string(p, end, ret_kind);
    case NUMBER:
        *ret_kind = CLEW__RULE_NUMBER;
        return skip_number(p, end);
    case WORD:
        return skip_word(p, end, ret_kind);
    case NOTHING:
        return p;
    case END:
        break;
    }
    return newline_at(p, end);
}

INLINE void store(const struct step *step, const char *p, const char *stop, uint32_t kind,
                  struct clew__rule_value *event)
{
    for (unsigned i = 0; i < 2 && step->columns[i] != CLEW__LAYOUT_NOWHERE; i++) {
        struct clew__rule_value *value = &event[step->columns[i]];

        *value = (struct clew__rule_value){.kind = kind};
        if (kind != CLEW__RULE_ABSENT) {
            value->as.text = p;
            value->len = (uint32_t)(stop - p);
        }
    }
}

const char *clew__layouts_read(struct clew__layouts *layouts, const char *line, const char *end,
                               struct clew__rule_value *event)
{
    const struct step *steps = layouts->steps;
    const char *p = line;
    size_t at = steps[0].next;

    memset(event, 0, layouts->ncolumns * sizeof(*event));
    while (at) {
        const struct step *step = &steps[at];
        const char *value = p + step->len, *stop = NULL;
        uint32_t kind = CLEW__RULE_ABSENT;

        if (end - p > (ptrdiff_t)step->len && clew__same_text(step->text, p, step->len))
            stop = skip_value((enum sort)step->sort, value, end, &kind);
        if (__builtin_expect(!stop, 0)) {
            at = step->other;
            continue;
        }
        if (step->sort == END)
            return stop;
        store(step, value, stop, kind, event);
        p = stop;
        at = step->next;
    }
    return NULL;
}
