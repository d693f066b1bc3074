/* SPDX-License-Identifier: Apache-2.0
 *
 * Users and their balances. POST /admin/fault {"mode":"ledger"} breaks it, for
 * the demonstration: reservations fail until {"mode":"none"}.
 */
#include "service.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define USERS_MAX 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char name[64];
    double balance;
} users[USERS_MAX];
static size_t nusers;
static atomic_bool ledger_is_broken;

/* New users begin with a million. Takes amount; -1 when there is too little. */
static double withdraw(const char *name, double amount)
{
    double left = -1;
    size_t i;

    pthread_mutex_lock(&lock);
    for (i = 0; i < nusers && strcmp(users[i].name, name) != 0; i++)
        ;
    if (i == nusers && nusers < USERS_MAX) {
        (void)snprintf(users[i].name, sizeof(users[i].name), "%s", name);
        users[i].balance = 1e6;
        nusers++;
    }
    if (i < nusers && users[i].balance >= amount)
        left = users[i].balance -= amount;
    pthread_mutex_unlock(&lock);
    return left;
}

static void reserve(struct request *request, const char *name)
{
    double amount = json_number_value(json_object_get(request->body, "amount")), left;
    struct clew_span *span;

    if (!(amount > 0)) {
        service_fail(request, 400, "amount must be a positive number");
        return;
    }
    (void)clew_context_bind(clew_http_exchange_context(clew_http_exchange_current()),
                            clew_kv("username", name));
    span = clew_span_begin("ledger write", CLEW_SPAN_INTERNAL);
    clew_span_set(span, clew_kv("ledger.amount", amount));
    if (atomic_load(&ledger_is_broken)) {
        clew_error("Ledger write failed", clew_kv("operation", "reserve"),
                   clew_kv("amount", amount), clew_kv("reason", "disk is read-only"));
        clew_span_set_status(span, CLEW_SPAN_ERROR, "disk is read-only");
        service_fail(request, 500, "ledger write failed");
        clew_span_end(span);
        return;
    }
    left = withdraw(name, amount);
    if (left < 0) {
        clew_warn("Reservation refused", clew_kv("amount", amount));
        service_fail(request, 402, "insufficient funds");
    } else {
        clew_info("User balance updated", clew_kv("operation", "reserve"),
                  clew_kv("amount", amount), clew_kv("balance", left));
        request->answer = json_pack("{s:f}", "balance", left);
    }
    clew_span_end(span);
}

static void set_fault(struct request *request)
{
    const char *mode = json_string_value(json_object_get(request->body, "mode"));

    if (!mode || (strcmp(mode, "ledger") != 0 && strcmp(mode, "none") != 0)) {
        service_fail(request, 400, "mode is ledger or none");
        return;
    }
    atomic_store(&ledger_is_broken, strcmp(mode, "ledger") == 0);
    clew_warn("Fault switched", clew_kv("mode", mode));
}

static void handle(struct request *request)
{
    char name[64];
    int end = 0;

    if (strcmp(request->method, "POST") == 0 && strcmp(request->path, "/admin/fault") == 0) {
        service_route("/admin/fault");
        set_fault(request);
    } else if (strcmp(request->method, "POST") == 0 &&
               sscanf(request->path, "/users/%63[^/]/reservations%n", name, &end) == 1 && end > 0 &&
               request->path[end] == '\0') {
        service_route("/users/{name}/reservations");
        reserve(request, name);
    } else {
        service_fail(request, 404, "no such page");
    }
}

int main(void)
{
    return service_run("user_service", "2.1.0", handle);
}
