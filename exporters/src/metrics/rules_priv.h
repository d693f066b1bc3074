/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules, as the files named rules*.c share them.
 *
 *     rules_read.c     a file becomes rules, or an error with its place
 *     rules_lint.c     what is allowed but probably not meant
 *     rules_set.c      rules become a set: metrics are made, fields are columns
 *     rules_test.c     one rule on one event
 *     rules_program.c  the rules that a kind of event can match
 *     rules_memory.c   what came out for the same values before
 *     rules_site.c     call sites, and rules_event.c their events
 *     rules_lines.c    events in lines of JSON, read by rules_layout.c where one like it
 *                      came before, else by rules_json.c, rules_quotes.c
 *     rules.c          the process' set, and its reload
 */
#ifndef CLEW_RULES_PRIV_H
#define CLEW_RULES_PRIV_H

#include <clew/rules.h>

#include <regex.h>

/* ---- rules ------------------------------------------------------------------ */

enum clew__rule_subject {
    CLEW__RULE_FIELD,
    CLEW__RULE_MESSAGE,
    CLEW__RULE_EVENT, /* the field event.name, else the message */
    CLEW__RULE_LOGGER,
};

enum clew__rule_how { CLEW__RULE_EXISTS, CLEW__RULE_EQUALS, CLEW__RULE_GLOB, CLEW__RULE_REGEX };

/* Holds when one of the texts fits, or with negate when none does. */
struct clew__rule_test {
    enum clew__rule_subject subject;
    enum clew__rule_how how;
    bool negate;
    const char *field; /* of a FIELD */
    size_t ntexts;
    const char *const *texts;
    regex_t *regexes; /* of a REGEX: ntexts of them */
    unsigned column;  /* set by the set */
};

struct clew__rule_pair {
    const char *from, *to;
};

/* The value of field, or what map makes of it. fallback stands for a field that
 * is absent and, with a map, for what is not in it; NULL: "", and the value. */
struct clew__rule_label {
    const char *name;
    const char *field; /* NULL: always the fallback */
    const char *fallback;
    const struct clew__rule_pair *map; /* ends with a from of NULL */
    unsigned column;
};

enum clew__rule_type {
    CLEW__RULE_COUNTER,
    CLEW__RULE_GAUGE_ADD,
    CLEW__RULE_GAUGE_SET,
    CLEW__RULE_HISTOGRAM
};

#define CLEW__RULE_TESTS_MAX 12u
#define CLEW__RULES_ALL_MAX (CLEW_RULES_MAX + 64u) /* with those built in */

struct clew__rule {
    const char *metric, *help;
    enum clew__rule_type type;
    int level; /* this one and above; 0: any */
    size_t ntests, nlabels, nbounds;
    struct clew__rule_test tests[CLEW__RULE_TESTS_MAX];
    struct clew__rule_label labels[CLEW_METRIC_LABELS_MAX];
    const char *value; /* a field; NULL: 1 */
    double scale;      /* times this; 0 counts as 1 */
    const double *bounds;
    struct clew_metric *target; /* and what follows: set by the set */
    unsigned value_column;
    struct {
        size_t line, column; /* in its file; 0: built in */
    } place;
};

/* ---- sets -------------------------------------------------------------------- */

/* Columns that are not fields. */
enum {
    CLEW__COLUMN_MESSAGE,
    CLEW__COLUMN_LOGGER,
    CLEW__COLUMN_LEVEL, /* of lines in JSON, as the next three */
    CLEW__COLUMN_TRACE,
    CLEW__COLUMN_SPAN,
    CLEW__COLUMN_TIME,
    CLEW__COLUMN_EVENT,
    CLEW__COLUMN_FIRST_FIELD
};
#define CLEW__COLUMNS_MAX (CLEW__COLUMN_FIRST_FIELD + CLEW_RULE_FIELDS_MAX)
#define CLEW__NO_COLUMN UINT32_MAX
/* The field that names an event where its message does not. */
#define CLEW__EVENT_FIELD "event.name"

struct clew__exemplar;
struct clew__rules_block;

struct clew__rules {
    struct clew__rule *rules;
    size_t nrules;
    bool builtin; /* the built-in rules are wanted with them */
    size_t ncolumns;
    const char *columns[CLEW__COLUMNS_MAX]; /* names of fields */
    struct clew__rules_block *memory;
    struct clew__rules *previous; /* replaced: an event may still be in it */
};

/* rules_set.c. NULL without memory. */
struct clew__rules *clew__rules_new(void);
/* Accepts NULL, returns NULL. Nobody may use it any more. */
struct clew__rules *clew__rules_free(struct clew__rules *set);
/* Zeroed memory that lives as long as the set; NULL without memory. */
void *clew__rules_memory(struct clew__rules *set, size_t size);
/* Adds a copy; its strings and arrays stay the caller's. 0, -ENOMEM, -E2BIG. */
int clew__rules_add(struct clew__rules *set, const struct clew__rule *rule);
/* Gives fields their columns and makes the metrics. file is for errors. 0; -errno */
int clew__rules_finish(struct clew__rules *set, const char *file);

/* rules_read.c: adds the file's rules. 0, or -errno with "file:line:column: reason". */
int clew__rules_read_file(struct clew__rules *set, const char *file);
int clew__rules_parse(struct clew__rules *set, const char *file, const char *text, size_t len);
/* rules_lint.c */
void clew__rules_lint(const struct clew__rules *set, const char *file,
                      void (*warn)(void *arg, const char *text), void *arg);
/* Why the field must not be a label; NULL: it may. */
const char *clew__rules_refuse_label(const char *field);
/* red.c: adds the built-in rules. 0; -errno */
int clew__red_rules(struct clew__rules *set);
/* The file and, unless it does not want them, the built-in ones; NULL file: only
 * these. Metrics are made. 0; -errno */
int clew__rules_load(const char *file, struct clew__rules **ret_set);

/* ---- events -------------------------------------------------------------------- */

enum clew__rule_kind {
    CLEW__RULE_ABSENT,  /* or null */
    CLEW__RULE_TEXT,    /* text */
    CLEW__RULE_ESCAPED, /* text between the quotes of a JSON string */
    CLEW__RULE_NUMBER,  /* text of a JSON number */
    CLEW__RULE_INT,
    CLEW__RULE_UINT,
    CLEW__RULE_DOUBLE,
    CLEW__RULE_SECONDS, /* INT, in nanoseconds */
    CLEW__RULE_OTHER    /* something that is neither text nor number */
};

/* What an event has in a column. */
struct clew__rule_value {
    union {
        const char *text;
        int64_t i;
        uint64_t u;
        double d;
    } as;
    uint32_t len; /* of text; 0 for numbers */
    uint32_t kind;
};

static inline bool clew__rule_has_text(const struct clew__rule_value *value)
{
    return value->kind >= CLEW__RULE_TEXT && value->kind <= CLEW__RULE_NUMBER;
}

/* rules_test.c. The value as text, in room for CLEW_RULE_TEXT_MAX bytes where it
 * has to be made; cut there. Valid as long as the event and room. */
const char *clew__rule_text(const struct clew__rule_value *value, char *room, size_t *ret_len);
/* The value as a number; false when it is none. */
bool clew__rule_number(const struct clew__rule_value *value, double *ret);
bool clew__rule_test_holds(const struct clew__rule_test *test,
                           const struct clew__rule_value *event);
/* The label's text, as above. */
const char *clew__rule_label_text(const struct clew__rule_label *label,
                                  const struct clew__rule_value *event, char *room,
                                  size_t *ret_len);

/* ---- programs -------------------------------------------------------------------- */

/* Rules that events of one kind may match. What decides about their open tests
 * and their labels are its keys; an update then needs the values only. */
struct clew__program {
    uint64_t serial; /* no other program ever has it */
    size_t nrules, nkeys, nvalues;
    const struct clew__rule **rules;
    uint16_t *open; /* a rule's tests that events decide, a bit each */
    uint8_t *slots; /* which value a rule takes; CLEW__NO_SLOT: none */
    struct {
        uint16_t column;
        bool presence; /* all that matters is whether it is there */
    } keys[CLEW__COLUMNS_MAX];
    uint16_t values[CLEW__COLUMNS_MAX];
};
#define CLEW__NO_SLOT UINT8_MAX

#define CLEW__RULE_NEVER UINT16_MAX

/* rules_program.c.
 * args     open: for each rule of the set its tests that are not decided yet, or
 *          CLEW__RULE_NEVER. absent: columns that no such event has; may be NULL
 * owner    free()
 * returns  NULL without memory, or when no rule is left */
struct clew__program *clew__program_new(const struct clew__rules *set, const uint16_t *open,
                                        const bool *absent);
/* Updates the metrics of the rules that match. keys and values as the program
 * lists them, exemplar may be NULL. returns whether any rule did. */
bool clew__program_run(const struct clew__program *program, const struct clew__rule_value *keys,
                       const struct clew__rule_value *values,
                       const struct clew__exemplar *exemplar);

/* rules_site.c: from now on, with this set. 0; -errno */
int clew__rules_observe(struct clew__rules *set);
/* rules_lines.c: a deriver that borrows set. owner clew__deriver_done(); NULL
 * without memory */
struct clew_deriver *clew__deriver_new(struct clew__rules *set);
void clew__deriver_done(struct clew_deriver *deriver);
/* rules.c: reads CLEW_METRICS_RULES and starts. 0; -errno */
int clew__rules_start(void);
void clew__rules_stop(void);

#endif
