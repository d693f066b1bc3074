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
 * Threads: everything runs in the caller's, under the lock of liblog's call sites
 * but for clew__rules_observe(), whose caller has the rules' lock. Rules that were
 * replaced, and what was made of them, are freed when no event is in them any more.
 */
#include "rules_site.h"

#include "shards_priv.h"

#include <clew/logger.h>

#include <errno.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct clew__rules *_Atomic current;
static void *slots; /* tsearch() */
/* Replaced, and not yet freed. */
static struct clew__rules *old_sets;
static struct clew__observed *old_observed;

/* ---- deciding about a call site ------------------------------------------------------ */

static struct clew__source find_field(const struct clew_site *site, const char *name)
{
    size_t len = strcspn(name, ".");

    for (unsigned i = 0; i < site->nfields; i++)
        if (strcmp(site->keys[i], name) == 0 && site->types[i] != CLEW_TYPE_MESSAGE)
            return (struct clew__source){.where = site->secrets & 1u << i ? CLEW__SOURCE_HIDDEN
                                                                          : CLEW__SOURCE_FIELD,
                                         .field = i};
    for (unsigned i = 0; i < site->nfields; i++)
        if (name[len] && site->types[i] == CLEW_TYPE_OBJECT &&
            strncmp(site->keys[i], name, len) == 0 && !site->keys[i][len])
            return (struct clew__source){.where = site->secrets & 1u << i ? CLEW__SOURCE_HIDDEN
                                                                          : CLEW__SOURCE_OBJECT,
                                         .field = i,
                                         .path = name + len + 1};
    return (struct clew__source){.where = CLEW__SOURCE_NOWHERE};
}

static struct clew__source find_column(const struct clew__rules *set, const struct clew_site *site,
                                       unsigned column)
{
    if (column == CLEW__COLUMN_LOGGER)
        return (struct clew__source){.where = site->kind == CLEW_SITE_TO_LOGGER
                                                  ? CLEW__SOURCE_LOGGER
                                                  : CLEW__SOURCE_NOWHERE};
    if (column >= CLEW__COLUMN_LEVEL && column <= CLEW__COLUMN_TIME) /* known anyway */
        return (struct clew__source){.where = CLEW__SOURCE_NOWHERE};
    if (column == CLEW__COLUMN_MESSAGE) {
        for (unsigned i = 0; i < site->nfields; i++)
            if (site->types[i] == CLEW_TYPE_MESSAGE)
                return (struct clew__source){.where = CLEW__SOURCE_FIELD, .field = i};
        return (struct clew__source){.where = CLEW__SOURCE_NOWHERE};
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
        struct clew__source source = find_column(set, site, i);
        unsigned type =
            source.where == CLEW__SOURCE_FIELD ? site->types[source.field] : CLEW_TYPE_NULL;

        if (source.where == CLEW__SOURCE_NOWHERE ||
            (source.where == CLEW__SOURCE_FIELD && type == CLEW_TYPE_NULL)) {
            k->known[i] = k->absent[i] = true;
        } else if (source.where == CLEW__SOURCE_HIDDEN) {
            k->known[i] = k->there[i] = true;
            k->event[i].kind = CLEW__RULE_OTHER;
        } else if (source.where == CLEW__SOURCE_FIELD) {
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
    struct clew__source source;

    if (!rule->value)
        return true;
    source = find_column(set, site, rule->value_column);
    if (source.where == CLEW__SOURCE_OBJECT)
        return true;
    if (source.where != CLEW__SOURCE_FIELD || site->types[source.field] == CLEW_TYPE_BOOL)
        return false;
    return site->types[source.field] == CLEW_TYPE_STRING ||
           clew__value_of(site->types[source.field], &none).kind >= CLEW__RULE_INT;
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

/* As find_column(), and what the field's type says. */
static struct clew__source make_source(const struct clew__rules *set, const struct clew_site *site,
                                       unsigned column, bool presence)
{
    static const struct clew_value none;
    struct clew__source source = find_column(set, site, column);
    unsigned type = site->types[source.field];

    source.presence = presence;
    if (source.where != CLEW__SOURCE_FIELD)
        return source;
    source.at = (uint32_t)(source.field * sizeof(struct clew_value));
    source.kind = clew__value_of(type, &none).kind;
    if (type == CLEW_TYPE_STRING || type == CLEW_TYPE_MESSAGE)
        source.where = presence ? CLEW__SOURCE_THERE : CLEW__SOURCE_TEXT;
    else if (!presence && source.kind >= CLEW__RULE_INT && source.kind <= CLEW__RULE_SECONDS)
        source.where = CLEW__SOURCE_NUMBER;
    return source;
}

static void free_observed(struct clew__observed *observed)
{
    if (observed)
        free(observed->program);
    free(observed);
}

static struct clew__observed *new_observed(const struct clew__rules *set,
                                           const struct clew_site *site,
                                           struct clew__program *program)
{
    size_t n = program->nkeys + program->nvalues;
    struct clew__observed *observed =
        calloc(1, sizeof(*observed) + n * sizeof(struct clew__source));

    if (!observed)
        return NULL;
    observed->program = program;
    observed->keys = (struct clew__source *)(void *)(observed + 1);
    observed->values = observed->keys + program->nkeys;
    for (size_t i = 0; i < program->nkeys; i++)
        observed->keys[i] =
            make_source(set, site, program->keys[i].column, program->keys[i].presence);
    for (size_t i = 0; i < program->nvalues; i++)
        observed->values[i] = make_source(set, site, program->values[i], false);
    clew__observed_prepare(observed);
    return observed;
}

static struct clew__observed *observed_of(const struct clew__rules *set,
                                          const struct clew_site *site)
{
    uint16_t open[CLEW__RULES_ALL_MAX];
    struct clew__observed *observed = NULL;
    struct clew__program *program;
    struct knowledge k;

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

/* ---- slots -------------------------------------------------------------------------------- */

static int compare_sites(const void *a, const void *b)
{
    const struct clew_site *x = ((const struct clew__slot *)a)->site;
    const struct clew_site *y = ((const struct clew__slot *)b)->site;

    return (x > y) - (x < y);
}

/* NULL without memory, or when there is none and none is wanted. */
static struct clew__slot *slot_of(const struct clew_site *site, bool wanted)
{
    struct clew__slot key = {.site = site}, *slot;
    struct clew__slot **found = tfind(&key, &slots, compare_sites);

    if (found || !wanted)
        return found ? *found : NULL;
    slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    slot->site = site;
    if (!tsearch(slot, &slots, compare_sites)) {
        free(slot);
        return NULL;
    }
    return slot;
}

static void *match(void *self, const struct clew_site *site)
{
    struct clew__observed *observed = observed_of(atomic_load(&current), site), *old;
    struct clew__slot *slot = slot_of(site, observed != NULL);

    (void)self;
    if (!slot) {
        free_observed(observed);
        return NULL;
    }
    old = atomic_exchange(&slot->observed, observed);
    if (old) {
        old->next = old_observed;
        old_observed = old;
    }
    return observed ? slot : NULL;
}

/* ---- replacing ------------------------------------------------------------------------------ */

/* Events that began before are waited for; where that fails it is for the next time.
 * Only clew_observer_again() makes match() replace something. */
static void free_old(void)
{
    if (!clew__shards_settled())
        return;
    for (struct clew__observed *observed = old_observed, *next; observed; observed = next) {
        next = observed->next;
        free_observed(observed);
    }
    old_observed = NULL;
    for (struct clew__rules *set = old_sets, *next; set; set = next) {
        next = set->previous;
        clew__rules_free(set);
    }
    old_sets = NULL;
}

int clew__rules_observe(struct clew__rules *set)
{
    static const struct clew_observer_ops ops = {"rules", match, clew__observe_event};
    struct clew__rules *old = atomic_load(&current);
    static bool added;
    int err;

    atomic_store(&current, set);
    err = added ? clew_observer_again(&ops, NULL) : clew_observer_add(&ops, NULL);
    added = added || err == 0;
    if (old) {
        old->previous = old_sets;
        old_sets = old;
        free_old();
    }
    return err;
}
