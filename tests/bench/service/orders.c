/* SPDX-License-Identifier: Apache-2.0
 *
 * The endpoint. A token is looked up, an order is looked up, its positions are
 * added up, and some 500 bytes of JSON with an ETag are written. In memory it is
 * as small as one can be: what an instrumentation costs beside it is not hidden
 * behind anything. With a database it does what a service of its kind does: the
 * token's signature is checked, and the order comes from SQLite.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench_stored orders[BENCH_ORDERS];
static char names[BENCH_CUSTOMERS][24];
static bool in_database;

uint64_t bench_hash(const char *text, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return h;
}

static void make_order(struct bench_stored *order, unsigned i)
{
    static const char *const titles[] = {"Fountain pen", "Ink, 50 ml", "Notebook A5",
                                         "Blotting paper", "Envelope \"C6\""};

    order->customer = i % BENCH_CUSTOMERS;
    order->nitems = 2 + i % (BENCH_ITEMS_MAX - 1);
    for (unsigned j = 0; j < order->nitems; j++) {
        struct bench_item *item = &order->items[j];

        strcpy(item->title, titles[(i + j) % 5]);
        item->sku = 100000 + (i * 7 + j) % 900;
        item->quantity = 1 + (i + j) % 4;
        item->cents = 199 + (i * 31 + j * 17) % 5000;
    }
}

bool bench_orders_make(const char *directory)
{
    for (unsigned i = 0; i < BENCH_CUSTOMERS; i++)
        (void)snprintf(names[i], sizeof(names[i]), "customer-%04u", i);
    for (unsigned i = 0; i < BENCH_ORDERS; i++)
        make_order(&orders[i], i);
    in_database = directory != NULL;
    return bench_tokens_make(in_database) && (!directory || bench_store_make(directory, orders));
}

static size_t put_escaped(char *to, const char *text)
{
    char *p = to;

    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *p++ = '\\';
        *p++ = *text;
    }
    return (size_t)(p - to);
}

static size_t put_item(char *to, const struct bench_item *item)
{
    size_t n = (size_t)sprintf(to, "{\"sku\":%u,\"title\":\"", item->sku);

    n += put_escaped(to + n, item->title);
    n += (size_t)sprintf(to + n, "\",\"quantity\":%u,\"price\":\"%u.%02u\"},", item->quantity,
                         item->cents / 100, item->cents % 100);
    return n;
}

static size_t put_order(char *to, unsigned id, const struct bench_stored *order,
                        unsigned *ret_cents)
{
    size_t n = (size_t)sprintf(to, "{\"id\":%u,\"customer\":\"%s\",\"items\":[", id,
                               names[order->customer]);
    unsigned cents = 0, tax;

    for (unsigned i = 0; i < order->nitems; i++) {
        n += put_item(to + n, &order->items[i]);
        cents += order->items[i].quantity * order->items[i].cents;
    }
    n--; /* the last comma */
    tax = cents * 19 / 119;
    n +=
        (size_t)sprintf(to + n, "],\"tax\":\"%u.%02u\",\"total\":\"%u.%02u\",\"currency\":\"EUR\"}",
                        tax / 100, tax % 100, cents / 100, cents % 100);
    *ret_cents = cents;
    return n;
}

static unsigned refuse(unsigned status, const char *why, char *body, size_t *ret_len)
{
    *ret_len = (size_t)sprintf(body, "{\"error\":\"%s\"}", why);
    return status;
}

unsigned bench_order_answer(const char *path, const char *authorization, char body[BENCH_BODY_MAX],
                            size_t *ret_len, struct bench_order *ret)
{
    static const char prefix[] = "/orders/", bearer[] = "Bearer ";
    const struct bench_stored *order;
    struct bench_stored read;
    unsigned customer, cents;
    unsigned long id;
    char *end;

    if (!authorization || strncmp(authorization, bearer, sizeof(bearer) - 1) != 0)
        return refuse(401, "no token", body, ret_len);
    if (!bench_token_read(authorization + sizeof(bearer) - 1, &customer))
        return refuse(401, "unknown token", body, ret_len);
    if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
        return refuse(404, "no such page", body, ret_len);
    id = strtoul(path + sizeof(prefix) - 1, &end, 10);
    if (*end || id >= BENCH_ORDERS)
        return refuse(404, "no such order", body, ret_len);
    order = in_database ? &read : &orders[id];
    if ((in_database && !bench_store_read((unsigned)id, &read)) || order->customer != customer)
        return refuse(404, "no such order", body, ret_len);
    *ret_len = put_order(body, (unsigned)id, order, &cents);
    ret->id = (unsigned)id;
    ret->items = order->nitems;
    ret->customer = names[order->customer];
    ret->total = cents / 100.0;
    (void)sprintf(ret->etag, "\"%016llx\"", (unsigned long long)bench_hash(body, *ret_len));
    return 200;
}
