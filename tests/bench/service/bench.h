/* SPDX-License-Identifier: Apache-2.0
 * The service under test, its variants, and what drives it. */
#ifndef BENCH_SERVICE_H
#define BENCH_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- orders.c: what the endpoint does, the same for all ------------------------------ */

#define BENCH_ORDERS 10000u
#define BENCH_CUSTOMERS 1000u
#define BENCH_ITEMS_MAX 5u
#define BENCH_ROUTE "/orders/{id}"
#define BENCH_BODY_MAX 2048u

struct bench_order {
    unsigned id, items;
    const char *customer;
    double total;
    char etag[19];
};

/* directory: where a database goes; NULL: all is in memory. Before the services start. */
bool bench_orders_make(const char *directory);
/* The answer to GET /orders/{id}: 200 with body and *ret, else 401 or 404 with a body. */
unsigned bench_order_answer(const char *path, const char *authorization, char body[BENCH_BODY_MAX],
                            size_t *ret_len, struct bench_order *ret);

uint64_t bench_hash(const char *text, size_t len);

/* ---- token.c: who asks -------------------------------------------------------------- */

#define BENCH_TOKEN_MAX 320u

bool bench_tokens_make(bool is_signed);
const char *bench_token(unsigned customer);
bool bench_token_read(const char *token, unsigned *ret_customer);

/* ---- store.c: the orders in a database ----------------------------------------------- */

struct bench_item {
    char title[24];
    unsigned sku, quantity, cents;
};

struct bench_stored {
    unsigned customer, nitems;
    struct bench_item items[BENCH_ITEMS_MAX];
};

bool bench_store_make(const char *directory, const struct bench_stored *orders);
/* In the service's process; nothing if there is no database. */
bool bench_store_open(void);
/* NULL: there is none. */
struct sqlite3 *bench_store_database(void);
bool bench_store_read(unsigned id, struct bench_stored *ret);

/* ---- a variant: the service with one instrumentation -------------------------------- */

struct MHD_Daemon;

struct bench_variant {
    const char *name; /* NULL: it is not there */
    /* Sets the instrumentation up: lines to log_path, spans to 127.0.0.1:otlp_port. */
    bool (*start)(const char *log_path, uint16_t otlp_port);
    /* Serves the listening socket. */
    struct MHD_Daemon *(*serve)(int listener);
    /* Waits until all there is was written and exported; false: something was lost. */
    bool (*flush)(void);
};

extern const struct bench_variant bench_with_nothing, bench_with_clewline,
    bench_with_clewline_tenth, bench_with_otel;

/* ---- service.c: the service's process ------------------------------------------------ */

struct bench_service {
    pid_t pid;
    int control;
    uint16_t port;
};

/* cpu: -1 for any. false: it did not start. */
bool bench_service_start(const struct bench_variant *variant, const char *log_path,
                         uint16_t otlp_port, int cpu, struct bench_service *ret);
/* Has it write out all it has, then asks for the processor time of all its
 * threads so far; false: something was lost, or it is gone. */
bool bench_service_cpu(const struct bench_service *service, double *ret_ns);
void bench_service_stop(struct bench_service *service);

/* ---- load.c: the generator ------------------------------------------------------------ */

struct bench_load;

struct bench_answers {
    size_t sent, answered, failed; /* failed: another status than 200 */
    double seconds;                /* from the first one's time to the last answer */
    uint32_t *latency_ns;          /* of those answered, from the scheduled time; sorted */
};

/* Connects. yields: waits asleep for what is next, for the service needs its
 * processor. NULL: it could not. */
struct bench_load *bench_load_open(uint16_t port, bool yields);
/* Sends at a fixed rate, whatever comes back: a request that finds all
 * connections busy waits, and its waiting counts. ret: free latency_ns. false: it
 * could not, and can not once more. */
bool bench_load_run(struct bench_load *load, double rate, double seconds,
                    struct bench_answers *ret);
void bench_load_close(struct bench_load *load);

#ifdef __cplusplus
}
#endif

#endif
