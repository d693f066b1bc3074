/* SPDX-License-Identifier: Apache-2.0
 * The front door: takes orders from clients and passes them on. */
#include "service.h"

#include <string.h>

static void place_order(struct request *request)
{
    const char *username = json_string_value(json_object_get(request->body, "username"));
    struct clew_http_exchange *exchange = clew_http_exchange_current();

    if (!username) {
        clew_warn("Order refused", clew_kv("reason", "no username"));
        service_fail(request, 400, "the body must be JSON with a username");
        return;
    }
    /* From here on every line of this request carries the user. */
    (void)clew_context_bind(clew_http_exchange_context(exchange), clew_kv("username", username));
    clew_info("Order received",
              clew_kv("symbol", json_string_value(json_object_get(request->body, "symbol"))));
    request->status = service_call("POST", service_setting("ORDER_URL", "http://127.0.0.1:8081"),
                                   "/orders", request->body, &request->answer);
    if (request->status == 0) {
        clew_error("Order service did not answer");
        service_fail(request, 502, "order service did not answer");
    }
}

static void handle(struct request *request)
{
    if (strcmp(request->path, "/orders") == 0) {
        service_route("/orders");
        if (strcmp(request->method, "POST") == 0)
            place_order(request);
        else
            service_fail(request, 405, "POST an order");
        return;
    }
    service_fail(request, 404, "no such page");
}

int main(void)
{
    return service_run("gateway_service", "1.0.0", handle);
}
