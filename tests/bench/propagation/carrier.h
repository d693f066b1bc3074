/* SPDX-License-Identifier: Apache-2.0
 * What both sides of the benchmark read from and write to: headers as a server
 * has them, and room that values are copied to. */
#ifndef CLEW_BENCH_CARRIER_H
#define CLEW_BENCH_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CARRIER_MAX 8

struct carrier {
    size_t n;
    struct header {
        const char *name, *value;
        size_t name_len, value_len;
    } headers[CARRIER_MAX];
    size_t used; /* of room */
    char room[4096];
};

/* The name is static with both, the value has to be copied. */
static inline void carrier_put(struct carrier *c, const char *name, size_t name_len,
                               const char *value, size_t value_len)
{
    if (c->n == CARRIER_MAX || c->used + value_len > sizeof(c->room))
        return;
    c->headers[c->n].name = name;
    c->headers[c->n].name_len = name_len;
    c->headers[c->n].value = (const char *)memcpy(c->room + c->used, value, value_len);
    c->headers[c->n++].value_len = value_len;
    c->used += value_len;
}

/* What one run of n takes, in ns each. */
struct peer {
    const char *name;
    double (*extract)(const struct carrier *from, bool baggage, int n);
    double (*inject)(const struct carrier *from, struct carrier *to, bool baggage, int n);
};

#ifdef __cplusplus
extern "C" {
#endif
extern const struct peer *const bench_opentelemetry; /* NULL: its headers are not here */
uint64_t bench_now_ns(void);
#ifdef __cplusplus
}
#endif

#endif
