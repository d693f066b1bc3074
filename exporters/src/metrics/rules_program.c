/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs, and the memory that makes them fast. Which rules match an event, and
 * with which labels, is decided by the values of its key columns alone. So what
 * came out for them is remembered: a table for each thread, of places that are
 * written over when another event wants them. An event whose keys are there costs
 * a hash, a comparison and the updates; any other takes the long way and is
 * remembered, if it fits. What is too large is right as well, only slower.
 *
 * Threads: the table is the thread's own. A signal handler that interrupts its
 * thread in here takes the long way.
 */
#include "rules_priv.h"

#include "rules_hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SETS 128u /* a power of two */
#define WAYS 4u   /* places that an event may take in its set */
#define MEMO_KEYS 8u
#define MEMO_BYTES 96u
#define MEMO_UPDATES 8u

struct memo {
    uint64_t program; /* its serial; 0: empty */
    uint8_t nupdates;
    uint8_t kinds[MEMO_KEYS];
    uint8_t rules[MEMO_UPDATES];
    uint16_t lens[MEMO_KEYS];
    struct clew_series *series[MEMO_UPDATES];
    char bytes[MEMO_BYTES]; /* of the keys: texts, and eight for each number */
};

struct memory {
    bool busy;
    uint8_t next; /* the way that is written over next */
    uint64_t hashes[SETS][WAYS];
    struct memo memos[SETS][WAYS];
};

static __thread struct memory *own CLEW__TLS_MODEL;
static pthread_key_t own_key;
static bool have_key;

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

/* The thread may log once more after this. */
static void forget(void *memory)
{
    own = NULL;
    free(memory);
}

static void make_key(void)
{
    have_key = pthread_key_create(&own_key, forget) == 0;
}

struct clew__program *clew__program_new(const struct clew__rules *set, const uint16_t *open,
                                        const bool *absent)
{
    static _Atomic uint64_t serial;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct clew__program *program;
    size_t n = 0, each = sizeof(*program->rules) + sizeof(*program->open) + sizeof(*program->slots);

    (void)pthread_once(&once, make_key);
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

/* ---- updates ------------------------------------------------------------------------ */

static bool update(const struct clew__program *program, size_t which, struct clew_series *series,
                   const struct clew__rule_value *values, const struct clew__rule_trace *trace)
{
    const struct clew__rule *rule = program->rules[which];
    double amount = 1;

    if (program->slots[which] != CLEW__NO_SLOT &&
        !clew__rule_number(&values[program->slots[which]], &amount))
        return false;
    if (rule->scale != 0 && rule->scale != 1)
        amount *= rule->scale;
    switch (rule->type) {
    case CLEW__RULE_COUNTER:
    case CLEW__RULE_GAUGE_ADD:
        clew_series_add(series, amount);
        break;
    case CLEW__RULE_GAUGE_SET:
        clew_series_set(series, amount);
        break;
    case CLEW__RULE_HISTOGRAM:
        clew_series_observe(series, amount, trace->trace_id, trace->span_id);
        break;
    }
    return true;
}

/* ---- the long way -------------------------------------------------------------------- */

static struct clew_series *find_series(const struct clew__rule *rule,
                                       const struct clew__rule_value *event)
{
    char room[CLEW_RULE_TEXT_MAX], copies[CLEW_METRIC_LABELS_MAX][260];
    const char *labels[CLEW_METRIC_LABELS_MAX + 1];

    for (size_t i = 0; i < rule->nlabels; i++) {
        size_t len;
        const char *text = clew__rule_label_text(&rule->labels[i], event, room, &len);

        len = len < sizeof(copies[i]) ? len : sizeof(copies[i]) - 1;
        memcpy(copies[i], text, len);
        copies[i][len] = '\0';
        labels[i] = copies[i];
    }
    labels[rule->nlabels] = NULL;
    return clew_metric_series(rule->target, labels);
}

static bool holds(const struct clew__rule *rule, uint16_t open,
                  const struct clew__rule_value *event)
{
    for (size_t i = 0; i < rule->ntests; i++)
        if ((open & 1u << i) && !clew__rule_test_holds(&rule->tests[i], event))
            return false;
    return true;
}

/* memo: NULL, or where to note it; its nupdates is more than MEMO_UPDATES when
 * they did not fit. */
static bool run_slowly(const struct clew__program *program, const struct clew__rule_value *keys,
                       const struct clew__rule_value *values, const struct clew__rule_trace *trace,
                       struct memo *memo)
{
    struct clew__rule_value event[CLEW__COLUMNS_MAX];
    bool matched = false;
    size_t n = 0;

    memset(event, 0, sizeof(event));
    for (size_t i = 0; i < program->nkeys; i++)
        event[program->keys[i].column] = keys[i];
    for (size_t i = 0; i < program->nrules; i++) {
        const struct clew__rule *rule = program->rules[i];
        struct clew_series *series;

        if (!holds(rule, program->open[i], event))
            continue;
        series = find_series(rule, event);
        matched |= update(program, i, series, values, trace);
        if (memo && n < MEMO_UPDATES && i <= UINT8_MAX) {
            memo->rules[n] = (uint8_t)i;
            memo->series[n] = series;
        }
        n += i <= UINT8_MAX ? 1 : MEMO_UPDATES + 1;
    }
    if (memo)
        memo->nupdates = n <= MEMO_UPDATES ? (uint8_t)n : UINT8_MAX;
    return matched;
}

/* ---- the short way --------------------------------------------------------------------- */

/* What of a key counts: its text, its eight bytes, or that it is there. */
static inline size_t key_len(const struct clew__program *program, size_t i,
                             const struct clew__rule_value *key)
{
    if (program->keys[i].presence || key->kind == CLEW__RULE_ABSENT ||
        key->kind == CLEW__RULE_OTHER)
        return 0;
    return clew__rule_has_text(key) ? key->len : sizeof(key->as);
}

static inline const char *key_bytes(const struct clew__rule_value *key)
{
    return clew__rule_has_text(key) ? key->as.text : (const char *)&key->as;
}

static inline uint8_t key_kind(const struct clew__program *program, size_t i,
                               const struct clew__rule_value *key)
{
    return program->keys[i].presence ? key->kind != CLEW__RULE_ABSENT : (uint8_t)key->kind;
}

/* 0: too many keys or bytes to be remembered. */
static inline uint64_t hash_keys(const struct clew__program *program,
                                 const struct clew__rule_value *keys)
{
    uint64_t hash = program->serial;
    size_t bytes = 0;

    if (program->nkeys > MEMO_KEYS)
        return 0;
    for (size_t i = 0; i < program->nkeys; i++) {
        size_t len = key_len(program, i, &keys[i]);

        bytes += len;
        if (bytes > MEMO_BYTES)
            return 0;
        hash = clew__hash_text(hash + key_kind(program, i, &keys[i]), key_bytes(&keys[i]), len);
    }
    return hash ? hash : 1;
}

static inline bool is_for(const struct memo *memo, const struct clew__program *program,
                          const struct clew__rule_value *keys)
{
    const char *bytes = memo->bytes;

    if (memo->program != program->serial)
        return false;
    for (size_t i = 0; i < program->nkeys; i++) {
        size_t len = key_len(program, i, &keys[i]);

        if (memo->lens[i] != len || memo->kinds[i] != key_kind(program, i, &keys[i]) ||
            !clew__same_text(bytes, key_bytes(&keys[i]), len))
            return false;
        bytes += len;
    }
    return true;
}

static void note_keys(struct memo *memo, const struct clew__program *program,
                      const struct clew__rule_value *keys)
{
    char *bytes = memo->bytes;

    for (size_t i = 0; i < program->nkeys; i++) {
        size_t len = key_len(program, i, &keys[i]);

        memo->lens[i] = (uint16_t)len;
        memo->kinds[i] = key_kind(program, i, &keys[i]);
        memcpy(bytes, key_bytes(&keys[i]), len);
        bytes += len;
    }
    memo->program = memo->nupdates <= MEMO_UPDATES ? program->serial : 0;
}

static __attribute__((noinline)) struct memory *make_own(void)
{
    struct memory *made = have_key ? calloc(1, sizeof(*made)) : NULL;

    if (made && pthread_setspecific(own_key, made) != 0) {
        free(made);
        made = NULL;
    }
    own = made;
    return made;
}

bool clew__program_run(const struct clew__program *program, const struct clew__rule_value *keys,
                       const struct clew__rule_value *values, const struct clew__rule_trace *trace)
{
    struct memory *memory = own ? own : make_own();
    uint64_t hash = memory && !memory->busy ? hash_keys(program, keys) : 0;
    struct memo *memo = NULL;
    size_t set = hash >> 32 & (SETS - 1);
    bool matched = false;

    if (hash == 0)
        return run_slowly(program, keys, values, trace, NULL);
    memory->busy = true;
    atomic_signal_fence(memory_order_seq_cst);
    for (size_t i = 0; i < WAYS && !memo; i++)
        if (memory->hashes[set][i] == hash && is_for(&memory->memos[set][i], program, keys))
            memo = &memory->memos[set][i];
    if (__builtin_expect(memo != NULL, 1)) {
        for (size_t i = 0; i < memo->nupdates; i++)
            matched |= update(program, memo->rules[i], memo->series[i], values, trace);
    } else {
        size_t way = memory->next++ % WAYS;

        memo = &memory->memos[set][way];
        memory->hashes[set][way] = hash;
        matched = run_slowly(program, keys, values, trace, memo);
        note_keys(memo, program, keys);
    }
    atomic_signal_fence(memory_order_seq_cst);
    memory->busy = false;
    return matched;
}
