/* SPDX-License-Identifier: Apache-2.0
 *
 * The endpoint: a small one of its kind. A token is looked up, an order is
 * looked up, its positions are added up, and some 500 bytes of JSON with an ETag
 * are written. No database and no other service: what an instrumentation costs
 * beside it is not hidden behind one.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUSTOMERS 1000u
#define ITEMS_MAX 5u
#define SESSION_SLOTS 4096u

struct item {
    const char *title;
    unsigned sku, quantity, cents;
};

struct order {
    unsigned customer, nitems;
    struct item items[ITEMS_MAX];
};

struct session {
    char token[33];
    unsigned customer;
};

static struct order orders[BENCH_ORDERS];
static struct session sessions[SESSION_SLOTS];
static char names[CUSTOMERS][24];

static uint64_t hash(const char *text, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return h;
}

void bench_token(unsigned customer, char ret_text[33])
{
    uint64_t h = (customer + 1) * UINT64_C(0x9e3779b97f4a7c15);

    (void)snprintf(ret_text, 33, "%016llx%016llx", (unsigned long long)h,
                   (unsigned long long)(h * h + 1));
}

static struct session *find_session(const char *token)
{
    for (size_t i = hash(token, strlen(token)) % SESSION_SLOTS;; i = (i + 1) % SESSION_SLOTS)
        if (!sessions[i].token[0] || strcmp(sessions[i].token, token) == 0)
            return &sessions[i];
}

void bench_orders_make(void)
{
    static const char *const titles[] = {"Fountain pen", "Ink, 50 ml", "Notebook A5",
                                         "Blotting paper", "Envelope \"C6\""};
    char token[33];

    for (unsigned i = 0; i < CUSTOMERS; i++) {
        struct session *session;

        (void)snprintf(names[i], sizeof(names[i]), "customer-%04u", i);
        bench_token(i, token);
        session = find_session(token);
        memcpy(session->token, token, sizeof(token));
        session->customer = i;
    }
    for (unsigned i = 0; i < BENCH_ORDERS; i++) {
        struct order *order = &orders[i];

        order->customer = i % CUSTOMERS;
        order->nitems = 2 + i % (ITEMS_MAX - 1);
        for (unsigned j = 0; j < order->nitems; j++)
            order->items[j] = (struct item){titles[(i + j) % 5], 100000 + (i * 7 + j) % 900,
                                            1 + (i + j) % 4, 199 + (i * 31 + j * 17) % 5000};
    }
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

static size_t put_item(char *to, const struct item *item)
{
    size_t n = (size_t)sprintf(to, "{\"sku\":%u,\"title\":\"", item->sku);

    n += put_escaped(to + n, item->title);
    n += (size_t)sprintf(to + n, "\",\"quantity\":%u,\"price\":\"%u.%02u\"},", item->quantity,
                         item->cents / 100, item->cents % 100);
    return n;
}

static size_t put_order(char *to, unsigned id, const struct order *order, unsigned *ret_cents)
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
    const struct session *session;
    unsigned long id;
    unsigned cents;
    char *end;

    if (!authorization || strncmp(authorization, bearer, sizeof(bearer) - 1) != 0)
        return refuse(401, "no token", body, ret_len);
    session = find_session(authorization + sizeof(bearer) - 1);
    if (!session->token[0])
        return refuse(401, "unknown token", body, ret_len);
    if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
        return refuse(404, "no such page", body, ret_len);
    id = strtoul(path + sizeof(prefix) - 1, &end, 10);
    if (*end || id >= BENCH_ORDERS || orders[id].customer != session->customer)
        return refuse(404, "no such order", body, ret_len);
    *ret_len = put_order(body, (unsigned)id, &orders[id], &cents);
    ret->id = (unsigned)id;
    ret->items = orders[id].nitems;
    ret->customer = names[orders[id].customer];
    ret->total = cents / 100.0;
    (void)sprintf(ret->etag, "\"%016llx\"", (unsigned long long)hash(body, *ret_len));
    return 200;
}
