/* SPDX-License-Identifier: Apache-2.0
 *
 * Events at call sites: their keys and values are read, and the memory asked. Most
 * events have a few texts and whole numbers as keys and one number as value; for
 * these it is all done in one function, straight from the call.
 *
 * Threads: everything runs in the caller's.
 */
#include "rules_memory.h"
#include "rules_site.h"

#include <clew/logger.h>

#include <string.h>

#define USUAL_KEYS CLEW__SHAPES_FIRST

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
    struct clew__rule_value keys[CLEW__COLUMNS_MAX], value;
    struct clew__amounts amounts;

    for (size_t i = 0; i < program->nkeys; i++)
        keys[i] = read_any(&observed->keys[i], site, logger, values);
    for (size_t i = 0; i < program->nvalues; i++) {
        value = read_any(&observed->values[i], site, logger, values);
        amounts.numbers[i] = clew__rule_number(&value, &amounts.values[i]);
    }
    (void)clew__memory_run(shard, program, keys, &amounts, exemplar);
}

/* ---- the usual ones --------------------------------------------------------------------- */

static inline const struct clew_value *value_at(const struct clew__source *source,
                                                const struct clew_value *values)
{
    return (const void *)((const char *)values + source->at);
}

static __attribute__((noinline)) bool same_long_texts(const struct clew__memo *memo,
                                                      const struct clew__observed *observed,
                                                      const struct clew_value *values)
{
    const char *bytes = memo->bytes;

    for (size_t i = 0; i < observed->program->nkeys; i++) {
        const struct clew_value *value = value_at(&observed->keys[i], values);

        if (observed->keys[i].where != CLEW__SOURCE_TEXT || value->len <= CLEW__KEY_WHOLE)
            continue;
        if (!clew__key_same_text(bytes, value->as.s, value->len))
            return false;
        bytes += value->len;
    }
    return true;
}

/* n, the number of keys, is known when this is compiled, so that all of them stay in
 * registers. NULL: nothing is known about such an event. */
static inline __attribute__((always_inline)) const struct clew__memo *
find(struct clew__memory *memory, const struct clew__observed *observed,
     const struct clew_value *values, const size_t n)
{
    struct clew__memo_key keys[USUAL_KEYS];
    uint64_t serial = observed->serial, hash = 0;
    struct clew__shapes shapes = {0, 0};
    const struct clew__memo *memo;

#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++) {
        const struct clew__source *source = &observed->keys[i];
        const struct clew_value *value = value_at(source, values);

        shapes.first <<= CLEW__SHAPE_BITS;
        if (__builtin_expect(source->where == CLEW__SOURCE_TEXT, 1)) {
            struct clew__key key;

            if (__builtin_expect(value->len - 1 >= CLEW__MEMO_BYTES, 0))
                return NULL; /* "", NULL, CLEW_LENGTH_UNKNOWN, too long: read the other way */
            key = clew__key_of(value->as.s, value->len, CLEW__SECRET_1);
            keys[i] = (struct clew__memo_key){key.a, key.b};
            shapes.first |= value->len;
        } else {
            keys[i].a = source->where == CLEW__SOURCE_NUMBER ? value->as.u : value->as.s != NULL;
            keys[i].b = 0;
        }
        hash += clew__key_hash(i, &keys[i]);
    }
    shapes.first |= observed->kinds;
    memo = clew__memory_at(memory, hash + clew__shapes_hash(serial, shapes));
    if (__builtin_expect(!memo || memo->program != serial || memo->shapes.first != shapes.first, 0))
        return NULL;
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
        if ((memo->keys[i].a ^ keys[i].a) | (memo->keys[i].b ^ keys[i].b))
            return NULL;
    return memo->nlong && !same_long_texts(memo, observed, values) ? NULL : memo;
}

#define FIND(n)                                                                     \
    static const struct clew__memo *find_##n(struct clew__memory *memory,           \
                                             const struct clew__observed *observed, \
                                             const struct clew_value *values)       \
    {                                                                               \
        return find(memory, observed, values, n);                                   \
    }
FIND(0)
FIND(1)
FIND(2)
FIND(3)
FIND(4)

/* Of events that are not usual. */
static const struct clew__memo *find_none(struct clew__memory *memory,
                                          const struct clew__observed *observed,
                                          const struct clew_value *values)
{
    (void)memory, (void)observed, (void)values;
    return NULL;
}

static bool is_usual(const struct clew__observed *observed)
{
    const struct clew__program *program = observed->program;

    if (program->nkeys > USUAL_KEYS || program->nvalues > 1)
        return false;
    for (size_t i = 0; i < program->nkeys; i++)
        if (observed->keys[i].where != CLEW__SOURCE_TEXT &&
            observed->keys[i].where != CLEW__SOURCE_THERE &&
            observed->keys[i].where != CLEW__SOURCE_NUMBER)
            return false;
    return program->nvalues == 0 || (observed->values[0].where == CLEW__SOURCE_NUMBER &&
                                     observed->values[0].kind == CLEW__RULE_DOUBLE);
}

void clew__observed_prepare(struct clew__observed *observed)
{
    static const __typeof__(observed->find) finds[] = {find_0, find_1, find_2, find_3, find_4};

    observed->serial = observed->program->serial;
    observed->find = find_none;
    if (!is_usual(observed))
        return;
    observed->find = finds[observed->program->nkeys];
    for (size_t i = 0; i < observed->program->nkeys; i++) {
        const struct clew__source *source = &observed->keys[i];
        uint64_t kind = source->where == CLEW__SOURCE_TEXT    ? CLEW__RULE_TEXT
                        : source->where == CLEW__SOURCE_THERE ? CLEW__RULE_OTHER
                                                              : source->kind;

        observed->kinds = observed->kinds << CLEW__SHAPE_BITS | kind << CLEW__SHAPE_KIND;
    }
    if (observed->program->nvalues)
        observed->value = observed->values[0].field;
}

/* ---- observing ----------------------------------------------------------------------- */

static __attribute__((noinline)) void
observe_traced(struct clew__shard *shard, const struct clew__memo *memo,
               const struct clew__observed *observed, const struct clew_site *site,
               const struct clew_logger *logger, const struct clew_value *values,
               const struct clew_scope *scope)
{
    struct clew__exemplar now;

    clew__exemplar_begin(&now, clew_context_trace_id(scope->context), scope->span_id);
    if (memo)
        (void)clew__update_all(shard, memo->updates, memo->nupdates, &values[observed->value].as.d,
                               NULL, &now);
    else
        observe_any(shard, observed, site, logger, values, &now);
}

static inline void observe(struct clew__shard *shard, const struct clew__observed *observed,
                           const struct clew_site *site, const struct clew_logger *logger,
                           const struct clew_value *values, const struct clew_scope *scope)
{
    const struct clew__memo *memo = observed->find(shard->memory, observed, values);

    if (scope->context && (clew_context_trace_flags(scope->context) & CLEW_TRACE_SAMPLED))
        observe_traced(shard, memo, observed, site, logger, values, scope);
    else if (__builtin_expect(memo != NULL, 1))
        (void)clew__update_all(shard, memo->updates, memo->nupdates, &values[observed->value].as.d,
                               NULL, NULL);
    else
        observe_any(shard, observed, site, logger, values, NULL);
}

void clew__observe_event(void *state, const struct clew_site *site,
                         const struct clew_logger *logger, const struct clew_value *values,
                         const struct clew_scope *scope)
{
    struct clew__slot *slot = state;
    struct clew__shard *shard = clew__enter();
    const struct clew__observed *observed =
        atomic_load_explicit(&slot->observed, memory_order_acquire);

    if (__builtin_expect(observed != NULL, 1))
        observe(shard, observed, site, logger, values, scope);
    clew__leave(shard);
}
