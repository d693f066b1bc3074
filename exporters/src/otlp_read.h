/* SPDX-License-Identifier: Apache-2.0
 * Reading OTLP traces (opentelemetry-proto, trace.proto: TracesData): the spans
 * one after the other, with the service they belong to. */
#ifndef CLEW_OTLP_READ_H
#define CLEW_OTLP_READ_H

#include "protobuf_read.h"

#include <buf.h>

struct clew__otlp_span {
    const uint8_t *trace_id;  /* 16 bytes */
    const uint8_t *span_id;   /* 8 bytes */
    const uint8_t *parent_id; /* 8 bytes; NULL for a root */
    const char *name;
    size_t name_len;
    unsigned kind;   /* 0..5 */
    unsigned status; /* 0 unset, 1 ok, 2 error */
    const char *status_message;
    size_t status_message_len;
    uint64_t start_ns;
    uint64_t end_ns;
    const char *service;
    size_t service_len;
    /* The encoded messages, for those who keep them. */
    const uint8_t *resource, *scope, *bytes;
    size_t resource_len, scope_len, bytes_len;
};

/* Calls take for each span; it returns false to stop. Field 1 of the message
 * holds the ResourceSpans, as in TracesData, in the export request and in
 * Tempo's Trace. returns 0, -EINVAL malformed, -ECANCELED stopped */
int clew__otlp_read(const void *bytes, size_t len,
                    bool (*take)(void *arg, const struct clew__otlp_span *span), void *arg);

/* Calls take for each KeyValue of field number in an encoded message. The value
 * is its text as JSON. */
int clew__otlp_attributes(const uint8_t *bytes, size_t len, unsigned number,
                          void (*take)(void *arg, const char *key, size_t key_len, const char *json,
                                       size_t json_len),
                          void *arg);

#endif
