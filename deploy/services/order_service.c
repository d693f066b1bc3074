/* SPDX-License-Identifier: Apache-2.0
 * Checks an order, has the money reserved, and books it. */
#include "service.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct clew_series *executed, *rejected;
static atomic_uint next_order = 1000;

struct order {
    const char *username, *symbol, *side;
    double quantity, price;
};

static bool read_order(json_t *body, struct order *order)
{
    return json_unpack(body, "{s:s, s:s, s:s, s:F, s:F}", "username", &order->username, "symbol",
                       &order->symbol, "side", &order->side, "quantity", &order->quantity, "price",
                       &order->price) == 0 &&
           order->quantity > 0 && order->price > 0 &&
           (strcmp(order->side, "buy") == 0 || strcmp(order->side, "sell") == 0) &&
           strlen(order->username) < 64 && !strpbrk(order->username, "/?#% ");
}

static unsigned reserve(const struct order *order, double amount)
{
    json_t *body = json_pack("{s:f}", "amount", amount);
    char path[128];
    unsigned status;

    (void)snprintf(path, sizeof(path), "/users/%s/reservations", order->username);
    status = service_call("POST", service_setting("USER_URL", "http://127.0.0.1:8082"), path, body,
                          NULL);
    json_decref(body);
    return status;
}

static void execute(struct request *request, const struct order *order)
{
    struct clew_span *span = clew_span_begin("execute order", CLEW_SPAN_INTERNAL);
    unsigned id = atomic_fetch_add(&next_order, 1);
    double amount = order->quantity * order->price;

    clew_span_set(span, clew_kv("order.id", id), clew_kv("order.symbol", order->symbol),
                  clew_kv("order.amount", amount));
    clew_info("Order executed", clew_kv("order_id", id), clew_kv("symbol", order->symbol),
              clew_kv("side", order->side), clew_kv("quantity", order->quantity),
              clew_kv("amount", amount));
    clew_series_add(executed, 1);
    request->status = 201;
    request->answer =
        json_pack("{s:i, s:s, s:f}", "order_id", (int)id, "status", "executed", "amount", amount);
    clew_span_end(span);
}

static void place(struct request *request)
{
    struct clew_http_exchange *exchange = clew_http_exchange_current();
    struct order order;
    unsigned status;

    if (!read_order(request->body, &order)) {
        clew_warn("Order rejected", clew_kv("reason", "malformed"));
        clew_series_add(rejected, 1);
        service_fail(request, 400, "an order has username, symbol, side, quantity and price");
        return;
    }
    (void)clew_context_bind(clew_http_exchange_context(exchange),
                            clew_kv("username", order.username));
    status = reserve(&order, order.quantity * order.price);
    if (status == 200) {
        execute(request, &order);
        return;
    }
    clew_series_add(rejected, 1);
    if (status == 402) {
        clew_warn("Order rejected", clew_kv("reason", "insufficient funds"),
                  clew_kv("amount", order.quantity * order.price));
        service_fail(request, 402, "insufficient funds");
        return;
    }
    clew_error("Order failed", clew_kv("reason", "funds could not be reserved"),
               clew_kv("user_service_status", status));
    service_fail(request, 503, "funds could not be reserved");
}

static void handle(struct request *request)
{
    if (strcmp(request->path, "/orders") == 0 && strcmp(request->method, "POST") == 0) {
        service_route("/orders");
        place(request);
        return;
    }
    service_fail(request, 404, "no such page");
}

int main(void)
{
    /* Business metrics; those of the requests come by themselves. */
    struct clew_metric *orders =
        clew_counter("orders_total", "Orders by outcome.", (const char *const[]){"outcome", NULL});

    executed = clew_metric_series(orders, (const char *const[]){"executed", NULL});
    rejected = clew_metric_series(orders, (const char *const[]){"rejected", NULL});
    return service_run("order_service", "1.4.0", handle);
}
