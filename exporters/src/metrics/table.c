/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdlib.h>

#define SLOTS_MIN 16u

static void push(struct clew__heads *heads, struct clew__node *node)
{
    struct clew__node *_Atomic *head = &heads->at[node->hash & heads->mask];

    atomic_store_explicit(&node->next, atomic_load_explicit(head, memory_order_relaxed),
                          memory_order_release);
    atomic_store_explicit(head, node, memory_order_release);
}

static bool grow(struct clew__table *table)
{
    struct clew__heads *old = atomic_load_explicit(&table->heads, memory_order_relaxed);
    size_t slots = old ? 2 * (old->mask + 1) : SLOTS_MIN;
    struct clew__heads *heads = calloc(1, sizeof(*heads) + slots * sizeof(heads->at[0]));
    struct clew__node *next;

    if (!heads)
        return false;
    heads->mask = slots - 1;
    heads->older = old;
    atomic_fetch_add(&table->version, 1);
    for (size_t i = 0; old && i <= old->mask; i++)
        for (struct clew__node *node = atomic_load(&old->at[i]); node; node = next) {
            next = atomic_load(&node->next);
            push(heads, node);
        }
    atomic_store_explicit(&table->heads, heads, memory_order_release);
    atomic_fetch_add(&table->version, 1);
    return true;
}

bool clew__table_add(struct clew__table *table, struct clew__node *node)
{
    struct clew__heads *heads = atomic_load_explicit(&table->heads, memory_order_relaxed);

    if ((!heads || table->n > heads->mask) && !grow(table) && !heads)
        return false;
    push(atomic_load_explicit(&table->heads, memory_order_relaxed), node);
    table->n++;
    return true;
}

void clew__table_remove(struct clew__table *table, struct clew__node *node)
{
    struct clew__heads *heads = atomic_load_explicit(&table->heads, memory_order_relaxed);
    struct clew__node *_Atomic *link = &heads->at[node->hash & heads->mask];

    while (atomic_load_explicit(link, memory_order_relaxed) != node)
        link = &atomic_load_explicit(link, memory_order_relaxed)->next;
    /* Its own link stays: a reader may stand on it. */
    atomic_store_explicit(link, atomic_load_explicit(&node->next, memory_order_relaxed),
                          memory_order_release);
    table->n--;
}

struct clew__heads *clew__table_old_heads(struct clew__table *table)
{
    struct clew__heads *heads = atomic_load_explicit(&table->heads, memory_order_relaxed), *old;

    if (!heads)
        return NULL;
    old = heads->older;
    heads->older = NULL;
    return old;
}

void clew__heads_free(struct clew__heads *heads)
{
    while (heads) {
        struct clew__heads *older = heads->older;

        free(heads);
        heads = older;
    }
}
