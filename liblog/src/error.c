/* SPDX-License-Identifier: Apache-2.0
 * The text of the last failure, per thread; the level names; the counters. */
#include "core_priv.h"
#include "sinks_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

struct clew__counters clew__counters;

static __thread char last_error[512];

const char *clew_last_error(void)
{
    return last_error;
}

int clew_set_error(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(last_error, sizeof(last_error), format, args);
    va_end(args);
    return code;
}

const char *clew_level_name(enum clew_level level)
{
    switch (level) {
#define X(name, number, text) \
    case CLEW_LEVEL_##name:   \
        return #name;
        CLEW_LEVEL_MAP(X)
#undef X
    case CLEW_LEVEL_OFF:
        break;
    }
    return "OFF";
}

int clew_level_parse(const char *text, enum clew_level *ret_level)
{
#define X(name, number, lower)          \
    if (strcasecmp(text, lower) == 0) { \
        *ret_level = CLEW_LEVEL_##name; \
        return 0;                       \
    }
    CLEW_LEVEL_MAP(X)
#undef X
    if (strcasecmp(text, "off") == 0) {
        *ret_level = CLEW_LEVEL_OFF;
        return 0;
    }
    return -EINVAL;
}

static void count_spans(struct clew_stats *ret)
{
    const struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);
    uint64_t ended = 0;

    for (; ring; ring = ring->next) {
        ret->spans_started_sampled += __atomic_load_n(&ring->spans_sampled, __ATOMIC_RELAXED);
        ret->spans_started_dropped += __atomic_load_n(&ring->spans_dropped, __ATOMIC_RELAXED);
        ended += __atomic_load_n(&ring->spans_ended, __ATOMIC_RELAXED);
    }
    ret->spans_live = ret->spans_started_sampled - ended;
    if (ret->spans_live > UINT64_MAX / 2) /* another thread began or ended one meanwhile */
        ret->spans_live = 0;
}

void clew_stats_read(struct clew_stats *ret)
{
#define READ(name) atomic_load_explicit(&clew__counters.name, memory_order_relaxed)
    *ret = (struct clew_stats){
        .lines = READ(lines),
        .spans = READ(spans),
        .dropped_ring_full = READ(ring_full),
        .dropped_no_ring = READ(no_ring),
        .dropped_nested = READ(nested),
        .dropped_space = READ(space),
        .dropped_closed = READ(closed),
        .dropped_output = READ(output),
        .dropped_sinks = atomic_load(&clew__journald_lost) + atomic_load(&clew__syslog_lost),
        .held_back = READ(held_back),
        .truncated = READ(truncated),
        .replaced_ids = READ(replaced_ids),
        .recovered = READ(recovered),
        .rings = READ(rings),
        .misused = READ(misused),
    };
    count_spans(ret);
#undef READ
}
