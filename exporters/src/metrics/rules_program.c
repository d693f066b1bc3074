/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs: of a set's rules those that events of one kind may match, and the
 * values of an event that they need. What came out for the same keys before is
 * remembered (rules_memory.c).
 */
#include "rules_memory.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- making programs ----------------------------------------------------------- */

static void add_key(struct clew__program *program, unsigned column, bool presence,
                    const bool *absent)
{
    size_t i = 0;

    if (absent && absent[column])
        return;
    while (i < program->nkeys && program->keys[i].column != column)
        i++;
    if (i == program->nkeys) {
        program->keys[i].column = (uint16_t)column;
        program->keys[i].presence = presence;
        program->nkeys++;
    }
    program->keys[i].presence &= presence;
}

static void add_keys(struct clew__program *program, const struct clew__rule *rule, uint16_t open,
                     const bool *absent)
{
    for (size_t i = 0; i < rule->ntests; i++) {
        const struct clew__rule_test *test = &rule->tests[i];
        bool presence = test->how == CLEW__RULE_EXISTS;

        if (!(open & 1u << i))
            continue;
        add_key(program, test->column, presence, absent);
        if (test->subject == CLEW__RULE_EVENT)
            add_key(program, CLEW__COLUMN_MESSAGE, presence, absent);
    }
    for (size_t i = 0; i < rule->nlabels; i++)
        if (rule->labels[i].field)
            add_key(program, rule->labels[i].column, false, absent);
}

static uint8_t slot_of(struct clew__program *program, const struct clew__rule *rule)
{
    size_t i = 0;

    if (!rule->value)
        return CLEW__NO_SLOT;
    while (i < program->nvalues && program->values[i] != rule->value_column)
        i++;
    if (i == program->nvalues)
        program->values[program->nvalues++] = (uint16_t)rule->value_column;
    return (uint8_t)i;
}

struct clew__program *clew__program_new(const struct clew__rules *set, const uint16_t *open,
                                        const bool *absent)
{
    static _Atomic uint64_t serial;
    struct clew__program *program;
    size_t n = 0, each = sizeof(*program->rules) + sizeof(*program->open) + sizeof(*program->slots);

    for (size_t i = 0; i < set->nrules; i++)
        n += open[i] != CLEW__RULE_NEVER;
    program = n ? calloc(1, sizeof(*program) + n * each) : NULL;
    if (!program)
        return NULL;
    program->serial = atomic_fetch_add(&serial, 1) + 1;
    program->rules = (const struct clew__rule **)(void *)(program + 1);
    program->open = (uint16_t *)(void *)(program->rules + n);
    program->slots = (uint8_t *)(program->open + n);
    for (size_t i = 0; i < set->nrules; i++) {
        if (open[i] == CLEW__RULE_NEVER)
            continue;
        program->slots[program->nrules] = slot_of(program, &set->rules[i]);
        program->open[program->nrules] = open[i];
        program->rules[program->nrules++] = &set->rules[i];
        add_keys(program, &set->rules[i], open[i], absent);
    }
    return program;
}

/* ---- running them -------------------------------------------------------------- */

static inline void read_amounts(struct clew__amounts *ret, const struct clew__program *program,
                                const struct clew__rule_value *values)
{
    for (size_t i = 0; i < program->nvalues; i++)
        ret->numbers[i] = clew__rule_number(&values[i], &ret->values[i]);
}

bool clew__program_run(const struct clew__program *program, const struct clew__rule_value *keys,
                       const struct clew__rule_value *values, const struct clew__exemplar *exemplar)
{
    struct clew__amounts amounts;
    struct clew__shard *shard;
    bool matched;

    read_amounts(&amounts, program, values);
    shard = clew__enter();
    matched = clew__memory_run(shard, program, keys, &amounts, exemplar);
    clew__leave(shard);
    return matched;
}
