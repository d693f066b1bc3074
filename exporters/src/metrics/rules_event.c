/* SPDX-License-Identifier: Apache-2.0
 *
 * Events at call sites: their keys and values are read, and the memory asked. Most
 * events have a few texts and whole numbers as keys and one number as value; for
 * these it is all done in one function, with the keys in registers.
 *
 * Threads: everything runs in the caller's.
 */
#include "rules_memory.h"
#include "rules_site.h"

#include <clew/logger.h>

#include <string.h>

/* ---- reading a call ---------------------------------------------------------------- */

struct clew__rule_value clew__value_of(unsigned type, const struct clew_value *value)
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
            return clew__value_of(fields->types[i], &fields->values[i]);
        if (path[len] && strncmp(key, path, len) == 0 && !key[len] &&
            fields->types[i] == CLEW_TYPE_OBJECT)
            return within(fields->values[i].as.fields, path + len + 1);
    }
    return absent;
}

static struct clew__rule_value read_any(const struct clew__source *source,
                                        const struct clew_site *site,
                                        const struct clew_logger *logger,
                                        const struct clew_value *values)
{
    struct clew__rule_value v = {.kind = CLEW__RULE_ABSENT};
    const char *name;

    switch (source->where) {
    case CLEW__SOURCE_FIELD:
    case CLEW__SOURCE_TEXT:
    case CLEW__SOURCE_NUMBER:
    case CLEW__SOURCE_THERE:
        return clew__value_of(site->types[source->field], &values[source->field]);
    case CLEW__SOURCE_OBJECT:
        return within(values[source->field].as.fields, source->path);
    case CLEW__SOURCE_LOGGER:
        name = clew_logger_name(logger);
        if (*name) {
            v.kind = CLEW__RULE_TEXT;
            v.as.text = name;
            v.len = (uint32_t)strlen(name);
        }
        break;
    case CLEW__SOURCE_HIDDEN:
        v.kind = CLEW__RULE_OTHER;
        break;
    case CLEW__SOURCE_NOWHERE:
        break;
    }
    return v;
}

/* ---- any event ----------------------------------------------------------------------- */

static __attribute__((noinline)) void
observe_any(struct clew__shard *shard, const struct clew__observed *observed,
            const struct clew_site *site, const struct clew_logger *logger,
            const struct clew_value *values, const struct clew__exemplar *exemplar)
{
    const struct clew__program *program = observed->program;
    bool fits = program->nkeys <= CLEW__MEMO_KEYS;
    struct clew__rule_value keys[CLEW__COLUMNS_MAX], value;
    struct clew__amounts amounts;
    struct clew__probe probe;

    probe.n = program->nkeys;
    probe.hash = clew__probe_begin(program);
    for (size_t i = 0; i < program->nkeys; i++) {
        keys[i] = read_any(&observed->keys[i], site, logger, values);
        if (fits)
            probe.hash += clew__probe_put(&probe, i, &keys[i], observed->keys[i].presence);
    }
    for (size_t i = 0; i < program->nvalues; i++) {
        value = read_any(&observed->values[i], site, logger, values);
        amounts.numbers[i] = clew__rule_number(&value, &amounts.values[i]);
    }
    (void)clew__memory_run(shard, program, fits ? &probe : NULL, keys, &amounts, exemplar);
}

/* ---- the usual ones --------------------------------------------------------------------- */

/* n is known when this is compiled. NULL: nothing is known about such an event. */
static inline __attribute__((always_inline)) const struct clew__memo *
find(struct clew__memory *memory, const struct clew__observed *observed,
     const struct clew_value *values, const size_t n)
{
    uint64_t serial = observed->program->serial, hash = clew__probe_begin(observed->program);
    struct clew__key keys[CLEW__USUAL_KEYS];
    const struct clew__memo *memo;
    const char *bytes;

#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++) {
        const struct clew__source *source = &observed->keys[i];
        const struct clew_value *value = (const void *)((const char *)values + source->at);

        if (__builtin_expect(source->where == CLEW__SOURCE_TEXT, 1)) {
            if (__builtin_expect(value->len - 1 >= UINT32_MAX, 0))
                return NULL; /* "", NULL, CLEW_LENGTH_UNKNOWN: read the other way */
            keys[i] = clew__probe_text(value->as.s, value->len, 0);
        } else if (source->where == CLEW__SOURCE_NUMBER) {
            keys[i] = clew__probe_number(value->as.u, 0);
        } else {
            keys[i] = clew__probe_number(value->as.s != NULL, 0);
        }
        hash += clew__probe_hash(i, &keys[i]);
    }
    memo = clew__memory_at(memory, hash);
    if (__builtin_expect(!memo || memo->program != serial, 0))
        return NULL;
    bytes = memo->bytes;
    /* Of such keys each has always the same kind. */
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++) {
        const struct clew__key *has = &memo->keys[i];
        size_t len = clew__key_long(&keys[i]);

        if ((has->a ^ keys[i].a) | (has->b ^ keys[i].b) | (uint32_t)(has->len ^ keys[i].len))
            return NULL;
        if (len && !clew__key_same_text(bytes, values[observed->keys[i].field].as.s, len))
            return NULL;
        bytes += len;
    }
    return memo;
}

static inline __attribute__((always_inline)) const struct clew__memo *
find_usual(struct clew__memory *memory, const struct clew__observed *observed,
           const struct clew_value *values)
{
    switch (observed->nkeys) {
    case 0:
        return find(memory, observed, values, 0);
    case 1:
        return find(memory, observed, values, 1);
    case 2:
        return find(memory, observed, values, 2);
    case 3:
        return find(memory, observed, values, 3);
    case 4:
        return find(memory, observed, values, 4);
    default:
        return NULL;
    }
}

void clew__observe_event(void *state, const struct clew_site *site,
                         const struct clew_logger *logger, const struct clew_value *values,
                         const struct clew_scope *scope)
{
    static const bool yes = true;
    const struct clew__observed *observed = state;
    struct clew__shard *shard = clew__enter();
    const struct clew__memo *memo = find_usual(shard->memory, observed, values);
    struct clew__exemplar now, *exemplar = NULL;

    if (scope->context && (clew_context_trace_flags(scope->context) & CLEW_TRACE_SAMPLED)) {
        clew__exemplar_begin(&now, clew_context_trace_id(scope->context), scope->span_id);
        exemplar = &now;
    }
    if (__builtin_expect(memo != NULL, 1))
        (void)clew__update_all(shard, memo->updates, memo->nupdates, &values[observed->value].as.d,
                               &yes, exemplar);
    else
        observe_any(shard, observed, site, logger, values, exemplar);
    clew__leave(shard);
}
