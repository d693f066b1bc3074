/* SPDX-License-Identifier: Apache-2.0
 * How far the store has taken the journal. It moves in the transaction that takes,
 * so a webhook of the journal is applied once, whatever dies in between. */
#include "store.h"

int clew__store_position(struct clew__db *db, void *arg)
{
    return clew__db_number(db, 0, arg, "SELECT sequence FROM journal WHERE id = 1", "");
}

int clew__store_set_position(struct clew__db *db, int64_t sequence)
{
    return clew__db_run(db,
                        "INSERT INTO journal (id, sequence) VALUES (1, ?1)"
                        " ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence",
                        "i", sequence);
}
