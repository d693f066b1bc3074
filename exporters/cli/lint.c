/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a page of metrics and checks its form: the rules of the format as it
 * goes, those for names (lint_names.c) at the end, when all are known. Series
 * and values are told apart by a hash of 64 bits.
 */
#include "lint.h"

#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What was said of a family; those of lint_values.c follow from 1 << 8. */
enum {
    SAID_TYPE_LATE = 1,
    SAID_TWICE = 2,
    SAID_GROUPS = 4,
    SAID_NEGATIVE = 8,
    SAID_HISTOGRAM = 16
};

void cli_lint_say(struct cli_lint *lint, enum cli_lint_severity severity, size_t line,
                  struct cli_text name, const char *format, ...)
{
    static const char *const words[] = {"note", "warning", "error"};
    struct clew__buf safe;
    char text[1024];
    va_list args;

    lint->count[severity]++;
    if (severity == CLI_LINT_NOTE && lint->quiet)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    clew__buf_init(&safe, 65536);
    cli_add_safe(&safe, name.at, name.len < 200 ? name.len : 200);
    clew__buf_adds(&safe, name.len ? ": " : "");
    cli_add_safe(&safe, text, strlen(text));
    fprintf(lint->out, "%s:%zu: %s: %.*s\n", lint->source, line, words[severity], (int)safe.len,
            safe.failed || !safe.data ? "" : safe.data);
    clew__buf_done(&safe);
}

bool cli_text_is(struct cli_text text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

bool cli_text_ends(struct cli_text text, const char *end)
{
    size_t n = strlen(end);

    return text.len > n && memcmp(text.at + text.len - n, end, n) == 0;
}

/* ---- families and what was seen ---------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return (hash ^ 0xFF) * UINT64_C(0x100000001b3);
}

#define SEED UINT64_C(0xcbf29ce484222325)

static bool grow_families(struct cli_lint *lint)
{
    size_t capacity = lint->capacity ? lint->capacity * 2 : 64, nslots = capacity * 2;
    struct cli_family *families = realloc(lint->families, capacity * sizeof(*families));
    uint32_t *slots = families ? calloc(nslots, sizeof(*slots)) : NULL;

    if (families) {
        if (lint->current)
            lint->current = families + (lint->current - lint->families);
        lint->families = families;
    }
    if (!slots)
        return false;
    for (size_t f = 0; f < lint->nfamilies; f++) {
        size_t i = mix(SEED, families[f].name.at, families[f].name.len) % nslots;

        while (slots[i])
            i = (i + 1) % nslots;
        slots[i] = (uint32_t)f + 1;
    }
    free(lint->slots);
    lint->slots = slots;
    lint->nslots = nslots;
    lint->capacity = capacity;
    return true;
}

struct cli_family *cli_lint_find(struct cli_lint *lint, const char *name, size_t len)
{
    for (size_t i = lint->nslots ? mix(SEED, name, len) % lint->nslots : 0;
         lint->nslots && lint->slots[i]; i = (i + 1) % lint->nslots) {
        struct cli_family *family = &lint->families[lint->slots[i] - 1];

        if (family->name.len == len && memcmp(family->name.at, name, len) == 0)
            return family;
    }
    return NULL;
}

static struct cli_family *find_or_make(struct cli_lint *lint, struct cli_text name, size_t line)
{
    struct cli_family *family = cli_lint_find(lint, name.at, name.len);
    size_t i;

    if (family)
        return family;
    if (lint->nfamilies == lint->capacity && !grow_families(lint)) {
        lint->no_memory = true;
        return NULL;
    }
    i = mix(SEED, name.at, name.len) % lint->nslots;
    while (lint->slots[i])
        i = (i + 1) % lint->nslots;
    lint->slots[i] = (uint32_t)lint->nfamilies + 1;
    family = &lint->families[lint->nfamilies++];
    memset(family, 0, sizeof(*family));
    family->name = name;
    family->line = line;
    return family;
}

/* Whether this hash comes for the first time. */
static bool is_new(struct cli_lint *lint, uint64_t hash)
{
    size_t i;

    if (lint->nseen * 2 >= lint->seen_slots) {
        size_t n = lint->seen_slots ? lint->seen_slots * 2 : 1024;
        uint64_t *seen = calloc(n, sizeof(*seen));

        if (!seen) {
            lint->no_memory = true;
            return false;
        }
        for (size_t old = 0; old < lint->seen_slots; old++) {
            if (!lint->seen[old])
                continue;
            for (i = lint->seen[old] % n; seen[i]; i = (i + 1) % n)
                ;
            seen[i] = lint->seen[old];
        }
        free(lint->seen);
        lint->seen = seen;
        lint->seen_slots = n;
    }
    hash += hash == 0;
    for (i = hash % lint->seen_slots; lint->seen[i]; i = (i + 1) % lint->seen_slots)
        if (lint->seen[i] == hash)
            return false;
    lint->seen[i] = hash;
    lint->nseen++;
    return true;
}

/* A finding once a family. */
static bool first_time(struct cli_family *family, uint64_t bit)
{
    bool first = !(family->said & bit);

    family->said |= bit;
    return first;
}

/* The family of a sample: its name, or the one that its suffix belongs to. */
static struct cli_family *family_of(struct cli_lint *lint, struct cli_text name, size_t line)
{
    static const char *const suffixes[] = {"_bucket", "_count",   "_sum",
                                           "_total",  "_created", "_info"};
    struct cli_family *family = cli_lint_find(lint, name.at, name.len);

    for (size_t i = 0; !family && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (cli_text_ends(name, suffixes[i])) {
            family = cli_lint_find(lint, name.at, name.len - strlen(suffixes[i]));
            if (family && !family->has_type)
                family = NULL;
        }
    return family ? family : find_or_make(lint, name, line);
}

/* ---- samples ----------------------------------------------------------------------- */

static void count_labels(struct cli_lint *lint, struct cli_family *family, size_t line,
                         const struct cli_exposition_line *sample)
{
    uint64_t base = mix(SEED + 1, family->name.at, family->name.len);

    for (size_t i = 0; i < sample->nlabels; i++) {
        struct cli_text name = sample->labels[i].name, value = sample->labels[i].value;
        size_t n = 0;

        while (n < family->nlabels && (family->labels[n].name.len != name.len ||
                                       memcmp(family->labels[n].name.at, name.at, name.len) != 0))
            n++;
        if (n == CLI_LABELS_MAX)
            continue;
        if (n == family->nlabels)
            family->labels[family->nlabels++] = (struct cli_label){name, 0};
        if (is_new(lint, mix(mix(base, name.at, name.len), value.at, value.len))) {
            family->labels[n].values++;
            cli_lint_value(lint, family, line, name, value);
        }
    }
}

/* FNV's hashes of like texts differ alike, and would cancel out in a sum. */
static uint64_t scatter(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

/* Labels in any order are the same series; without this one, if it is not NULL. */
static uint64_t hash_labels(const struct cli_exposition_line *sample, const char *without)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < sample->nlabels; i++) {
        struct cli_text name = sample->labels[i].name, value = sample->labels[i].value;

        if (!without || !cli_text_is(name, without))
            sum += scatter(mix(mix(SEED + 2, name.at, name.len), value.at, value.len));
    }
    return sum;
}

static struct cli_text label_of(const struct cli_exposition_line *sample, const char *name)
{
    for (size_t i = 0; i < sample->nlabels; i++)
        if (cli_text_is(sample->labels[i].name, name))
            return sample->labels[i].value;
    return (struct cli_text){NULL, 0};
}

static void check_histogram(struct cli_lint *lint, struct cli_family *family, size_t line,
                            const struct cli_exposition_line *sample)
{
    bool bucket = cli_text_ends(sample->name, "_bucket");
    uint64_t group = hash_labels(sample, "le");
    const char *wrong = NULL;

    if (bucket) {
        struct cli_text le = label_of(sample, "le");

        if (family->group != group + 1 || family->has_infinite) {
            family->below = 0;
            family->has_infinite = false;
        }
        family->group = group + 1;
        if (!le.at)
            wrong = "a bucket without le";
        else if (sample->value < family->below)
            wrong = "buckets are not cumulative";
        family->below = sample->value;
        if (le.at && (cli_text_is(le, "+Inf"))) {
            family->has_infinite = true;
            family->infinite = sample->value;
        }
    } else if (cli_text_ends(sample->name, "_count")) {
        if (family->group != group + 1 || !family->has_infinite)
            wrong = "there is no bucket +Inf";
        else if (family->infinite != sample->value)
            wrong = "_count is not the bucket +Inf";
    }
    if (wrong && first_time(family, SAID_HISTOGRAM))
        cli_lint_say(lint, CLI_LINT_ERROR, line, family->name, "%s", wrong);
}

static void check_sample(struct cli_lint *lint, size_t line,
                         const struct cli_exposition_line *sample)
{
    struct cli_family *family = family_of(lint, sample->name, line);

    if (!family)
        return;
    if (lint->current && lint->current != family)
        lint->current->closed = true;
    if (family->closed && first_time(family, SAID_GROUPS))
        cli_lint_say(lint, CLI_LINT_ERROR, line, family->name,
                     "its lines are not together: other metrics stand between them");
    lint->current = family;
    family->has_total |= cli_text_ends(sample->name, "_total");
    if (is_new(lint, mix(SEED, sample->name.at, sample->name.len) + hash_labels(sample, NULL)))
        family->series++;
    else if (first_time(family, SAID_TWICE))
        cli_lint_say(lint, CLI_LINT_ERROR, line, sample->name, "the same series twice");
    count_labels(lint, family, line, sample);
    if (family->type == CLI_METRIC_COUNTER && !cli_text_ends(sample->name, "_created") &&
        !(sample->value >= 0) && first_time(family, SAID_NEGATIVE))
        cli_lint_say(lint, CLI_LINT_ERROR, line, family->name,
                     "a counter that is negative or not a number");
    if (family->type == CLI_METRIC_HISTOGRAM)
        check_histogram(lint, family, line, sample);
}

/* ---- the rest of the page ------------------------------------------------------------ */

static enum cli_metric_type type_of(struct cli_text text, bool *ret_known)
{
    static const struct {
        const char *word;
        enum cli_metric_type type;
    } types[] = {{"counter", CLI_METRIC_COUNTER},     {"gauge", CLI_METRIC_GAUGE},
                 {"histogram", CLI_METRIC_HISTOGRAM}, {"summary", CLI_METRIC_SUMMARY},
                 {"info", CLI_METRIC_INFO},           {"untyped", CLI_METRIC_UNKNOWN},
                 {"unknown", CLI_METRIC_UNKNOWN},     {"stateset", CLI_METRIC_OTHER},
                 {"gaugehistogram", CLI_METRIC_OTHER}};

    *ret_known = true;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (cli_text_is(text, types[i].word))
            return types[i].type;
    *ret_known = false;
    return CLI_METRIC_UNKNOWN;
}

static void take_type(struct cli_lint *lint, size_t line, const struct cli_exposition_line *text)
{
    struct cli_family *family = find_or_make(lint, text->name, line);
    bool known;

    if (!family)
        return;
    if (family->has_type)
        cli_lint_say(lint, CLI_LINT_ERROR, line, family->name, "a second TYPE");
    if (family->series && first_time(family, SAID_TYPE_LATE))
        cli_lint_say(lint, CLI_LINT_ERROR, line, family->name, "TYPE stands behind its samples");
    family->has_type = true;
    family->type = type_of(text->text, &known);
    if (!known)
        cli_lint_say(lint, CLI_LINT_ERROR, line, family->name, "TYPE names no type");
}

static void take_help(struct cli_lint *lint, size_t line, const struct cli_exposition_line *text)
{
    struct cli_family *family = find_or_make(lint, text->name, line);

    if (!family)
        return;
    if (family->has_help)
        cli_lint_say(lint, CLI_LINT_ERROR, line, family->name, "a second HELP");
    family->has_help |= text->text.len > 0;
}

static void take_line(struct cli_lint *lint, size_t line, const char *at, size_t len)
{
    struct cli_exposition_line text;
    enum cli_exposition kind = cli_exposition_read(at, len, &text);

    if (lint->ended && len)
        cli_lint_say(lint, CLI_LINT_ERROR, line, text.name, "something stands behind # EOF");
    if (kind == CLI_EXPOSITION_BAD)
        cli_lint_say(lint, CLI_LINT_ERROR, line, text.name, "%s", text.error);
    else if (kind == CLI_EXPOSITION_SAMPLE)
        check_sample(lint, line, &text);
    else if (kind == CLI_EXPOSITION_TYPE)
        take_type(lint, line, &text);
    else if (kind == CLI_EXPOSITION_HELP)
        take_help(lint, line, &text);
    lint->ended = lint->ended || kind == CLI_EXPOSITION_EOF;
}

bool cli_lint_page(struct cli_lint *lint, const char *page, size_t len)
{
    const char *end = page + len, *next;

    for (size_t line = 1; page < end && !lint->no_memory; line++, page = next) {
        const char *stop = memchr(page, '\n', (size_t)(end - page));

        if (!stop)
            cli_lint_say(lint, CLI_LINT_ERROR, line, (struct cli_text){NULL, 0},
                         "the page does not end with a line break");
        next = stop ? stop + 1 : end;
        take_line(lint, line, page, (size_t)((stop ? stop : end) - page));
    }
    for (size_t i = 0; i < lint->nfamilies && !lint->no_memory; i++)
        cli_lint_family(lint, &lint->families[i]);
    return !lint->no_memory;
}

void cli_lint_done(struct cli_lint *lint)
{
    free(lint->families);
    free(lint->slots);
    free(lint->seen);
}
