/* SPDX-License-Identifier: Apache-2.0
 * A logger under test: the same message with four fields and a request id. */
#ifndef CLEW_BENCH_LOGGING_H
#define CLEW_BENCH_LOGGING_H

#ifdef __cplusplus
extern "C" {
#endif

struct peer {
    const char *name;
    void (*open)(const char *path); /* before the first call; a file to write to */
    void (*log)(int i);
    void (*flush)(void); /* everything is in the file afterwards */
};

/* NULL-terminated; those that are installed here. */
extern const struct peer *const bench_peers[];

#ifdef __cplusplus
}
#endif

#endif
