/* SPDX-License-Identifier: Apache-2.0
 *
 * The values that labels with a limit take. Read without a lock by whoever looks
 * for a series that is not there, so that floods of new values need none.
 */
#include "registry_priv.h"

#include <stdlib.h>

static struct clew__value *value_of(struct clew__node *node)
{
    return (struct clew__value *)(void *)((char *)node - offsetof(struct clew__value, node));
}

static struct clew__value *find(const struct clew_metric *metric, size_t label,
                                const struct clew_label *value, uint64_t hash)
{
    const struct clew__table *table = &metric->limit[label].table;
    struct clew__node *node = clew__table_first(table, hash);

    while (node && (value_of(node)->len != value->len ||
                    memcmp(value_of(node)->text, value->value, value->len) != 0))
        node = clew__table_next(atomic_load_explicit(&node->next, memory_order_acquire), hash);
    return node ? value_of(node) : NULL;
}

static bool is_overflow(const struct clew_label *value)
{
    return value->len == CLEW__OVERFLOW.len &&
           memcmp(value->value, CLEW__OVERFLOW.value, value->len) == 0;
}

/* A reader that is misled while the table grows leaves it to whoever looks with
 * the lock held. */
static bool is_beyond(const struct clew_metric *metric, size_t i, const struct clew_label *value)
{
    size_t max = atomic_load_explicit(&metric->limit[i].max, memory_order_relaxed);
    const struct clew__table *table = &metric->limit[i].table;
    unsigned version = atomic_load_explicit(&table->version, memory_order_acquire);

    return max && atomic_load_explicit(&metric->limit[i].n, memory_order_acquire) >= max &&
           !is_overflow(value) &&
           !find(metric, i, value, clew__bytes_hash(value->value, value->len, metric->seed)) &&
           clew__table_is_settled(table, version);
}

bool clew__values_limit(const struct clew_metric *metric, struct clew_label *values)
{
    bool any = false;

    for (size_t i = 0; i < metric->nlabels; i++)
        if (is_beyond(metric, i, &values[i])) {
            values[i] = CLEW__OVERFLOW;
            any = true;
        }
    return any;
}

static bool add(struct clew_metric *metric, size_t label, const struct clew_label *text)
{
    uint64_t hash = clew__bytes_hash(text->value, text->len, metric->seed);
    struct clew__value *value = find(metric, label, text, hash);

    if (is_overflow(text))
        return true;
    if (value) {
        value->series++;
        return true;
    }
    value = calloc(1, sizeof(*value) + text->len + 1);
    if (!value)
        return false;
    value->node.hash = hash;
    value->series = 1;
    value->len = text->len;
    memcpy(value->text, text->value, text->len);
    if (!clew__table_add(&metric->limit[label].table, &value->node)) {
        free(value);
        return false;
    }
    atomic_fetch_add(&metric->limit[label].n, 1);
    return true;
}

static void remove_one(struct clew_metric *metric, size_t label, const struct clew_label *text,
                       struct clew__value **ret_gone)
{
    uint64_t hash = clew__bytes_hash(text->value, text->len, metric->seed);
    struct clew__value *value = find(metric, label, text, hash);

    if (!value || --value->series)
        return;
    clew__table_remove(&metric->limit[label].table, &value->node);
    atomic_fetch_sub(&metric->limit[label].n, 1);
    value->gone = *ret_gone;
    *ret_gone = value;
}

bool clew__locked_values_add(struct clew_metric *metric, const struct clew_label *values)
{
    for (size_t i = 0; i < metric->nlabels; i++)
        if (atomic_load_explicit(&metric->limit[i].max, memory_order_relaxed) &&
            !add(metric, i, &values[i]))
            return false;
    return true;
}

void clew__locked_values_remove(struct clew_metric *metric, const struct clew__series *series,
                                struct clew__value **ret_gone)
{
    for (size_t i = 0; i < metric->nlabels; i++) {
        struct clew_label text = clew__series_value(series, i);

        if (atomic_load_explicit(&metric->limit[i].max, memory_order_relaxed))
            remove_one(metric, i, &text, ret_gone);
    }
}

bool clew__locked_values_learn(struct clew_metric *metric, size_t label)
{
    for (struct clew__series *series = atomic_load(&metric->first); series;
         series = atomic_load(&series->next)) {
        struct clew_label text = clew__series_value(series, label);

        if (!add(metric, label, &text))
            return false;
    }
    return true;
}
