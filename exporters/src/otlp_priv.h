/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans over OTLP (OpenTelemetry Protocol Specification 1.x; messages in
 * opentelemetry-proto, trace.proto), as the files of it share them. The
 * collector thread appends encoded spans to a batch, each in the group of its
 * instrumentation scope; the delivery thread puts resource and scopes around.
 */
#ifndef CLEW_OTLP_PRIV_H
#define CLEW_OTLP_PRIV_H

#include "delivery.h"
#include "resource.h"
#include "settings.h"

#include <clew/sink.h>

#define CLEW__OTLP_HAS_IS_REMOTE 0x100u /* SpanFlags */
#define CLEW__OTLP_IS_REMOTE 0x200u
#define CLEW__OTLP_INTERRUPTED "clew.interrupted"

/* ---- scopes (otlp_scope.c) -------------------------------------------------------- */

#define CLEW__OTLP_SCOPES_MAX 256u

/* The group of a scope by its name. Collector thread. */
uint32_t clew__otlp_group(const char *scope);
/* Name and version of a group; "" where there is none. */
const char *clew__otlp_scope_name(uint32_t group);
const char *clew__otlp_scope_version(uint32_t group);

/* Calls begin for each group in the batch, then run for each piece of its
 * records, then end. */
struct clew__otlp_groups {
    void (*begin)(void *arg, uint32_t group);
    void (*run)(void *arg, const char *records, size_t len);
    void (*end)(void *arg);
};
void clew__otlp_each_group(const struct clew__batch *batch, const struct clew__otlp_groups *to,
                           void *arg);

/* ---- values ------------------------------------------------------------------------- */

/* A value as OTLP's AnyValue has it (specification, "Mapping Arbitrary Data to
 * OTLP AnyValue"). TEXT: what clew_field_text() makes of it. */
enum clew__otlp_kind {
    CLEW__OTLP_EMPTY,
    CLEW__OTLP_STRING,
    CLEW__OTLP_BOOL,
    CLEW__OTLP_INT,
    CLEW__OTLP_DOUBLE,
    CLEW__OTLP_BYTES,
    CLEW__OTLP_LIST,
    CLEW__OTLP_MAP,
    CLEW__OTLP_TEXT
};

static inline enum clew__otlp_kind clew__otlp_value(const struct clew_field *field, unsigned depth,
                                                    double *ret_double)
{
    switch (field->type) {
    case CLEW_TYPE_STRING:
        return field->value.as.s ? CLEW__OTLP_STRING : CLEW__OTLP_EMPTY;
    case CLEW_TYPE_BOOL:
        return CLEW__OTLP_BOOL;
    case CLEW_TYPE_INT:
    case CLEW_TYPE_ERRNO:
        return CLEW__OTLP_INT;
    case CLEW_TYPE_UINT:
    case CLEW_TYPE_HELD:
        return field->value.as.u > INT64_MAX ? CLEW__OTLP_TEXT : CLEW__OTLP_INT;
    case CLEW_TYPE_DOUBLE:
        *ret_double = field->value.as.d;
        return CLEW__OTLP_DOUBLE;
    case CLEW_TYPE_DURATION:
        *ret_double = (double)field->value.as.i / 1e9;
        return CLEW__OTLP_DOUBLE;
    case CLEW_TYPE_TIME:
        return CLEW__OTLP_TEXT;
    case CLEW_TYPE_NULL:
        return CLEW__OTLP_EMPTY;
    default:
        break;
    }
    if (!field->value.as.s)
        return CLEW__OTLP_EMPTY;
    switch (field->type) {
    case CLEW_TYPE_HEX:
    case CLEW_TYPE_BASE64:
        return CLEW__OTLP_BYTES;
    case CLEW_TYPE_ARRAY:
        return CLEW__OTLP_LIST;
    case CLEW_TYPE_OBJECT:
        return depth < CLEW_FIELD_DEPTH_MAX ? CLEW__OTLP_MAP : CLEW__OTLP_EMPTY;
    default:
        return CLEW__OTLP_TEXT;
    }
}

/* The length of a key or a text that sinks get. */
static inline size_t clew__otlp_key_len(const struct clew_field *field)
{
    return field->key_len ? field->key_len : strlen(field->key);
}

static inline uint32_t clew__otlp_flags(uint8_t trace_flags, bool is_remote)
{
    return trace_flags | CLEW__OTLP_HAS_IS_REMOTE | (is_remote ? CLEW__OTLP_IS_REMOTE : 0);
}

/* ---- encodings ------------------------------------------------------------------------ */

/* Appends one span. */
void clew__otlp_protobuf_append(struct clew__buf *out, const struct clew_span_record *span);
void clew__otlp_json_append(struct clew__buf *out, const struct clew_span_record *span);

/* Makes an ExportTraceServiceRequest of a batch. */
bool clew__otlp_protobuf_encode(const struct clew__batch *batch, struct clew__body *ret_body);
bool clew__otlp_json_encode(const struct clew__batch *batch, struct clew__body *ret_body);

/* ---- requests (otlp.c) ----------------------------------------------------------------- */

#define CLEW__OTLP_BATCH_BYTES (3u << 20) /* gRPC servers take 4 MiB unless told otherwise */
#define CLEW__OTLP_HEADERS_BYTES (CLEW__SECRET_MAX + 256u)

/* The body of a request in the signal's protocol. Delivery thread. */
bool clew__otlp_encode(const struct clew__otlp_settings *o, const struct clew__batch *batch,
                       struct clew__body *ret_body);
/* What the settings say of a destination; it goes on pointing to both. 0 or -EINVAL */
int clew__otlp_destination(const struct clew__otlp_settings *o, char headers[],
                           struct clew__destination *ret);

/* ---- metrics (otlp_push.c, metrics/render_otlp.c) ---------------------------------------- */

/* Begins to send metrics every so often. 0 or -errno */
int clew__otlp_push_add(const struct clew__settings *settings);
/* After clew__delivery_start(). 0 or -errno */
int clew__otlp_push_start(void);
/* Hands over what the metrics say now. */
void clew__otlp_push_now(void);
/* The same for the last time; the thread ends. */
void clew__otlp_push_stop(void);
/* One metric as field 2 of ScopeMetrics, or several; each is given to commit. */
void clew__otlp_append_metrics(struct clew__buf *(*begin)(void), void (*commit)(void));

/* ---- answers (otlp_answer.c) ------------------------------------------------------------- */

enum clew__verdict clew__otlp_judge_protobuf(struct clew__answer *answer);
enum clew__verdict clew__otlp_judge_json(struct clew__answer *answer);
enum clew__verdict clew__otlp_judge_grpc(struct clew__answer *answer);

/* ---- self-metrics (otlp_self.c) -------------------------------------------------------- */

int clew__otlp_metrics_start(const struct clew__settings *settings, struct clew__batcher *batcher);
void clew__otlp_metrics_observe(const struct clew__answer *answer, enum clew__verdict verdict);

#endif
