/* SPDX-License-Identifier: Apache-2.0
 *
 * The deriver: rules on lines of JSON. As a call site does, the message, logger,
 * level and event name of a line decide which program it gets; the last of each
 * are remembered. From there on it is as at call sites.
 */
#include "exemplars.h"
#include "rules_hash.h"
#include "rules_json.h"

#include <json.h>
#include <level.h>
#include <time_text.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KINDS 1024u /* a power of two */
#define KIND_BYTES 100u
#define PROGRAMS_MAX 512u
#define DAY_BYTES 10u /* 2025-08-20 */
#define SECOND_NS UINT64_C(1000000000)

/* A program and what it was made for. */
struct made {
    uint16_t open[CLEW__RULES_ALL_MAX];
    struct clew__program *program; /* NULL: no rule matches */
};

/* A kind of line, remembered. */
struct kind {
    uint64_t hash;
    const struct made *made; /* NULL: empty */
    uint32_t len;
    char bytes[KIND_BYTES];
};

struct clew_deriver {
    struct clew__rules *set;
    unsigned deciding[CLEW__COLUMN_FIRST_FIELD]; /* columns that tell kinds apart */
    size_t ndeciding;
    struct clew_deriver_stats stats;
    struct made *made[PROGRAMS_MAX];
    size_t nmade;
    bool rises[CLEW__RULES_ALL_MAX]; /* a line was there that this rule may count up by */
    struct kind kinds[KINDS];
    char day[DAY_BYTES]; /* of a line before, in UTC, … */
    uint64_t day_ns;     /* … and its beginning; 0: none */
    struct clew__json_reader reader;
    char copy[CLEW__JSON_QUICK_MAX + 1]; /* of a last line without a newline */
};

/* ---- kinds -------------------------------------------------------------------------- */

/* Columns that some rule decides by. */
static void find_deciding(struct clew_deriver *deriver)
{
    static const unsigned columns[] = {[CLEW__RULE_MESSAGE] = CLEW__COLUMN_MESSAGE,
                                       [CLEW__RULE_EVENT] = CLEW__COLUMN_EVENT,
                                       [CLEW__RULE_LOGGER] = CLEW__COLUMN_LOGGER};
    bool does[CLEW__COLUMN_FIRST_FIELD] = {false};

    for (size_t i = 0; i < deriver->set->nrules; i++) {
        const struct clew__rule *rule = &deriver->set->rules[i];

        does[CLEW__COLUMN_LEVEL] |= rule->level > 0;
        for (size_t t = 0; t < rule->ntests; t++)
            if (rule->tests[t].subject != CLEW__RULE_FIELD) {
                does[columns[rule->tests[t].subject]] = true;
                does[CLEW__COLUMN_MESSAGE] |= rule->tests[t].subject == CLEW__RULE_EVENT;
            }
    }
    for (unsigned i = 0; i < CLEW__COLUMN_FIRST_FIELD; i++)
        if (does[i])
            deriver->deciding[deriver->ndeciding++] = i;
}

/* Of a value that has a text. */
static struct clew__scan_value as_member(const struct clew__rule_value *value)
{
    return (struct clew__scan_value){.type = value->kind == CLEW__RULE_NUMBER ? CLEW__SCAN_NUMBER
                                                                              : CLEW__SCAN_STRING,
                                     .escaped = value->kind == CLEW__RULE_ESCAPED,
                                     .at = value->as.text,
                                     .len = value->len};
}

static int level_of(const struct clew__rule_value *value)
{
    struct clew__scan_value member = as_member(value);
    int rank = clew__rule_has_text(value) ? clew__level_value(&member) : -1;

    return rank < 0 ? 0 : CLEW_LEVEL_TRACE + 4 * rank;
}

static uint16_t decide(const struct clew__rule *rule, const struct clew__rule_value *event,
                       int level)
{
    uint16_t open = 0;

    if (level < rule->level)
        return CLEW__RULE_NEVER;
    for (size_t i = 0; i < rule->ntests; i++)
        if (rule->tests[i].subject == CLEW__RULE_FIELD)
            open |= (uint16_t)(1u << i);
        else if (!clew__rule_test_holds(&rule->tests[i], event))
            return CLEW__RULE_NEVER;
    return open;
}

/* ---- gauges that rise and fall ------------------------------------------------------ */

static bool is_rise(const struct clew__rule *rule)
{
    return rule->type == CLEW__RULE_GAUGE_ADD && !rule->value && rule->scale >= 0;
}

static bool is_fall(const struct clew__rule *rule)
{
    return rule->type == CLEW__RULE_GAUGE_ADD && !rule->value && rule->scale < 0;
}

/* Whether the gauge would only fall: others rise it, by lines that this log does
 * not have or has not had yet. */
static bool has_not_risen(const struct clew_deriver *deriver, const struct clew__rule *fall)
{
    bool waits = false;

    for (size_t i = 0; i < deriver->set->nrules; i++) {
        const struct clew__rule *rule = &deriver->set->rules[i];

        if (rule->target != fall->target || !is_rise(rule))
            continue;
        if (deriver->rises[i])
            return false;
        waits = true;
    }
    return waits;
}

/* Notes what rises; whether anything does for the first time. */
static bool note_rises(struct clew_deriver *deriver, const uint16_t *open)
{
    bool news = false;

    for (size_t i = 0; i < deriver->set->nrules; i++)
        if (open[i] != CLEW__RULE_NEVER && is_rise(&deriver->set->rules[i]) && !deriver->rises[i])
            news = deriver->rises[i] = true;
    return news;
}

/* ---- programs ----------------------------------------------------------------------- */

static void forget_made(struct clew_deriver *deriver)
{
    for (size_t i = 0; i < deriver->nmade; i++) {
        free(deriver->made[i]->program);
        free(deriver->made[i]);
    }
    deriver->nmade = 0;
    memset(deriver->kinds, 0, sizeof(deriver->kinds));
}

/* Messages differ more than the programs they lead to. NULL without memory. */
static const struct made *make(struct clew_deriver *deriver)
{
    const struct clew__rules *set = deriver->set;
    int level = level_of(&deriver->reader.event[CLEW__COLUMN_LEVEL]);
    uint16_t open[CLEW__RULES_ALL_MAX];
    struct made *made;

    for (size_t i = 0; i < set->nrules; i++)
        open[i] = decide(&set->rules[i], deriver->reader.event, level);
    if (note_rises(deriver, open))
        forget_made(deriver);
    for (size_t i = 0; i < set->nrules; i++)
        if (is_fall(&set->rules[i]) && has_not_risen(deriver, &set->rules[i]))
            open[i] = CLEW__RULE_NEVER;
    for (size_t i = 0; i < deriver->nmade; i++)
        if (memcmp(deriver->made[i]->open, open, set->nrules * sizeof(open[0])) == 0)
            return deriver->made[i];
    if (deriver->nmade == PROGRAMS_MAX)
        forget_made(deriver);
    made = calloc(1, sizeof(*made));
    if (!made)
        return NULL;
    memcpy(made->open, open, set->nrules * sizeof(open[0]));
    made->program = clew__program_new(set, open, NULL);
    deriver->made[deriver->nmade++] = made;
    return made;
}

/* What decides, one behind the other; more than KIND_BYTES: too long to be
 * remembered. */
static inline size_t put_kind(const struct clew_deriver *deriver, char bytes[KIND_BYTES])
{
    size_t len = 0;

    for (size_t i = 0; i < deriver->ndeciding; i++) {
        const struct clew__rule_value *value = &deriver->reader.event[deriver->deciding[i]];
        uint32_t head = value->len << 4 | value->kind;

        if (len + sizeof(head) + value->len > KIND_BYTES)
            return KIND_BYTES + 1;
        memcpy(bytes + len, &head, sizeof(head));
        len += sizeof(head);
        if (value->len)
            memcpy(bytes + len, value->as.text, value->len);
        len += value->len;
    }
    return len;
}

static inline const struct made *find_made(struct clew_deriver *deriver)
{
    char bytes[KIND_BYTES];
    size_t len = put_kind(deriver, bytes);
    const struct made *made;
    struct kind *kind;
    uint64_t hash;

    if (len > KIND_BYTES)
        return make(deriver);
    hash = clew__hash_text(1, bytes, len);
    kind = &deriver->kinds[hash >> 32 & (KINDS - 1)];
    if (kind->made && kind->hash == hash && kind->len == len &&
        clew__same_text(kind->bytes, bytes, len))
        return kind->made;
    made = make(deriver);
    kind = &deriver->kinds[hash >> 32 & (KINDS - 1)];
    kind->hash = hash;
    kind->len = (uint32_t)len;
    memcpy(kind->bytes, bytes, len);
    kind->made = made;
    return made;
}

/* ---- exemplars ------------------------------------------------------------------------ */

static int64_t time_of(const struct clew__rule_value *value)
{
    struct clew__scan_value member = as_member(value);
    int64_t ns;

    return clew__rule_has_text(value) && clew__time_value(&member, &ns) ? ns : 0;
}

static bool two_digits(const char *p, unsigned max, unsigned *ret)
{
    unsigned tens = (unsigned)(p[0] - '0'), ones = (unsigned)(p[1] - '0');

    *ret = 10 * tens + ones;
    return tens < 10 && ones < 10 && *ret <= max;
}

/* The time of day in "T10:00:00…Z"; false when it is none. */
static bool read_day_time(const char *p, uint64_t *ret_ns)
{
    unsigned hour, minute, second;

    if (p[0] != 'T' || p[3] != ':' || p[6] != ':' || !two_digits(p + 1, 23, &hour) ||
        !two_digits(p + 4, 59, &minute) || !two_digits(p + 7, 60, &second))
        return false;
    *ret_ns = ((hour * 60 + minute) * 60 + second) * SECOND_NS;
    return true;
}

/* The line's time, to the second: of a second the first trace in a bucket stays. A day
 * is read once, not in every line. */
static uint64_t second_of(struct clew_deriver *deriver)
{
    const struct clew__rule_value *value = &deriver->reader.event[CLEW__COLUMN_TIME];
    const char *text = value->as.text;
    uint64_t ns, of_day;

    if (value->kind != CLEW__RULE_TEXT || value->len < DAY_BYTES + 10 ||
        text[value->len - 1] != 'Z' || !read_day_time(text + DAY_BYTES, &of_day))
        return (uint64_t)time_of(value) / SECOND_NS * SECOND_NS;
    if (deriver->day_ns && clew__same_text(text, deriver->day, DAY_BYTES))
        return deriver->day_ns + of_day;
    ns = (uint64_t)time_of(value) / SECOND_NS * SECOND_NS;
    deriver->day_ns = ns ? ns - of_day : 0;
    memcpy(deriver->day, text, DAY_BYTES);
    return ns;
}

/* False: the line has no trace, or no time. */
static bool take_exemplar(struct clew_deriver *deriver, struct clew__exemplar *ret)
{
    const struct clew__rule_value *trace = &deriver->reader.event[CLEW__COLUMN_TRACE];
    const struct clew__rule_value *span = &deriver->reader.event[CLEW__COLUMN_SPAN];

    if (trace->kind != CLEW__RULE_TEXT || trace->len != 32 ||
        clew__unhex(ret->trace, trace->as.text, 16) < 0)
        return false;
    ret->span_id = 0;
    if (span->kind == CLEW__RULE_TEXT && span->len == 16 &&
        clew__unhex(&ret->span_id, span->as.text, 8) < 0)
        ret->span_id = 0;
    ret->time_ns = second_of(deriver);
    return ret->time_ns != 0;
}

/* ---- lines -------------------------------------------------------------------------- */

static bool apply(struct clew_deriver *deriver)
{
    const struct clew__rule_value *event = deriver->reader.event;
    struct clew__rule_value keys[CLEW__COLUMNS_MAX], values[CLEW__COLUMNS_MAX];
    struct clew__exemplar exemplar;
    const struct made *made = find_made(deriver);
    const struct clew__program *program = made ? made->program : NULL;

    if (!program)
        return false;
    for (size_t i = 0; i < program->nkeys; i++)
        keys[i] = event[program->keys[i].column];
    for (size_t i = 0; i < program->nvalues; i++)
        values[i] = event[program->values[i]];
    return clew__program_run(program, keys, values,
                             take_exemplar(deriver, &exemplar) ? &exemplar : NULL);
}

static bool is_blank(const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return len == 0;
}

static void take_line(struct clew_deriver *deriver, const char *line, size_t len, size_t readable)
{
    if (len > 0 && line[len - 1] == '\r')
        len--;
    deriver->stats.lines++;
    if (clew__json_read(&deriver->reader, line, len, readable))
        deriver->stats.matched += apply(deriver);
    else
        deriver->stats.not_json += !is_blank(line, len);
}

size_t clew_derive(struct clew_deriver *deriver, const char *text, size_t len, bool last)
{
    const char *line = text, *end = text + len, *stop;

    for (; line < end; line = stop + 1) {
        stop = clew__json_read_known(&deriver->reader, line, end);
        if (__builtin_expect(stop != NULL, 1)) {
            deriver->stats.lines++;
            deriver->stats.matched += apply(deriver);
            continue;
        }
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            break;
        take_line(deriver, line, (size_t)(stop - line), (size_t)(end - line));
    }
    if (!last || line == end)
        return (size_t)(line - text);
    if ((size_t)(end - line) > CLEW__JSON_QUICK_MAX) {
        deriver->stats.lines++;
        if (clew__json_read_slowly(&deriver->reader, line, (size_t)(end - line)))
            deriver->stats.matched += apply(deriver);
        else
            deriver->stats.not_json++;
    } else {
        memcpy(deriver->copy, line, (size_t)(end - line));
        deriver->copy[end - line] = '\n';
        take_line(deriver, deriver->copy, (size_t)(end - line), (size_t)(end - line) + 1);
    }
    return len;
}

void clew_deriver_stats(const struct clew_deriver *deriver, struct clew_deriver_stats *ret_stats)
{
    *ret_stats = deriver->stats;
}

struct clew_deriver *clew__deriver_new(struct clew__rules *set)
{
    struct clew_deriver *deriver = calloc(1, sizeof(*deriver));

    if (!deriver) {
        (void)clew_set_error(-ENOMEM, "out of memory");
        return NULL;
    }
    deriver->set = set;
    find_deciding(deriver);
    if (clew__json_init(&deriver->reader, set) == 0)
        return deriver;
    free(deriver);
    return NULL;
}

struct clew_deriver *clew_deriver_new(const char *file)
{
    struct clew__rules *set;
    struct clew_deriver *deriver;

    if (clew__rules_load(file, &set) < 0)
        return NULL;
    deriver = clew__deriver_new(set);
    if (!deriver)
        clew__rules_free(set);
    return deriver;
}

void clew__deriver_done(struct clew_deriver *deriver)
{
    forget_made(deriver);
    clew__json_done(&deriver->reader);
    free(deriver);
}

struct clew_deriver *clew_deriver_free(struct clew_deriver *deriver)
{
    struct clew__rules *set = deriver ? deriver->set : NULL;

    if (deriver)
        clew__deriver_done(deriver);
    clew__rules_free(set);
    return NULL;
}
