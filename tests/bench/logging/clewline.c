/* SPDX-License-Identifier: Apache-2.0
 * Ours: the ids come from the context, the values are typed. */
#include "peer.h"

#include <clew/context.h>

#include <stdio.h>
#include <stdlib.h>

static inline __attribute__((always_inline)) void peer_log(int order_id)
{
    clew_info("Order placed", clew_kv("order_id", order_id), clew_kv("symbol", "ACME"),
              clew_kv("amount", 100.25), clew_kv("ok", (bool)true));
}

#include "loops.h"

static void open_file(const char *path, int threads)
{
    (void)threads;
    setenv("CLEW_LOG_OUTPUT", path, 1);
    setenv("CLEW_LOG_FORMAT", "json", 1);
    setenv("CLEW_LOG_LEVEL", "info", 1);
    setenv("CLEW_RING_FULL", "block:60000", 1);
    if (clew_log_start("bench", NULL) < 0) {
        fprintf(stderr, "clewline: %s\n", clew_last_error());
        exit(1);
    }
}

/* A request a thread, kept for as long as the process lives. */
static struct clew_context *contexts[8] __attribute__((used));

static void thread_begin(void)
{
    static unsigned n;
    struct clew_scope scope = {clew_context_new(), clew_id_span()};
    uint8_t trace_id[16];

    contexts[__atomic_fetch_add(&n, 1, __ATOMIC_RELAXED) % 8] = scope.context;
    (void)clew_context_set_request_id(scope.context, NULL, 0);
    (void)clew_context_set_correlation_id(scope.context, BENCH_CORRELATION_ID,
                                          sizeof(BENCH_CORRELATION_ID) - 1);
    clew_id_trace(trace_id);
    clew_context_set_trace(scope.context, trace_id, CLEW_TRACE_SAMPLED);
    (void)clew_scope_enter(scope);
}

static void flush(void)
{
    (void)clew_log_flush(60000);
}

static void recover(const char *path)
{
    open_file(path, 1);
    clew_log_stop();
}

const struct peer bench_clewline = {"clewline", open_file, thread_begin,
                                    flush,      recover,   peer_loops};
