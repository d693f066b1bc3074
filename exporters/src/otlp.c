/* SPDX-License-Identifier: Apache-2.0
 *
 * The OTLP exporter for spans: the sink, and for each protocol how a batch
 * becomes a request (OTLP specification, "OTLP/HTTP" and "OTLP/gRPC").
 */
#include "exporters_priv.h"
#include "otlp_priv.h"

#include <errno.h>
#include <stdio.h>
#include <zlib.h>

#define GRPC_PREFIX_BYTES 5u

static const struct {
    const char *content_type; /* headers */
    void (*append)(struct clew__buf *out, const struct clew_span_record *span);
    bool (*encode)(const struct clew__batch *batch, struct clew__body *ret_body);
    enum clew__verdict (*judge)(struct clew__answer *answer);
} protocols[] = {
    [CLEW__OTLP_HTTP_PROTOBUF] = {"Content-Type: application/x-protobuf\n",
                                  clew__otlp_protobuf_append, clew__otlp_protobuf_encode,
                                  clew__otlp_judge_protobuf},
    [CLEW__OTLP_HTTP_JSON] = {"Content-Type: application/json\n", clew__otlp_json_append,
                              clew__otlp_json_encode, clew__otlp_judge_json},
    [CLEW__OTLP_GRPC] = {"Content-Type: application/grpc\nte: trailers\n",
                         clew__otlp_protobuf_append, clew__otlp_protobuf_encode,
                         clew__otlp_judge_grpc},
};

static const struct clew__settings *settings;
static struct clew__batcher batcher;
static struct clew__destination destination;
static char headers[CLEW__OTLP_HEADERS_BYTES];

/* ---- requests -------------------------------------------------------------------------- */

static bool compress_pieces(z_stream *z, struct clew__body *plain)
{
    for (size_t i = 0; i < plain->n; i++) {
        const struct clew__piece *piece = &plain->pieces[i];
        const char *from = piece->borrowed ? piece->borrowed : plain->own.data + piece->at;

        z->next_in = (Bytef *)from;
        z->avail_in = (uInt)piece->len;
        if (deflate(z, Z_NO_FLUSH) != Z_OK)
            return false;
    }
    return deflate(z, Z_FINISH) == Z_STREAM_END;
}

static bool compress_gzip(struct clew__body *plain, struct clew__buf *ret)
{
    z_stream z = {.next_in = NULL};
    bool good = false;
    char *room;
    uLong bound;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    bound = deflateBound(&z, (uLong)plain->len);
    room = clew__buf_room(ret, bound);
    if (room) {
        z.next_out = (Bytef *)room;
        z.avail_out = (uInt)bound;
        good = compress_pieces(&z, plain);
        ret->len += z.total_out;
    }
    (void)deflateEnd(&z);
    return good;
}

/* gRPC's length-prefixed message: whether it is compressed, its length. */
static void set_grpc_prefix(struct clew__body *body, bool compressed)
{
    size_t len = body->len - GRPC_PREFIX_BYTES;
    char *p = body->own.data;

    p[0] = compressed;
    for (unsigned i = 0; i < 4; i++)
        p[1 + i] = (char)(len >> (24 - 8 * i));
}

bool clew__otlp_encode(const struct clew__otlp_settings *o, const struct clew__batch *batch,
                       struct clew__body *ret_body)
{
    static struct clew__body plain = {.own = {.max = 64u << 20}}; /* delivery thread */
    bool grpc = o->protocol == CLEW__OTLP_GRPC, gzip = o->gzip;
    struct clew__body *body = gzip ? &plain : ret_body;
    bool good;

    if (grpc)
        clew__buf_add(&ret_body->own, "\0\0\0\0", GRPC_PREFIX_BYTES);
    good = protocols[o->protocol].encode(batch, body);
    if (gzip) {
        good = good && compress_gzip(&plain, &ret_body->own) && clew__body_finish(ret_body);
        clew__body_reset(&plain);
    }
    if (good && grpc)
        set_grpc_prefix(ret_body, gzip);
    return good;
}

static bool encode(const struct clew__batch *batch, struct clew__body *ret_body)
{
    return clew__otlp_encode(&settings->otlp, batch, ret_body);
}

int clew__otlp_destination(const struct clew__otlp_settings *o, char headers_[],
                           struct clew__destination *ret)
{
    bool grpc = o->protocol == CLEW__OTLP_GRPC;
    char timeout[48] = "";
    int n;

    if (grpc)
        (void)snprintf(timeout, sizeof(timeout), "grpc-timeout: %ldm\n", o->timeout_ms);
    n = snprintf(headers_, CLEW__OTLP_HEADERS_BYTES, "%s%s%s%s",
                 protocols[o->protocol].content_type, timeout,
                 !o->gzip ? ""
                 : grpc   ? "grpc-encoding: gzip\n"
                          : "Content-Encoding: gzip\n",
                 o->headers);
    if (n < 0 || n >= (int)CLEW__OTLP_HEADERS_BYTES)
        return clew_set_error(-EINVAL, "OTEL_EXPORTER_OTLP_HEADERS: too long");
    *ret = (struct clew__destination){.url = o->url,
                                      .headers = headers_,
                                      .certificate = o->certificate,
                                      .client_certificate = o->client_certificate,
                                      .client_key = o->client_key,
                                      .http2 = grpc,
                                      .timeout_ms = o->timeout_ms,
                                      .judge = protocols[o->protocol].judge};
    return 0;
}

/* ---- the sink ----------------------------------------------------------------------------- */

static void take_span(void *self, const struct clew_span_record *span)
{
    (void)self;
    protocols[settings->otlp.protocol].append(clew__batcher_begin(&batcher), span);
    clew__batcher_commit(&batcher, clew__otlp_group(span->scope ? span->scope : ""));
}

static int set_destination(void)
{
    const struct clew__settings *s = settings;
    int err = clew__otlp_destination(&s->otlp, headers, &destination);

    clew__batcher_init(&batcher,
                       &(struct clew__limits){.batch_bytes = CLEW__OTLP_BATCH_BYTES,
                                              .batch_records = s->bsp_batch,
                                              .due_records = s->bsp_batch_due,
                                              .linger_ns = (uint64_t)s->bsp_delay_ms * 1000000,
                                              .queue_bytes = s->queue_bytes,
                                              .queue_records = s->bsp_queue});
    destination.name = "otlp_traces";
    destination.batcher = &batcher;
    destination.give_up_ns = (uint64_t)s->bsp_timeout_ms * 1000000;
    destination.encode = encode;
    destination.observe = clew__otlp_metrics_observe;
    return err;
}

int clew__otlp_add(const struct clew__settings *s)
{
    static const struct clew_sink_ops ops = {
        "otlp", NULL, take_span, clew__delivery_batch_end, NULL, CLEW_LEVEL_TRACE};
    static bool sink_is_added; /* by a start that failed later */
    int err;

    settings = s;
    err = set_destination();
    if (err < 0)
        return err;
    err = clew__otlp_metrics_start(s, &batcher);
    if (err == 0)
        err = clew__delivery_add(&destination);
    if (err == 0 && !sink_is_added) {
        err = clew_sink_add(&ops, &destination);
        sink_is_added = err == 0;
    }
    return err;
}
