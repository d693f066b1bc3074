/* SPDX-License-Identifier: Apache-2.0
 *
 * Events whose keys are in the memory cost a hash, a comparison and the updates;
 * any other takes the long way and is remembered, if it fits. What does not fit is
 * right as well, only slower.
 */
#include "rules_memory.h"

#include <string.h>
#include <sys/mman.h>

/* ---- keys ---------------------------------------------------------------------------- */

/* The keys of an event, in the program's order, read straight from it. Between the
 * values of one key the kind tells apart what could otherwise be read as the same
 * bytes. */
struct probe {
    uint64_t hash;
    struct clew__shapes shapes;
    size_t nkeys, nlong, nbytes;
    struct clew__memo_key keys[CLEW__MEMO_KEYS];
    struct clew_label longs[CLEW__MEMO_KEYS]; /* the long texts, nbytes together */
};

static inline bool put_text(struct probe *probe, struct clew__memo_key *key,
                            const struct clew__rule_value *value)
{
    struct clew__key text;

    if (value->len > CLEW__MEMO_BYTES)
        return false;
    text = clew__key_of(value->as.text, value->len, CLEW__SECRET_1);
    *key = (struct clew__memo_key){text.a, text.b};
    if (value->len > CLEW__KEY_WHOLE) {
        probe->longs[probe->nlong++] = (struct clew_label){value->as.text, value->len};
        probe->nbytes += value->len;
    }
    return true;
}

/* presence: all that matters is whether it is there. */
static inline bool put_key(struct probe *probe, size_t i, const struct clew__rule_value *value,
                           bool presence)
{
    bool counts = value->kind >= CLEW__RULE_INT && value->kind <= CLEW__RULE_SECONDS;
    uint64_t *shapes = i < CLEW__SHAPES_FIRST ? &probe->shapes.first : &probe->shapes.second;
    struct clew__memo_key *key = &probe->keys[i];
    uint64_t kind = presence ? CLEW__RULE_OTHER : value->kind, len = 0;

    *key = (struct clew__memo_key){0, 0};
    if (__builtin_expect(presence, 0)) {
        key->a = value->kind != CLEW__RULE_ABSENT;
    } else if (clew__rule_has_text(value)) {
        len = value->len;
        if (!put_text(probe, key, value))
            return false;
    } else if (counts) {
        key->a = value->as.u;
    }
    *shapes = *shapes << CLEW__SHAPE_BITS | kind << CLEW__SHAPE_KIND | len;
    probe->hash += clew__key_hash(i, key);
    return true;
}

/* False: there are more keys, or longer ones, than are remembered. */
static inline bool make_probe(struct probe *probe, const struct clew__program *program,
                              const struct clew__rule_value *keys)
{
    if (program->nkeys > CLEW__MEMO_KEYS)
        return false;
    probe->nkeys = program->nkeys;
    probe->nlong = probe->nbytes = 0;
    probe->hash = probe->shapes.first = probe->shapes.second = 0;
    for (size_t i = 0; i < program->nkeys; i++)
        if (!put_key(probe, i, &keys[i], program->keys[i].presence))
            return false;
    probe->hash += clew__shapes_hash(program->serial, probe->shapes);
    return probe->nbytes <= CLEW__MEMO_BYTES;
}

/* ---- the long way -------------------------------------------------------------------- */

static struct clew__update make_update(struct clew__shard *shard,
                                       const struct clew__program *program, size_t which,
                                       struct clew__series *series)
{
    static const enum clew__update_how to[] = {[CLEW__RULE_COUNTER] = CLEW__UPDATE_ADD,
                                               [CLEW__RULE_GAUGE_ADD] = CLEW__UPDATE_ADD,
                                               [CLEW__RULE_GAUGE_SET] = CLEW__UPDATE_SET,
                                               [CLEW__RULE_HISTOGRAM] = CLEW__UPDATE_OBSERVE};
    const struct clew__rule *rule = program->rules[which];
    uint8_t slot = program->slots[which];

    return clew__update_new(shard, series, to[rule->type], rule->scale != 0 ? rule->scale : 1,
                            slot == CLEW__NO_SLOT ? CLEW__UPDATE_ONE : slot);
}

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

/* memo: NULL, or where to note it; false in *ret_good when that must not be
 * remembered. */
static bool run_slowly(struct clew__shard *shard, const struct clew__program *program,
                       const struct clew__rule_value *keys, const struct clew__amounts *amounts,
                       const struct clew__exemplar *exemplar, struct clew__memo *memo,
                       bool *ret_good)
{
    struct clew__rule_value event[CLEW__COLUMNS_MAX];
    bool matched = false, exact;
    size_t n = 0;

    memset(event, 0, sizeof(event));
    for (size_t i = 0; i < program->nkeys; i++)
        event[program->keys[i].column] = keys[i];
    for (size_t i = 0; i < program->nrules; i++) {
        const struct clew__rule *rule = program->rules[i];
        struct clew__update one;

        if (!holds(rule, program->open[i], event))
            continue;
        one = make_update(shard, program, i, find_series(shard, rule, event, &exact));
        matched |= clew__update_all(shard, &one, 1, amounts->values, amounts->numbers, exemplar);
        *ret_good &= exact && n < CLEW__MEMO_UPDATES;
        if (memo && *ret_good)
            memo->updates[n++] = one;
    }
    if (memo)
        memo->nupdates = n;
    return matched;
}

/* ---- remembering ------------------------------------------------------------------------ */

void clew__memory_forget(struct clew__memory *memory, uint64_t epoch)
{
    memset(memory->hashes, 0, sizeof(memory->hashes));
    memory->epoch = epoch;
}

void clew__memory_free(struct clew__memory *memory)
{
    if (memory)
        (void)munmap(memory, sizeof(*memory));
}

/* NULL: there is none, and a signal handler that interrupted its thread in here
 * gets none. */
static struct clew__memory *memory_of(struct clew__shard *shard)
{
    void *p;

    if (shard->memory || shard == &clew__shared)
        return shard->memory;
    p = mmap(NULL, sizeof(struct clew__memory), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    if (p != MAP_FAILED) {
        shard->memory = p;
        shard->memory->epoch = clew__caches_epoch();
    }
    return shard->memory;
}

static void note_keys(struct clew__memo *memo, const struct probe *probe)
{
    char *bytes = memo->bytes;

    memo->shapes = probe->shapes;
    memo->nlong = probe->nlong;
    memcpy(memo->keys, probe->keys, probe->nkeys * sizeof(probe->keys[0]));
    for (size_t i = 0; i < probe->nlong; i++) {
        memcpy(bytes, probe->longs[i].value, probe->longs[i].len);
        bytes += probe->longs[i].len;
    }
}

/* One that is free, or else the next in turn. */
static size_t way_for(struct clew__memory *memory, size_t set)
{
    for (size_t way = 0; way < CLEW__MEMORY_WAYS; way++)
        if (memory->hashes[set][way] == 0)
            return way;
    return memory->next++ % CLEW__MEMORY_WAYS;
}

static __attribute__((noinline)) bool
learn(struct clew__shard *shard, const struct clew__program *program, const struct probe *probe,
      const struct clew__rule_value *keys, const struct clew__amounts *amounts,
      const struct clew__exemplar *exemplar)
{
    struct clew__memory *memory = memory_of(shard);
    size_t set = clew__memory_set(probe->hash), way;
    struct clew__memo *memo;
    bool matched, good = true;

    if (!memory)
        return run_slowly(shard, program, keys, amounts, exemplar, NULL, &good);
    way = way_for(memory, set);
    memo = &memory->memos[set][way];
    memo->program = 0;
    matched = run_slowly(shard, program, keys, amounts, exemplar, memo, &good);
    note_keys(memo, probe);
    memo->program = good ? program->serial : 0;
    memory->hashes[set][way] = probe->hash;
    return matched;
}

/* ---- events ------------------------------------------------------------------------------ */

static inline bool is_for(const struct clew__memo *memo, uint64_t serial, const struct probe *probe)
{
    const char *bytes = memo->bytes;

    if ((memo->program ^ serial) | (memo->shapes.first ^ probe->shapes.first) |
        (memo->shapes.second ^ probe->shapes.second))
        return false;
    /* One after the other: what was just written word by word must not be read
     * back as vectors. */
    for (size_t i = 0; i < probe->nkeys; i++)
        if ((memo->keys[i].a ^ probe->keys[i].a) | (memo->keys[i].b ^ probe->keys[i].b))
            return false;
    for (size_t i = 0; i < probe->nlong; i++) {
        if (!clew__key_same_text(bytes, probe->longs[i].value, probe->longs[i].len))
            return false;
        bytes += probe->longs[i].len;
    }
    return true;
}

bool clew__memory_run(struct clew__shard *shard, const struct clew__program *program,
                      const struct clew__rule_value *keys, const struct clew__amounts *amounts,
                      const struct clew__exemplar *exemplar)
{
    const struct clew__memo *memo;
    struct probe probe;
    bool good = true;

    if (!make_probe(&probe, program, keys))
        return run_slowly(shard, program, keys, amounts, exemplar, NULL, &good);
    memo = clew__memory_at(shard->memory, probe.hash);
    if (!memo || !is_for(memo, program->serial, &probe))
        return learn(shard, program, &probe, keys, amounts, exemplar);
    return clew__update_all(shard, memo->updates, memo->nupdates, amounts->values, amounts->numbers,
                            exemplar);
}
