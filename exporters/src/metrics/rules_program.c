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
#include "rules_hash.h"

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
    uint8_t rules[MEMO_UPDATES];
    uint32_t tags[MEMO_KEYS]; /* of the keys: length and kind */
    struct clew__series *series[MEMO_UPDATES];
    char bytes[MEMO_BYTES]; /* of the keys: texts, and eight for each number */
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

static inline bool number_of(const struct clew__rule_value *value, double *ret)
{
    if (value->kind != CLEW__RULE_DOUBLE)
        return clew__rule_number(value, ret);
    *ret = value->as.d;
    return true;
}

static inline bool update(struct clew__shard *shard, const struct clew__program *program,
                          size_t which, struct clew__series *series,
                          const struct clew__rule_value *values,
                          const struct clew__rule_trace *trace)
{
    const struct clew__rule *rule = program->rules[which];
    double amount = 1;

    if (program->slots[which] != CLEW__NO_SLOT &&
        !number_of(&values[program->slots[which]], &amount))
        return false;
    if (rule->scale != 0)
        amount *= rule->scale;
    switch (rule->type) {
    case CLEW__RULE_COUNTER:
        clew__update_trace(shard, series, amount, trace->trace_id, trace->span_id);
        break;
    case CLEW__RULE_GAUGE_ADD:
        clew__update_add(shard, series, amount);
        break;
    case CLEW__RULE_GAUGE_SET:
        clew__update_set(series, amount);
        break;
    case CLEW__RULE_HISTOGRAM:
        clew__update_observe(shard, series, amount, trace->trace_id, trace->span_id);
        break;
    }
    return true;
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
           const struct clew__rule_value *keys, const struct clew__rule_value *values,
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
        struct clew__series *series;
        bool exact;

        if (!holds(rule, program->open[i], event))
            continue;
        series = find_series(shard, rule, event, &exact);
        matched |= update(shard, program, i, series, values, trace);
        good = good && exact && n < MEMO_UPDATES && i <= UINT8_MAX;
        if (memo && good) {
            memo->rules[n] = (uint8_t)i;
            memo->series[n++] = series;
        }
    }
    if (memo)
        memo->nupdates = good ? (uint8_t)n : UINT8_MAX;
    return matched;
}

/* ---- the short way --------------------------------------------------------------------- */

/* What of the keys counts: texts, the eight bytes of numbers, or nothing but that
 * one is there. */
struct probe {
    uint64_t hash; /* 0: too many keys or bytes to be remembered */
    uint32_t tags[MEMO_KEYS];
    const char *bytes[MEMO_KEYS];
};

static inline uint32_t len_of(uint32_t tag)
{
    return tag >> 4;
}

static inline void probe(struct probe *ret, const struct clew__program *program,
                         const struct clew__rule_value *keys)
{
    uint64_t hash = program->serial;
    size_t bytes = 0;

    ret->hash = 0;
    if (program->nkeys > MEMO_KEYS)
        return;
    for (size_t i = 0; i < program->nkeys; i++) {
        const struct clew__rule_value *key = &keys[i];
        uint32_t kind = key->kind, len = key->len;

        ret->bytes[i] = key->as.text;
        if (__builtin_expect(program->keys[i].presence, 0)) {
            kind = kind != CLEW__RULE_ABSENT;
            len = 0;
        } else if (!clew__rule_has_text(key)) {
            ret->bytes[i] = (const char *)&key->as;
            len = kind >= CLEW__RULE_INT && kind <= CLEW__RULE_SECONDS ? sizeof(key->as) : 0;
        }
        bytes += len;
        if (bytes > MEMO_BYTES)
            return;
        ret->tags[i] = len << 4 | kind;
        hash = clew__hash_text(hash + kind, ret->bytes[i], len);
    }
    ret->hash = hash ? hash : 1;
}

static inline bool is_for(const struct memo *memo, const struct clew__program *program,
                          const struct probe *probe)
{
    const char *bytes = memo->bytes;

    if (memo->program != program->serial)
        return false;
    for (size_t i = 0; i < program->nkeys; i++) {
        uint32_t len = len_of(probe->tags[i]);

        if (memo->tags[i] != probe->tags[i] || !clew__same_text(bytes, probe->bytes[i], len))
            return false;
        bytes += len;
    }
    return true;
}

static void note_keys(struct memo *memo, const struct clew__program *program,
                      const struct probe *probe)
{
    char *bytes = memo->bytes;

    for (size_t i = 0; i < program->nkeys; i++) {
        uint32_t len = len_of(probe->tags[i]);

        memo->tags[i] = probe->tags[i];
        if (len)
            memcpy(bytes, probe->bytes[i], len);
        bytes += len;
    }
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

static inline bool run(struct clew__shard *shard, const struct clew__program *program,
                       const struct clew__rule_value *keys, const struct clew__rule_value *values,
                       const struct clew__rule_trace *trace)
{
    struct clew__memory *memory = memory_of(shard);
    bool matched = false;
    struct probe key;
    struct memo *memo;
    size_t set;

    key.hash = 0;
    if (memory)
        probe(&key, program, keys);
    set = key.hash >> 32 & (SETS - 1);
    if (key.hash == 0)
        return run_slowly(shard, program, keys, values, trace, NULL);
    for (size_t way = 0; way < WAYS; way++) {
        memo = &memory->memos[set][way];
        if (memory->hashes[set][way] != key.hash || !is_for(memo, program, &key))
            continue;
        for (size_t i = 0; i < memo->nupdates; i++)
            matched |= update(shard, program, memo->rules[i], memo->series[i], values, trace);
        return matched;
    }
    memo = &memory->memos[set][memory->next % WAYS];
    memory->hashes[set][memory->next++ % WAYS] = key.hash;
    memo->program = 0;
    matched = run_slowly(shard, program, keys, values, trace, memo);
    note_keys(memo, program, &key);
    return matched;
}

bool clew__program_run(const struct clew__program *program, const struct clew__rule_value *keys,
                       const struct clew__rule_value *values, const struct clew__rule_trace *trace)
{
    struct clew__shard *shard = clew__enter();
    bool matched = run(shard, program, keys, values, trace);

    clew__leave(shard);
    return matched;
}
