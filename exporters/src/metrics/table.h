/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table that is read without a lock. Nodes hang in chains; whoever
 * changes the table holds the registry's lock. Removed nodes, and the heads of
 * a table that has grown, may still be read: they are freed once
 * clew__shards_settled() says that nobody does.
 */
#ifndef CLEW_TABLE_H
#define CLEW_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clew__node {
    struct clew__node *_Atomic next;
    uint64_t hash;
};

struct clew__heads {
    struct clew__heads *older;
    size_t mask;
    struct clew__node *_Atomic at[];
};

struct clew__table {
    struct clew__heads *_Atomic heads; /* NULL: empty */
    _Atomic unsigned version;          /* changes while and when chains are moved */
    size_t n;
};

/* The first node of the chain, or the next, with that hash. A reader may miss
 * one while chains are moved. */
static inline struct clew__node *clew__table_next(struct clew__node *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = atomic_load_explicit(&node->next, memory_order_acquire);
    return node;
}

static inline struct clew__node *clew__table_first(const struct clew__table *table, uint64_t hash)
{
    struct clew__heads *heads = atomic_load_explicit(&table->heads, memory_order_acquire);

    return heads ? clew__table_next(
                       atomic_load_explicit(&heads->at[hash & heads->mask], memory_order_acquire),
                       hash)
                 : NULL;
}

/* Whether a reader that found nothing since version may trust that. */
static inline bool clew__table_is_settled(const struct clew__table *table, unsigned version)
{
    return !(version & 1) && version == atomic_load_explicit(&table->version, memory_order_acquire);
}

/* False without memory. */
bool clew__table_add(struct clew__table *table, struct clew__node *node);
void clew__table_remove(struct clew__table *table, struct clew__node *node);
/* Takes the heads that are not used any more; free them in a chain of older. */
struct clew__heads *clew__table_old_heads(struct clew__table *table);
void clew__heads_free(struct clew__heads *heads);

#endif
