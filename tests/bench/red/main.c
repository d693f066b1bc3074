/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request's end costs its thread when the line is not wanted: the whole RED
 * update, three metrics of which one is a histogram, with and without a sampled
 * trace, whose exemplars are kept then. Best of nine rounds.
 */
#include <clew/export.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 9
#define CALLS 2000000

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(void)
{
    static const char *const routes[] = {"/orders", "/orders/{id}", "/users/{id}/balance", "/cart"};
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now(), each;

        for (unsigned i = 0; i < CALLS; i++)
            clew_info("request completed", clew_kv("method", "GET"),
                      clew_kv("route", routes[i % 4]), clew_kv("status", 200),
                      clew_kv("duration_seconds", 0.001 * (i & 255)));
        each = (now() - start) / CALLS;
        best = each < best ? each : best;
    }
    return best;
}

int main(void)
{
    static const uint8_t trace_id[16] = {1, 2, 3};
    struct clew_scope scope = {NULL, 7};

    setenv("CLEW_LOG_LEVEL", "off", 1);
    if (clew_start("bench_red", NULL) < 0) {
        fprintf(stderr, "bench_red: %s\n", clew_last_error());
        return 1;
    }
    printf("whole RED update               %6.1f ns\n", measure());
    scope.context = clew_context_new();
    clew_context_set_trace(scope.context, trace_id, CLEW_TRACE_SAMPLED);
    (void)clew_scope_enter(scope);
    printf("the same, with its exemplars   %6.1f ns\n", measure());
    return 0;
}
