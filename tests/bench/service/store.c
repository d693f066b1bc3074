/* SPDX-License-Identifier: Apache-2.0
 * The orders in SQLite, for a service that does what most do. */
#include "bench.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[600];
static sqlite3 *db;
static sqlite3_stmt *read_order, *read_items;

static bool insert(sqlite3_stmt *order, sqlite3_stmt *item, unsigned id,
                   const struct bench_stored *o)
{
    bool good;

    sqlite3_bind_int64(order, 1, id);
    sqlite3_bind_int64(order, 2, o->customer);
    good = sqlite3_step(order) == SQLITE_DONE;
    (void)sqlite3_reset(order);
    for (unsigned i = 0; i < o->nitems && good; i++) {
        sqlite3_bind_int64(item, 1, id);
        sqlite3_bind_int64(item, 2, i);
        sqlite3_bind_text(item, 3, o->items[i].title, -1, SQLITE_STATIC);
        sqlite3_bind_int64(item, 4, o->items[i].sku);
        sqlite3_bind_int64(item, 5, o->items[i].quantity);
        sqlite3_bind_int64(item, 6, o->items[i].cents);
        good = sqlite3_step(item) == SQLITE_DONE;
        (void)sqlite3_reset(item);
    }
    return good;
}

bool bench_store_make(const char *directory, const struct bench_stored *orders)
{
    static const char schema[] =
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL);"
        "CREATE TABLE items (order_id INTEGER, position INTEGER, title TEXT, sku INTEGER,"
        " quantity INTEGER, cents INTEGER, PRIMARY KEY (order_id, position)) WITHOUT ROWID;"
        "BEGIN";
    sqlite3_stmt *order = NULL, *item = NULL;
    bool good;

    (void)snprintf(path, sizeof(path), "%s/orders.db", directory);
    good =
        sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "INSERT INTO orders VALUES (?, ?)", -1, &order, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", -1, &item, NULL) ==
            SQLITE_OK;
    for (unsigned id = 0; id < BENCH_ORDERS && good; id++)
        good = insert(order, item, id, &orders[id]);
    good = good && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    (void)sqlite3_finalize(order);
    (void)sqlite3_finalize(item);
    (void)sqlite3_close(db);
    db = NULL;
    return good;
}

bool bench_store_open(void)
{
    if (!path[0])
        return true;
    return sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(db, "SELECT customer FROM orders WHERE id = ?", -1, &read_order,
                              NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(db,
                              "SELECT title, sku, quantity, cents FROM items"
                              " WHERE order_id = ? ORDER BY position",
                              -1, &read_items, NULL) == SQLITE_OK;
}

struct sqlite3 *bench_store_database(void)
{
    return db;
}

bool bench_store_read(unsigned id, struct bench_stored *ret)
{
    bool found;

    sqlite3_bind_int64(read_order, 1, id);
    found = sqlite3_step(read_order) == SQLITE_ROW;
    if (found)
        ret->customer = (unsigned)sqlite3_column_int64(read_order, 0);
    (void)sqlite3_reset(read_order);
    ret->nitems = 0;
    sqlite3_bind_int64(read_items, 1, id);
    while (found && ret->nitems < BENCH_ITEMS_MAX && sqlite3_step(read_items) == SQLITE_ROW) {
        struct bench_item *item = &ret->items[ret->nitems++];

        (void)snprintf(item->title, sizeof(item->title), "%s",
                       (const char *)sqlite3_column_text(read_items, 0));
        item->sku = (unsigned)sqlite3_column_int64(read_items, 1);
        item->quantity = (unsigned)sqlite3_column_int64(read_items, 2);
        item->cents = (unsigned)sqlite3_column_int64(read_items, 3);
    }
    (void)sqlite3_reset(read_items);
    return found;
}
