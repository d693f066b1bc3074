/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines to Loki: logproto.PushRequest in a snappy block (Loki HTTP API, "Ingest
 * logs"). One stream for the process: its labels are the service and what
 * CLEW_LOKI_LABELS adds; the ids and the level are structured metadata, which
 * Loki finds without parsing lines and without a stream for each value.
 *
 * The collector appends Entry messages, the delivery thread wraps and
 * compresses them.
 */
#include "exporters_priv.h"
#include "protobuf_write.h"

#include <json.h>

#include <ctype.h>
#include <errno.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES 900000u /* Loki's effective limit is 4 MiB decoded; 1 MiB is customary */
#define LINE_MAX_BYTES 262144u
#define LINGER_NS UINT64_C(500000000)

static const struct clew__settings *settings;
static struct clew__batcher batcher;
static struct clew__destination destination;
static char headers[CLEW__SECRET_MAX + 512];

/* LabelPair{1 name, 2 value} as Entry.structuredMetadata (3). */
static void add_metadata(struct clew__buf *out, const char *name, const char *value, size_t len)
{
    size_t at = clew__pb_begin(out, 3);

    clew__pb_string(out, 1, name);
    clew__pb_bytes(out, 2, value, len);
    clew__pb_end(out, at);
}

static void add_ids(struct clew__buf *out, const struct clew_line *line)
{
    static const uint8_t none[16];
    char text[32];
    size_t n = 0;

    for (const char *level = clew_level_name(line->level); *level && n < sizeof(text); level++)
        text[n++] = (char)tolower((unsigned char)*level);
    add_metadata(out, "level", text, n);
    if (line->request_id[0])
        add_metadata(out, "request_id", line->request_id, strlen(line->request_id));
    if (line->correlation_id[0])
        add_metadata(out, "correlation_id", line->correlation_id, strlen(line->correlation_id));
    if (memcmp(line->trace_id, none, 16) != 0) {
        clew__hex(text, line->trace_id, 16);
        add_metadata(out, "trace_id", text, 32);
    }
    if (line->span_id) {
        clew__hex(text, &line->span_id, 8);
        add_metadata(out, "span_id", text, 16);
    }
}

/* Stream.entries (2): Entry{1 timestamp{1 seconds, 2 nanos}, 2 line, 3 metadata} */
void clew__loki_append(struct clew__buf *out, const struct clew_line *line)
{
    size_t entry = clew__pb_begin(out, 2), time = clew__pb_begin(out, 1);

    clew__pb_uint(out, 1, line->time_ns / 1000000000u);
    clew__pb_uint(out, 2, line->time_ns % 1000000000u);
    clew__pb_end(out, time);
    clew__pb_bytes(out, 2, line->json, clew__utf8_cut(line->json, line->json_len, LINE_MAX_BYTES));
    add_ids(out, line);
    clew__pb_end(out, entry);
}

static void add_labels(struct clew__buf *out)
{
    struct clew__buf text;

    clew__buf_init(&text, 8192);
    clew__buf_adds(&text, "{service=");
    clew__json_string(&text, clew_service_name(), strlen(clew_service_name()));
    clew__buf_adds(&text, settings ? settings->loki_labels : "");
    clew__buf_addc(&text, '}');
    if (text.failed)
        out->failed = true;
    else
        clew__pb_bytes(out, 1, text.data, text.len);
    clew__buf_done(&text);
}

bool clew__loki_encode(const struct clew__batch *batch, struct clew__body *ret_body)
{
    struct clew__buf plain;
    size_t stream, len;
    char *room;
    bool good = false;

    clew__buf_init(&plain, batch->records.len + 16384);
    stream = clew__pb_begin(&plain, 1);
    add_labels(&plain);
    clew__buf_add(&plain, batch->records.data, batch->records.len);
    clew__pb_end(&plain, stream);
    len = snappy_max_compressed_length(plain.len);
    room = plain.failed ? NULL : clew__buf_room(&ret_body->own, len);
    if (room && snappy_compress(plain.data, plain.len, room, &len) == SNAPPY_OK) {
        ret_body->own.len += len;
        good = true;
    }
    clew__buf_done(&plain);
    return good;
}

/* Loki says "…, total ignored: N out of M" when it kept the others; without such
 * words all are counted as refused. */
static size_t rejected_lines(const struct clew__answer *answer)
{
    static const char words[] = "total ignored: ";
    const char *at = memmem(answer->body, answer->len, words, sizeof(words) - 1);
    const char *end = answer->body + answer->len;
    size_t n = 0;

    if (!at)
        return answer->records;
    for (at += sizeof(words) - 1; at < end && isdigit((unsigned char)*at); at++)
        n = n > answer->records ? n : n * 10 + (size_t)(*at - '0');
    return n && n < answer->records ? n : answer->records;
}

enum clew__verdict clew__loki_judge(struct clew__answer *answer)
{
    if (answer->status >= 200 && answer->status < 300)
        return CLEW__DONE;
    clew__answer_reason(answer, answer->body, answer->len);
    switch (answer->status) {
    case 400:
        /* Some or all lines were refused, the others are stored: never again. */
        answer->rejected = rejected_lines(answer);
        return CLEW__DONE;
    case 429:
    case 502:
    case 503:
    case 504:
        return CLEW__RETRY;
    default:
        return answer->status >= 500 ? CLEW__RETRY_FEW : CLEW__PERMANENT;
    }
}

static void take_line(void *self, const struct clew_line *line)
{
    (void)self;
    clew__loki_append(clew__batcher_begin(&batcher), line);
    clew__batcher_commit(&batcher, 0);
}

int clew__loki_add(const struct clew__settings *s)
{
    static const struct clew_sink_ops ops = {
        "loki", take_line, NULL, clew__delivery_batch_end, NULL, CLEW_LEVEL_TRACE};
    static bool sink_is_added; /* by a start that failed later */
    int n, err;

    settings = s;
    n = snprintf(headers, sizeof(headers),
                 "Content-Type: application/x-protobuf\nContent-Encoding: snappy\n%s%s%s%s%s%s",
                 s->loki_tenant[0] ? "X-Scope-OrgID: " : "", s->loki_tenant,
                 s->loki_tenant[0] ? "\n" : "", s->loki_authorization[0] ? "Authorization: " : "",
                 s->loki_authorization, s->loki_authorization[0] ? "\n" : "");
    if (n < 0 || (size_t)n >= sizeof(headers))
        return clew_set_error(-EINVAL, "Loki: tenant and credentials are too long");
    clew__batcher_init(&batcher, &(struct clew__limits){.batch_bytes = BATCH_BYTES,
                                                        .linger_ns = LINGER_NS,
                                                        .queue_bytes = s->queue_bytes});
    destination = (struct clew__destination){.name = "loki",
                                             .batcher = &batcher,
                                             .url = s->loki_url,
                                             .headers = headers,
                                             .certificate = "",
                                             .client_certificate = "",
                                             .client_key = "",
                                             .timeout_ms = 10000,
                                             .encode = clew__loki_encode,
                                             .judge = clew__loki_judge};
    err = clew__delivery_add(&destination);
    if (err == 0 && !sink_is_added) {
        err = clew_sink_add(&ops, &destination);
        sink_is_added = err == 0;
    }
    return err;
}
