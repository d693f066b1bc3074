/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules at call sites. What can be decided about a call site is decided when it
 * is passed for the first time: its message, level and logger, which fields it
 * has and of which type. What is left is a program, and where in the call's
 * values the program's keys and values are. A site that no rule can match is not
 * observed at all.
 *
 * Fields are the call's own. One that becomes a token in the line (a secret)
 * exists for rules, but has neither a text nor a number.
 *
 * Threads: everything runs in the caller's. Programs of rules that were replaced
 * stay, for whoever is in them.
 */
#include "rules_priv.h"

#include <clew/logger.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Where something is in a call. */
struct source {
    enum { NOWHERE, IN_FIELD, IN_TEXT, IN_NUMBER, IN_OBJECT, IN_LOGGER, HIDDEN } where;
    uint32_t kind; /* IN_NUMBER: of all its values */
    unsigned field;
    const char *path; /* IN_OBJECT: names below it, with dots */
};

struct observed {
    struct clew__program *program;
    struct source *keys, *values;
    struct observed *previous; /* all there are, so that none looks lost */
};

static struct clew__rules *_Atomic current;
static struct observed *all;

/* ---- reading a call ---------------------------------------------------------------- */

static struct clew__rule_value as_value(unsigned type, const struct clew_value *value)
{
    struct clew__rule_value v = {.as.u = value->as.u, .kind = CLEW__RULE_OTHER};

    switch (type) {
    case CLEW_TYPE_STRING:
    case CLEW_TYPE_MESSAGE:
        if (!value->as.s) {
            v.kind = CLEW__RULE_ABSENT;
            break;
        }
        v.kind = CLEW__RULE_TEXT;
        v.len = value->len == CLEW_LENGTH_UNKNOWN ? (uint32_t)strlen(value->as.s)
                                                  : (uint32_t)value->len;
        break;
    case CLEW_TYPE_INT:
        v.kind = CLEW__RULE_INT;
        break;
    case CLEW_TYPE_UINT:
    case CLEW_TYPE_HELD:
        v.kind = CLEW__RULE_UINT;
        break;
    case CLEW_TYPE_DOUBLE:
        v.kind = CLEW__RULE_DOUBLE;
        break;
    case CLEW_TYPE_DURATION:
        v.kind = CLEW__RULE_SECONDS;
        break;
    case CLEW_TYPE_BOOL:
        v.kind = CLEW__RULE_TEXT;
        v.as.text = value->as.u ? "true" : "false";
        v.len = value->as.u ? 4 : 5;
        break;
    case CLEW_TYPE_NULL:
        v.kind = CLEW__RULE_ABSENT;
        break;
    default:
        break;
    }
    return v;
}

/* path: names with dots between them. */
static struct clew__rule_value within(const struct clew_fields *fields, const char *path)
{
    static const struct clew__rule_value absent, hidden = {.kind = CLEW__RULE_OTHER};
    size_t len = strcspn(path, ".");

    for (size_t i = 0; fields && i < fields->n; i++) {
        const char *key = fields->keys[i];

        if (clew_key_is_secret(key) && strcmp(key, path) == 0)
            return hidden;
        if (strcmp(key, path) == 0)
            return as_value(fields->types[i], &fields->values[i]);
        if (path[len] && strncmp(key, path, len) == 0 && !key[len] &&
            fields->types[i] == CLEW_TYPE_OBJECT)
            return within(fields->values[i].as.fields, path + len + 1);
    }
    return absent;
}

static struct clew__rule_value read_any(const struct source *source, const struct clew_site *site,
                                        const struct clew_logger *logger,
                                        const struct clew_value *values)
{
    struct clew__rule_value v = {.kind = CLEW__RULE_ABSENT};
    const char *name;

    switch (source->where) {
    case IN_FIELD:
    case IN_TEXT:
    case IN_NUMBER:
        return as_value(site->types[source->field], &values[source->field]);
    case IN_OBJECT:
        return within(values[source->field].as.fields, source->path);
    case IN_LOGGER:
        name = clew_logger_name(logger);
        if (*name) {
            v.kind = CLEW__RULE_TEXT;
            v.as.text = name;
            v.len = (uint32_t)strlen(name);
        }
        break;
    case HIDDEN:
        v.kind = CLEW__RULE_OTHER;
        break;
    case NOWHERE:
        break;
    }
    return v;
}

/* The texts and numbers that most fields are, read in a few instructions. */
static inline void read_source(struct clew__rule_value *ret, const struct source *source,
                               const struct clew_site *site, const struct clew_logger *logger,
                               const struct clew_value *values)
{
    const struct clew_value *value = &values[source->field];

    if (source->where == IN_TEXT && value->as.s && value->len != CLEW_LENGTH_UNKNOWN) {
        ret->as.text = value->as.s;
        ret->len = (uint32_t)value->len;
        ret->kind = CLEW__RULE_TEXT;
    } else if (source->where == IN_NUMBER) {
        ret->as.u = value->as.u;
        ret->len = 0;
        ret->kind = source->kind;
    } else {
        *ret = read_any(source, site, logger, values);
    }
}

/* ---- deciding about a call site ------------------------------------------------------ */

static struct source find_field(const struct clew_site *site, const char *name)
{
    size_t len = strcspn(name, ".");

    for (unsigned i = 0; i < site->nfields; i++)
        if (strcmp(site->keys[i], name) == 0 && site->types[i] != CLEW_TYPE_MESSAGE)
            return (struct source){site->secrets & 1u << i ? HIDDEN : IN_FIELD, 0, i, NULL};
    for (unsigned i = 0; i < site->nfields; i++)
        if (name[len] && site->types[i] == CLEW_TYPE_OBJECT &&
            strncmp(site->keys[i], name, len) == 0 && !site->keys[i][len])
            return (struct source){site->secrets & 1u << i ? HIDDEN : IN_OBJECT, 0, i,
                                   name + len + 1};
    return (struct source){NOWHERE, 0, 0, NULL};
}

static struct source find_column(const struct clew__rules *set, const struct clew_site *site,
                                 unsigned column)
{
    if (column == CLEW__COLUMN_LOGGER)
        return (struct source){site->kind == CLEW_SITE_TO_LOGGER ? IN_LOGGER : NOWHERE, 0, 0, NULL};
    if (column == CLEW__COLUMN_LEVEL) /* known anyway */
        return (struct source){NOWHERE, 0, 0, NULL};
    if (column == CLEW__COLUMN_MESSAGE) {
        for (unsigned i = 0; i < site->nfields; i++)
            if (site->types[i] == CLEW_TYPE_MESSAGE)
                return (struct source){IN_FIELD, 0, i, NULL};
        return (struct source){NOWHERE, 0, 0, NULL};
    }
    return find_field(site, set->columns[column]);
}

/* What is certain about all events of a site. */
struct knowledge {
    struct clew__rule_value event[CLEW__COLUMNS_MAX]; /* of columns that are known */
    bool known[CLEW__COLUMNS_MAX];
    bool there[CLEW__COLUMNS_MAX]; /* known or not, it is not absent */
    bool absent[CLEW__COLUMNS_MAX];
};

static void know_text(struct knowledge *k, unsigned column, const char *text)
{
    k->known[column] = true;
    k->there[column] = *text != '\0';
    k->absent[column] = !*text;
    if (*text)
        k->event[column] = (struct clew__rule_value){
            .as.text = text, .len = (uint32_t)strlen(text), .kind = CLEW__RULE_TEXT};
}

static void know(struct knowledge *k, const struct clew__rules *set, const struct clew_site *site)
{
    memset(k, 0, sizeof(*k));
    for (unsigned i = 0; i < set->ncolumns; i++) {
        struct source source = find_column(set, site, i);
        unsigned type = source.where == IN_FIELD ? site->types[source.field] : CLEW_TYPE_NULL;

        if (source.where == NOWHERE || (source.where == IN_FIELD && type == CLEW_TYPE_NULL)) {
            k->known[i] = k->absent[i] = true;
        } else if (source.where == HIDDEN) {
            k->known[i] = k->there[i] = true;
            k->event[i].kind = CLEW__RULE_OTHER;
        } else if (source.where == IN_FIELD) {
            k->there[i] = type != CLEW_TYPE_STRING && type != CLEW_TYPE_MESSAGE;
        }
    }
    if (k->absent[CLEW__COLUMN_MESSAGE])
        know_text(k, CLEW__COLUMN_MESSAGE, site->message);
    if (k->absent[CLEW__COLUMN_LOGGER])
        know_text(k, CLEW__COLUMN_LOGGER, site->logger);
}

static bool is_decided(const struct clew__rule_test *test, const struct knowledge *k)
{
    if (test->how == CLEW__RULE_EXISTS && k->there[test->column])
        return true;
    if (test->subject == CLEW__RULE_EVENT && k->absent[CLEW__COLUMN_EVENT])
        return k->known[CLEW__COLUMN_MESSAGE];
    return k->known[test->column];
}

static bool holds(const struct clew__rule_test *test, const struct knowledge *k)
{
    if (test->how == CLEW__RULE_EXISTS && k->there[test->column])
        return !test->negate;
    return clew__rule_test_holds(test, k->event);
}

/* Whether the rule's value can be a number. */
static bool has_value(const struct clew__rule *rule, const struct clew__rules *set,
                      const struct clew_site *site)
{
    static const struct clew_value none;
    struct source source;

    if (!rule->value)
        return true;
    source = find_column(set, site, rule->value_column);
    if (source.where == IN_OBJECT)
        return true;
    if (source.where != IN_FIELD || site->types[source.field] == CLEW_TYPE_BOOL)
        return false;
    return site->types[source.field] == CLEW_TYPE_STRING ||
           as_value(site->types[source.field], &none).kind >= CLEW__RULE_INT;
}

/* The rule's open tests, or CLEW__RULE_NEVER. */
static uint16_t decide(const struct clew__rule *rule, const struct clew__rules *set,
                       const struct clew_site *site, const struct knowledge *k)
{
    uint16_t open = 0;

    if (site->level < rule->level || !has_value(rule, set, site))
        return CLEW__RULE_NEVER;
    for (size_t i = 0; i < rule->ntests; i++)
        if (!is_decided(&rule->tests[i], k))
            open |= (uint16_t)(1u << i);
        else if (!holds(&rule->tests[i], k))
            return CLEW__RULE_NEVER;
    return open;
}

/* As find_column(), and for read_source() what the field's type says. */
static struct source make_source(const struct clew__rules *set, const struct clew_site *site,
                                 unsigned column)
{
    static const struct clew_value none;
    struct source source = find_column(set, site, column);
    unsigned type = site->types[source.field];

    if (source.where != IN_FIELD)
        return source;
    source.kind = as_value(type, &none).kind;
    if (type == CLEW_TYPE_STRING || type == CLEW_TYPE_MESSAGE)
        source.where = IN_TEXT;
    else if (source.kind >= CLEW__RULE_INT && source.kind <= CLEW__RULE_SECONDS)
        source.where = IN_NUMBER;
    return source;
}

static struct observed *new_observed(const struct clew__rules *set, const struct clew_site *site,
                                     struct clew__program *program)
{
    size_t n = program->nkeys + program->nvalues;
    struct observed *observed = calloc(1, sizeof(*observed) + n * sizeof(struct source));

    if (!observed)
        return NULL;
    observed->program = program;
    observed->keys = (struct source *)(void *)(observed + 1);
    observed->values = observed->keys + program->nkeys;
    for (size_t i = 0; i < program->nkeys; i++)
        observed->keys[i] = make_source(set, site, program->keys[i].column);
    for (size_t i = 0; i < program->nvalues; i++)
        observed->values[i] = make_source(set, site, program->values[i]);
    observed->previous = all;
    all = observed;
    return observed;
}

static void *match(void *self, const struct clew_site *site)
{
    const struct clew__rules *set = atomic_load(&current);
    struct knowledge k;
    uint16_t open[CLEW__RULES_ALL_MAX];
    struct clew__program *program;
    void *observed = NULL;

    (void)self;
    know(&k, set, site);
    for (size_t i = 0; i < set->nrules; i++)
        open[i] = decide(&set->rules[i], set, site, &k);
    program = clew__program_new(set, open, k.absent);
    if (program)
        observed = new_observed(set, site, program);
    if (!observed)
        free(program);
    return observed;
}

/* ---- events ---------------------------------------------------------------------------- */

static void observe(void *state, const struct clew_site *site, const struct clew_logger *logger,
                    const struct clew_value *values, const struct clew_scope *scope)
{
    const struct observed *observed = state;
    const struct clew__program *program = observed->program;
    struct clew__rule_value keys[CLEW__COLUMNS_MAX], amounts[CLEW__COLUMNS_MAX];
    struct clew__rule_trace trace = {NULL, scope->span_id};

    for (size_t i = 0; i < program->nkeys; i++)
        read_source(&keys[i], &observed->keys[i], site, logger, values);
    for (size_t i = 0; i < program->nvalues; i++)
        read_source(&amounts[i], &observed->values[i], site, logger, values);
    if (scope->context && (clew_context_trace_flags(scope->context) & CLEW_TRACE_SAMPLED))
        trace.trace_id = clew_context_trace_id(scope->context);
    (void)clew__program_run(program, keys, amounts, &trace);
}

int clew__rules_observe(struct clew__rules *set)
{
    static const struct clew_observer_ops ops = {"rules", match, observe};
    static bool added;
    int err;

    set->previous = atomic_load(&current);
    atomic_store(&current, set);
    err = added ? clew_observer_again(&ops, NULL) : clew_observer_add(&ops, NULL);
    added = added || err == 0;
    return err;
}
