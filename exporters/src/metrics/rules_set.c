/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of rules: its memory, the columns of the fields that its rules name, and
 * their metrics. It does not change once it is finished, so every thread may
 * read it.
 */
#include "registry_priv.h"
#include "rules_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct clew__rules_block {
    struct clew__rules_block *next;
    _Alignas(16) char bytes[];
};

struct clew__rules *clew__rules_new(void)
{
    struct clew__rules *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->builtin = true;
    set->ncolumns = CLEW__COLUMN_FIRST_FIELD;
    set->columns[CLEW__COLUMN_EVENT] = CLEW__EVENT_FIELD;
    return set;
}

struct clew__rules *clew__rules_free(struct clew__rules *set)
{
    if (!set)
        return NULL;
    for (size_t i = 0; i < set->nrules; i++)
        for (size_t t = 0; t < set->rules[i].ntests; t++)
            for (size_t r = 0; set->rules[i].tests[t].regexes && r < set->rules[i].tests[t].ntexts;
                 r++)
                regfree(&set->rules[i].tests[t].regexes[r]);
    for (struct clew__rules_block *block = set->memory, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(set->rules);
    free(set);
    return NULL;
}

void *clew__rules_memory(struct clew__rules *set, size_t size)
{
    struct clew__rules_block *block = calloc(1, sizeof(*block) + size);

    if (!block)
        return NULL;
    block->next = set->memory;
    set->memory = block;
    return block->bytes;
}

int clew__rules_add(struct clew__rules *set, const struct clew__rule *rule)
{
    struct clew__rule *longer;

    if (set->nrules == CLEW__RULES_ALL_MAX)
        return clew_set_error(-E2BIG, "more than %u rules", CLEW__RULES_ALL_MAX);
    if (set->nrules % 16 == 0) {
        longer = realloc(set->rules, (set->nrules + 16) * sizeof(*longer));
        if (!longer)
            return clew_set_error(-ENOMEM, "out of memory");
        set->rules = longer;
    }
    set->rules[set->nrules++] = *rule;
    return 0;
}

/* CLEW__NO_COLUMN: there are too many. */
static unsigned column_of(struct clew__rules *set, const char *field)
{
    for (size_t i = CLEW__COLUMN_EVENT; i < set->ncolumns; i++)
        if (strcmp(set->columns[i], field) == 0)
            return (unsigned)i;
    if (set->ncolumns == CLEW__COLUMNS_MAX)
        return CLEW__NO_COLUMN;
    set->columns[set->ncolumns] = field;
    return (unsigned)set->ncolumns++;
}

static unsigned subject_column(struct clew__rules *set, const struct clew__rule_test *test)
{
    static const unsigned columns[] = {[CLEW__RULE_MESSAGE] = CLEW__COLUMN_MESSAGE,
                                       [CLEW__RULE_EVENT] = CLEW__COLUMN_EVENT,
                                       [CLEW__RULE_LOGGER] = CLEW__COLUMN_LOGGER};

    return test->subject == CLEW__RULE_FIELD ? column_of(set, test->field) : columns[test->subject];
}

static bool place_fields(struct clew__rules *set, struct clew__rule *rule)
{
    bool good = true;

    for (size_t i = 0; i < rule->ntests; i++) {
        rule->tests[i].column = subject_column(set, &rule->tests[i]);
        good = good && rule->tests[i].column != CLEW__NO_COLUMN;
    }
    for (size_t i = 0; i < rule->nlabels; i++)
        if (rule->labels[i].field) {
            rule->labels[i].column = column_of(set, rule->labels[i].field);
            good = good && rule->labels[i].column != CLEW__NO_COLUMN;
        }
    if (rule->value) {
        rule->value_column = column_of(set, rule->value);
        good = good && rule->value_column != CLEW__NO_COLUMN;
    }
    return good;
}

/* A built-in one. */
static struct clew_metric *make_derived(const struct clew__rule *rule, const char *const *names)
{
    if (rule->type == CLEW__RULE_COUNTER)
        return clew__derived_counter(rule->metric, rule->help, names);
    if (rule->type == CLEW__RULE_HISTOGRAM)
        return clew__derived_histogram(rule->metric, rule->help, names, rule->bounds,
                                       rule->nbounds);
    return clew__derived_gauge(rule->metric, rule->help, names);
}

static struct clew_metric *make_metric(const struct clew__rule *rule)
{
    const char *names[CLEW_METRIC_LABELS_MAX + 1];

    for (size_t i = 0; i < rule->nlabels; i++)
        names[i] = rule->labels[i].name;
    names[rule->nlabels] = NULL;
    if (!rule->place.line)
        return make_derived(rule, names);
    if (rule->type == CLEW__RULE_COUNTER)
        return clew_counter(rule->metric, rule->help, names);
    if (rule->type == CLEW__RULE_HISTOGRAM)
        return clew_histogram(rule->metric, rule->help, names, rule->bounds, rule->nbounds);
    return clew_gauge(rule->metric, rule->help, names);
}

/* What went wrong, with the place of the rule before it. */
static int at_rule(const struct clew__rule *rule, const char *file, const char *why)
{
    char reason[512];

    strncpy(reason, why, sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    if (!rule->place.line)
        return clew_set_error(-EINVAL, "built-in rule for %s: %s", rule->metric, reason);
    return clew_set_error(-EINVAL, "%s:%zu:%zu: %s", file, rule->place.line, rule->place.column,
                          reason);
}

static int make_metrics(struct clew__rules *set, const char *file, bool builtin)
{
    for (size_t i = 0; i < set->nrules; i++) {
        struct clew__rule *rule = &set->rules[i];

        if ((rule->place.line == 0) != builtin)
            continue;
        rule->target = make_metric(rule);
        if (!rule->target)
            return at_rule(rule, file, clew_last_error());
    }
    return 0;
}

int clew__rules_finish(struct clew__rules *set, const char *file)
{
    int err;

    for (size_t i = 0; i < set->nrules; i++)
        if (!place_fields(set, &set->rules[i]))
            return at_rule(&set->rules[i], file,
                           "the rules name more than 64 different fields; use fewer");
    /* The built-in ones first: where a file's rule differs, it is the file's error. */
    err = make_metrics(set, file, true);
    return err < 0 ? err : make_metrics(set, file, false);
}

int clew__rules_load(const char *file, struct clew__rules **ret_set)
{
    struct clew__rules *set = clew__rules_new();
    int err = set ? 0 : clew_set_error(-ENOMEM, "out of memory");

    if (err == 0 && file)
        err = clew__rules_read_file(set, file);
    if (err == 0 && set->builtin)
        err = clew__red_rules(set);
    if (err == 0)
        err = clew__rules_finish(set, file);
    if (err < 0) {
        clew__rules_free(set);
        return err;
    }
    *ret_set = set;
    return 0;
}
