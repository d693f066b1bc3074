/* SPDX-License-Identifier: Apache-2.0
 * A line made by hand, as the collector would hand it to a sink. */
#ifndef SINK_LINE_H
#define SINK_LINE_H

#include <clew/sink.h>

#include <stdlib.h>
#include <string.h>

#define FIELD_STRING(k, text)                                                                     \
    {                                                                                             \
        .key = (k), .type = CLEW_TYPE_STRING, .value = {.as.s = (text), .len = sizeof(text) - 1 } \
    }

/* Lines come from "shop" from here on; nothing is written anywhere. */
static inline bool name_service(void)
{
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    setenv("CLEW_RING_DIR", "/proc/none", 1);
    return clew_log_start("shop", NULL) == 0;
}

static const uint8_t no_trace[16];
static const uint8_t some_trace[16] = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6,
                                       0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36};

static inline uint64_t some_span(void)
{
    uint64_t id;

    memcpy(&id, "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7", 8);
    return id;
}

static const struct clew_site plain_site = {
    .level = CLEW_LEVEL_INFO, .line = 42, .message = "paid", .file = "pay.c", .function = "pay"};

/* 2025-08-20T10:00:00.123456789Z, no ids, no fields. */
static inline struct clew_line plain_line(void)
{
    return (struct clew_line){
        .time_ns = 1755684000123456789u,
        .level = CLEW_LEVEL_INFO,
        .site = &plain_site,
        .logger = "",
        .message = plain_site.message,
        .message_len = strlen(plain_site.message),
        .json = "{}",
        .json_len = 2,
        .request_id = "",
        .correlation_id = "",
        .trace_id = no_trace,
    };
}

#endif
