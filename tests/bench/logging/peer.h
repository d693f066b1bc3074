/* SPDX-License-Identifier: Apache-2.0
 *
 * A logger under test. Each lives in a file of its own that defines
 *     static inline void peer_log(int order_id)
 * and then includes loops.h: the measuring loops are compiled around the call,
 * so no logger pays for a function pointer.
 *
 * All write the same line, see line_keys in check.c. Ours takes the four ids
 * from the context of the thread, the others get them as strings.
 */
#ifndef CLEW_BENCH_PEER_H
#define CLEW_BENCH_PEER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_BURST 16

struct loops {
    /* Every gap ticks one call; each gets the ticks it took. */
    void (*paced)(uint64_t *each, int n, uint64_t gap);
    /* After a pause of 1 ms BENCH_BURST calls; each gets the ticks of a burst. */
    void (*bursts)(uint64_t *each, int n);
    /* As fast as it goes, order ids from first on. */
    void (*plain)(int first, int n);
    /* The same; each gets the ticks from one call to the next. */
    void (*timed)(uint64_t *each, int first, int n);
    /* Every gap ticks one call, for ever; done is the last id that was logged. */
    void (*endless)(uint64_t *done, int first, uint64_t gap);
};

struct peer {
    const char *name;
    void (*open)(const char *path, int threads); /* once, before the first call */
    void (*thread_begin)(void);                  /* once in each thread that logs */
    void (*flush)(void); /* everything logged is in the file afterwards; the last call */
    void (*recover)(const char *path); /* NULL, or what the next start does for a killed one */
    struct loops loops;
};

/* NULL-terminated each, empty where the logger is not installed. */
extern const struct peer bench_clewline;
extern const struct peer *const bench_spdlog[];
extern const struct peer *const bench_quill[];
extern const struct peer *const bench_fmtlog[];

/* What the others are given for the ids. */
#define BENCH_REQUEST_ID "0197f0aa-1111-7222-8333-444455556666"
#define BENCH_CORRELATION_ID "0197f0aa-9999-7aaa-8bbb-ccccddddeeee"
#define BENCH_TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define BENCH_SPAN_ID "00f067aa0ba902b7"

#ifdef __cplusplus
}
#endif

#endif
