/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs to take a request's context out of headers and to put it into
 * others: ours beside opentelemetry-cpp where its headers are found. Extracting
 * includes giving the context back. Ours makes a request id (UUIDv7) for each
 * request on top and sends it and the correlation id on, as it always does;
 * "traceparent, tracestate alone" is the same without the ids, for comparison.
 *
 *     bench_propagation [--quick]
 */
#include "carrier.h"

#include <clew/propagate.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 9

static int runs = 1000000;

uint64_t bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- ours -------------------------------------------------------------------- */

static void make_context(const struct clew_extract *headers)
{
    struct clew_scope scope = clew_extract_context(headers, NULL);

    __asm__ volatile("" ::"r"(scope.context) : "memory");
    clew_scope_release(scope);
}

/* As a server does it that has its headers in a row. */
static double feed(const struct carrier *from, bool baggage, int n)
{
    uint64_t start = bench_now_ns();

    (void)baggage;
    for (int i = 0; i < n; i++) {
        struct clew_extract headers;

        clew_extract_init(&headers);
        for (size_t k = 0; k < from->n; k++)
            clew_extract_header(&headers, from->headers[k].name, from->headers[k].name_len,
                                from->headers[k].value, from->headers[k].value_len);
        make_context(&headers);
    }
    return (double)(bench_now_ns() - start) / n;
}

static void get(void *arg, const char *name, struct clew_extract *headers)
{
    const struct carrier *from = arg;
    size_t len = strlen(name);

    for (size_t i = 0; i < from->n; i++)
        if (from->headers[i].name_len == len && memcmp(from->headers[i].name, name, len) == 0)
            clew_extract_header(headers, name, len, from->headers[i].value,
                                from->headers[i].value_len);
}

/* Asked by name, as opentelemetry-cpp does it. */
static double ask(const struct carrier *from, bool baggage, int n)
{
    uint64_t start = bench_now_ns();

    (void)baggage;
    for (int i = 0; i < n; i++) {
        struct clew_extract headers;

        clew_extract_init(&headers);
        clew_extract_get(&headers, get, (void *)from);
        make_context(&headers);
    }
    return (double)(bench_now_ns() - start) / n;
}

static void set(void *arg, const struct clew_header *header)
{
    carrier_put(arg, header->name, header->name_len, header->value, header->value_len);
}

static double inject(const struct carrier *from, struct carrier *to, bool with_ids, int n)
{
    struct clew_extract headers;
    struct clew_scope scope, bare;
    uint64_t start;

    clew_extract_init(&headers);
    for (size_t k = 0; k < from->n; k++)
        clew_extract_header(&headers, from->headers[k].name, from->headers[k].name_len,
                            from->headers[k].value, from->headers[k].value_len);
    scope = clew_extract_context(&headers, NULL);
    if (!with_ids) { /* the same trace, tracestate and baggage in a context without ids */
        struct clew_baggage_member m;
        char key[256], value[512];
        size_t at = 0;

        bare = (struct clew_scope){clew_context_new(), scope.span_id};
        clew_context_set_trace(bare.context, clew_context_trace_id(scope.context), 1);
        if (clew_tracestate_get(scope.context, "congo", value, sizeof(value)) >= 0)
            (void)clew_tracestate_set(bare.context, "congo", value);
        if (clew_tracestate_get(scope.context, "rojo", value, sizeof(value)) >= 0)
            (void)clew_tracestate_set(bare.context, "rojo", value);
        while (clew_baggage_next(scope.context, &at, &m)) {
            (void)snprintf(key, sizeof(key), "%.*s", (int)m.key_len, m.key);
            if (clew_baggage_get(scope.context, key, value, sizeof(value)) >= 0)
                (void)clew_baggage_set(bare.context, key, value, NULL);
        }
        clew_scope_release(scope);
        scope = bare;
    }
    start = bench_now_ns();
    for (int i = 0; i < n; i++) {
        to->n = to->used = 0;
        clew_inject_headers(scope, set, to);
        __asm__ volatile("" ::: "memory");
    }
    start = bench_now_ns() - start;
    clew_scope_release(scope);
    return (double)start / n;
}

/* ---- the run ------------------------------------------------------------------- */

static void add(struct carrier *c, const char *name, const char *value)
{
    c->headers[c->n++] = (struct header){name, value, strlen(name), strlen(value)};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print(const char *what, double *ns)
{
    qsort(ns, ROUNDS, sizeof(*ns), compare);
    printf("%-46s %9.1f %9.1f %9.1f\n", what, ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
}

enum row { FEED, ASK, INJECT, INJECT_BARE, PEER_EXTRACT, PEER_INJECT, NROWS };

static void run(const struct carrier *from, bool baggage)
{
    static const char *const names[NROWS] = {
        "clewline: extract, fed with headers", "clewline: extract, asked by name",
        "clewline: inject, with both ids",     "clewline: inject, trace (and baggage) alone",
        "opentelemetry-cpp: extract",          "opentelemetry-cpp: inject"};
    static struct carrier to;
    double ns[NROWS][ROUNDS];

    for (int r = 0; r < ROUNDS; r++) { /* in turns: a slow moment hits all */
        ns[FEED][r] = feed(from, baggage, runs);
        ns[ASK][r] = ask(from, baggage, runs);
        ns[INJECT][r] = inject(from, &to, true, runs);
        ns[INJECT_BARE][r] = inject(from, &to, false, runs);
        if (bench_opentelemetry) {
            ns[PEER_EXTRACT][r] = bench_opentelemetry->extract(from, baggage, runs / 10);
            ns[PEER_INJECT][r] = bench_opentelemetry->inject(from, &to, baggage, runs / 10);
        }
    }
    printf("\n%-46s %9s %9s %9s\n",
           baggage ? "traceparent, tracestate, baggage" : "traceparent, tracestate", "median ns",
           "least", "most");
    for (int i = 0; i < (bench_opentelemetry ? NROWS : PEER_EXTRACT); i++)
        print(names[i], ns[i]);
}

int main(int argc, char **argv)
{
    static struct carrier two, three;

    if (argc > 1 && strcmp(argv[1], "--quick") == 0)
        runs = 100000;
    else if (argc > 1) {
        fprintf(stderr, "usage: %s [--quick]\n", argv[0]);
        return 2;
    }
    add(&two, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    add(&two, "tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    three = two;
    add(&three, "baggage", "userId=alice,serverNode=DF%2028,isProduction=false");
    run(&two, false);
    run(&three, true);
    if (!bench_opentelemetry)
        printf(
            "\nopentelemetry-cpp is not here: -Dbench_include=…/opentelemetry-cpp/api/include\n");
    return 0;
}
