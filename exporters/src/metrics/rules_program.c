/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs, and the memory that makes them fast. Which rules match an event, and
 * with which labels, is decided by the values of its key columns alone. So what
 * came out for them is remembered: a table for each thread, of places that are
 * written over when another event wants them. An event whose keys are there costs
 * a hash, a comparison and the updates; any other takes the long way and is
 * remembered, if it fits. What is too large is right as well, only slower.
 *
 * Threads: the table belongs to the thread's shard of the registry. It is used in
 * between clew__enter() and clew__leave(), which keeps the series that it holds,
 * and signal handlers out; when series expire, all tables are forgotten.
 */
#include "rules_priv.h"

#include "registry_priv.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SETS 128u /* a power of two */
#define WAYS 4u   /* places that an event may take in its set */
#define MEMO_KEYS 8u
#define MEMO_BYTES 96u
#define MEMO_UPDATES 8u

struct memo {
    uint64_t program; /* its serial; 0: empty */
    uint8_t nupdates;
    bool has_long; /* a text that its key does not stand for */
    struct clew__key keys[MEMO_KEYS];
    struct clew__update updates[MEMO_UPDATES];
    char bytes[MEMO_BYTES]; /* the long texts, one after the other */
};

struct clew__memory {
    uint64_t epoch; /* series of an older one may be gone */
    uint8_t next;   /* the way that is written over next */
    uint64_t hashes[SETS][WAYS];
    struct memo memos[SETS][WAYS];
};

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

/* ---- updates ------------------------------------------------------------------------ */

/* The values of an event. */
struct amounts {
    double values[CLEW__COLUMNS_MAX];
    bool numbers[CLEW__COLUMNS_MAX]; /* whether values[i] is one */
};

static inline void read_amounts(struct amounts *ret, const struct clew__program *program,
                                const struct clew__rule_value *values)
{
    for (size_t i = 0; i < program->nvalues; i++) {
        bool is_number = true;

        if (__builtin_expect(values[i].kind == CLEW__RULE_DOUBLE, 1))
            ret->values[i] = values[i].as.d;
        else
            is_number = clew__rule_number(&values[i], &ret->values[i]);
        ret->numbers[i] = is_number;
    }
}

static struct clew__update make_update(const struct clew__program *program, size_t which,
                                       struct clew__series *series)
{
    static const enum clew__update_to to[] = {[CLEW__RULE_COUNTER] = CLEW__UPDATE_ADD,
                                              [CLEW__RULE_GAUGE_ADD] = CLEW__UPDATE_ADD,
                                              [CLEW__RULE_GAUGE_SET] = CLEW__UPDATE_SET,
                                              [CLEW__RULE_HISTOGRAM] = CLEW__UPDATE_OBSERVE};
    const struct clew__rule *rule = program->rules[which];
    uint8_t slot = program->slots[which];

    return clew__update_new(series, to[rule->type], rule->scale != 0 ? rule->scale : 1,
                            slot == CLEW__NO_SLOT ? CLEW__UPDATE_ONE : slot);
}

/* ---- the long way -------------------------------------------------------------------- */

/* *ret_exact: it has these very values, and not "overflow" in place of some. */
static struct clew__series *find_series(struct clew__shard *shard, const struct clew__rule *rule,
                                        const struct clew__rule_value *event, bool *ret_exact)
{
    char room[CLEW_RULE_TEXT_MAX], copies[CLEW_METRIC_LABELS_MAX][CLEW__LABEL_MAX + 4];
    struct clew_label labels[CLEW_METRIC_LABELS_MAX];
    struct clew__series *series;

    for (size_t i = 0; i < rule->nlabels; i++) {
        size_t len;
        const char *text = clew__rule_label_text(&rule->labels[i], event, room, &len);

        /* One byte more than is taken tells that it has to be cut. */
        len = len < sizeof(copies[i]) ? len : sizeof(copies[i]);
        memcpy(copies[i], text, len);
        labels[i] = (struct clew_label){copies[i], len};
    }
    series = clew__series_find(shard, rule->target, labels);
    *ret_exact = true;
    for (size_t i = 0; i < rule->nlabels; i++) {
        struct clew_label has = clew__series_value(series, i);

        *ret_exact &= has.len == labels[i].len && memcmp(has.value, labels[i].value, has.len) == 0;
    }
    return series;
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
 * that must not be remembered. */
static __attribute__((noinline)) bool
run_slowly(struct clew__shard *shard, const struct clew__program *program,
           const struct clew__rule_value *keys, const struct amounts *amounts,
           const struct clew__rule_trace *trace, struct memo *memo)
{
    struct clew__rule_value event[CLEW__COLUMNS_MAX];
    bool matched = false, good = true;
    size_t n = 0;

    memset(event, 0, sizeof(event));
    for (size_t i = 0; i < program->nkeys; i++)
        event[program->keys[i].column] = keys[i];
    for (size_t i = 0; i < program->nrules; i++) {
        const struct clew__rule *rule = program->rules[i];
        struct clew__update one;
        bool exact;

        if (!holds(rule, program->open[i], event))
            continue;
        one = make_update(program, i, find_series(shard, rule, event, &exact));
        matched |= clew__update_all(shard, &one, 1, amounts->values, amounts->numbers,
                                    trace->trace_id, trace->span_id);
        good = good && exact && n < MEMO_UPDATES;
        if (memo && good)
            memo->updates[n++] = one;
    }
    if (memo)
        memo->nupdates = good ? (uint8_t)n : UINT8_MAX;
    return matched;
}

/* ---- the short way --------------------------------------------------------------------- */

/* The keys of an event. */
struct probe {
    uint64_t hash; /* 0: too many keys or bytes to be remembered */
    size_t long_bytes;
    struct clew__key keys[MEMO_KEYS];
};

static inline bool is_long(const struct clew__key *key)
{
    return (uint32_t)key->len > 16;
}

/* Texts are read straight from the event; of numbers the eight bytes count. The
 * kind is above the length. */
static inline void probe(struct probe *ret, const struct clew__program *program,
                         const struct clew__rule_value *values)
{
    uint64_t seed = program->serial, hash = seed;

    ret->hash = 0;
    ret->long_bytes = 0;
    if (program->nkeys > MEMO_KEYS)
        return;
    for (size_t i = 0; i < program->nkeys; i++, seed += CLEW__SECRET_2) {
        const struct clew__rule_value *value = &values[i];
        struct clew__key *key = &ret->keys[i];

        if (__builtin_expect(program->keys[i].presence, 0)) {
            *key = (struct clew__key){value->kind != CLEW__RULE_ABSENT, 0, 0};
        } else if (clew__rule_has_text(value)) {
            *key = clew__key_of(value->as.text, value->len, seed);
            if (is_long(key))
                ret->long_bytes += value->len;
            key->len |= (uint64_t)value->kind << 32;
        } else {
            bool counts = value->kind >= CLEW__RULE_INT && value->kind <= CLEW__RULE_SECONDS;

            *key = (struct clew__key){counts ? value->as.u : 0, 0, (uint64_t)value->kind << 32};
        }
        hash += clew__hash_key(key, seed);
    }
    hash = clew__key_mix(hash, program->serial ^ CLEW__SECRET_2);
    ret->hash = ret->long_bytes > MEMO_BYTES ? 0 : hash ? hash : 1;
}

static __attribute__((noinline)) bool same_long_texts(const struct memo *memo,
                                                      const struct clew__program *program,
                                                      const struct clew__rule_value *values)
{
    const char *bytes = memo->bytes;

    for (size_t i = 0; i < program->nkeys; i++)
        if (is_long(&memo->keys[i])) {
            if (memcmp(bytes, values[i].as.text, values[i].len) != 0)
                return false;
            bytes += values[i].len;
        }
    return true;
}

static inline bool is_for(const struct memo *memo, const struct clew__program *program,
                          const struct probe *probe, const struct clew__rule_value *values)
{
    /* One after the other: what was just written word by word must not be read
     * back as vectors. */
    if (memo->program != program->serial)
        return false;
    for (size_t i = 0; i < program->nkeys; i++) {
        const struct clew__key *has = &memo->keys[i], *key = &probe->keys[i];

        if ((has->a ^ key->a) | (has->b ^ key->b) | (has->len ^ key->len))
            return false;
    }
    return !memo->has_long || same_long_texts(memo, program, values);
}

static void note_keys(struct memo *memo, const struct clew__program *program,
                      const struct probe *probe, const struct clew__rule_value *values)
{
    char *bytes = memo->bytes;

    for (size_t i = 0; i < program->nkeys; i++) {
        memo->keys[i] = probe->keys[i];
        if (is_long(&probe->keys[i])) {
            memcpy(bytes, values[i].as.text, values[i].len);
            bytes += values[i].len;
        }
    }
    memo->has_long = probe->long_bytes > 0;
    memo->program = memo->nupdates <= MEMO_UPDATES ? program->serial : 0;
}

static __attribute__((noinline)) struct clew__memory *make_memory(struct clew__shard *shard)
{
    void *p = mmap(NULL, sizeof(struct clew__memory), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p != MAP_FAILED)
        shard->memory = p;
    return shard->memory;
}

/* NULL: there is none, and a signal handler that interrupted its thread in here
 * gets none. */
static inline struct clew__memory *memory_of(struct clew__shard *shard)
{
    struct clew__memory *memory = shard->memory;
    uint64_t epoch = clew__caches_epoch();

    if (__builtin_expect(!memory, 0)) {
        memory = shard == &clew__shared ? NULL : make_memory(shard);
        if (!memory)
            return NULL;
    }
    if (__builtin_expect(memory->epoch != epoch, 0)) {
        memset(memory->hashes, 0, sizeof(memory->hashes));
        memory->epoch = epoch;
    }
    return memory;
}

/* Written over what was learned longest ago in the set. */
static __attribute__((noinline)) bool
learn(struct clew__shard *shard, const struct clew__program *program,
      const struct clew__rule_value *keys, const struct amounts *amounts,
      const struct clew__rule_trace *trace, const struct probe *probe)
{
    struct clew__memory *memory = shard->memory;
    size_t set = probe->hash >> 32 & (SETS - 1);
    struct memo *memo = &memory->memos[set][memory->next % WAYS];
    bool matched;

    memory->hashes[set][memory->next++ % WAYS] = probe->hash;
    memo->program = 0;
    matched = run_slowly(shard, program, keys, amounts, trace, memo);
    note_keys(memo, program, probe, keys);
    return matched;
}

static inline bool run(struct clew__shard *shard, const struct clew__program *program,
                       const struct clew__rule_value *keys, const struct clew__rule_value *values,
                       const struct clew__rule_trace *trace)
{
    struct clew__memory *memory = memory_of(shard);
    const struct memo *memo;
    const uint64_t *hashes;
    struct amounts amounts;
    struct probe key;
    size_t set;

    read_amounts(&amounts, program, values);
    key.hash = 0;
    if (memory)
        probe(&key, program, keys);
    if (key.hash == 0)
        return run_slowly(shard, program, keys, &amounts, trace, NULL);
    set = key.hash >> 32 & (SETS - 1);
    hashes = memory->hashes[set];
    memo = memory->memos[set];
    for (size_t way = 0; way < WAYS; way++, memo++)
        if (hashes[way] == key.hash && is_for(memo, program, &key, keys))
            return clew__update_all(shard, memo->updates, memo->nupdates, amounts.values,
                                    amounts.numbers, trace->trace_id, trace->span_id);
    return learn(shard, program, keys, &amounts, trace, &key);
}

bool clew__program_run(const struct clew__program *program, const struct clew__rule_value *keys,
                       const struct clew__rule_value *values, const struct clew__rule_trace *trace)
{
    struct clew__shard *shard = clew__enter();
    bool matched = run(shard, program, keys, values, trace);

    clew__leave(shard);
    return matched;
}
