/* SPDX-License-Identifier: Apache-2.0
 *
 * What a collector may say. The first byte chooses: bodies as protobuf or JSON,
 * headers and message of gRPC, or the frames of an HTTP/2 peer. Nothing is
 * counted twice or made up, what is kept is bounded, and whatever a peer sends,
 * what we send is a whole number of frames with the body's bytes in order.
 */
#include <exporters_priv.h>
#include <h2_session.h>
#include <otlp_priv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS 100u
#define BODY_BYTES 70000u /* more than the windows are at first */
#define PIECES 50u
#define REQUESTS_MAX 4u

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_answers: %s\n", what);
        abort();
    }
}

/* ---- answers ------------------------------------------------------------------------------- */

static void check(const struct clew__answer *answer, enum clew__verdict verdict)
{
    must(verdict <= CLEW__PERMANENT, "no verdict");
    must(answer->rejected <= RECORDS, "more than there were");
    must(strnlen(answer->reason, sizeof(answer->reason)) < sizeof(answer->reason), "no end");
    for (const char *p = answer->reason; *p; p++)
        must((unsigned char)*p >= 0x20, "a control");
    must(answer->retry_after_ns <= UINT64_C(86400000000000), "more than a day");
}

static void judge_http(const unsigned char *data, size_t size, bool json)
{
    static const unsigned statuses[] = {200, 400, 429, 500};
    struct clew__answer answer = {.status = size ? statuses[*data % 4] : 200,
                                  .body = size ? (const char *)data + 1 : "",
                                  .len = size ? size - 1 : 0,
                                  .records = RECORDS,
                                  .code = -1};

    check(&answer, json ? clew__otlp_judge_json(&answer) : clew__otlp_judge_protobuf(&answer));
}

/* Headers, a NUL, the message. */
static void judge_grpc(const unsigned char *data, size_t size)
{
    const unsigned char *end = size ? memchr(data, '\0', size) : NULL;
    size_t headers = end ? (size_t)(end - data) : size;
    struct clew__answer answer = {.status = 200,
                                  .headers = (const char *)data,
                                  .headers_len = headers,
                                  .body = end ? (const char *)end + 1 : "",
                                  .len = end ? size - headers - 1 : 0,
                                  .records = RECORDS,
                                  .code = -1};
    enum clew__verdict verdict = clew__otlp_judge_grpc(&answer);

    check(&answer, verdict);
    must((verdict == CLEW__DONE) == (answer.code == 0), "done without OK");
}

/* ---- frames ------------------------------------------------------------------------------------
 */

/* What we wrote, and how far it was looked at. */
struct written {
    struct clew__buf bytes;
    size_t at;
    uint32_t stream;
    size_t body; /* of that stream */
};

static char body_bytes[BODY_BYTES];

static void check_data(struct written *w, const unsigned char *frame, size_t len, uint32_t stream)
{
    if (stream != w->stream)
        w->body = 0;
    w->stream = stream;
    must(len <= BODY_BYTES - w->body, "more than the body");
    must(memcmp(frame + 9, body_bytes + w->body, len) == 0, "other bytes than the body's");
    w->body += len;
    must(!(frame[4] & 1) || w->body == BODY_BYTES, "ended early");
}

static void check_frames(struct written *w)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    if (w->at == 0 && w->bytes.len >= 24) {
        must(memcmp(w->bytes.data, preface, 24) == 0, "no preface");
        w->at = 24;
    }
    while (w->at >= 24 && w->bytes.len - w->at >= 9) {
        const unsigned char *f = (const unsigned char *)w->bytes.data + w->at;
        size_t len = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        uint32_t stream = (uint32_t)f[5] << 24 | (uint32_t)f[6] << 16 | (uint32_t)f[7] << 8 | f[8];

        must(len <= 256u << 10, "a frame that is too long");
        if (w->bytes.len - w->at - 9 < len)
            break;
        must(f[3] < 10, "no such frame");
        if (f[3] == 0)
            check_data(w, f, len, stream);
        w->at += 9 + len;
    }
}

/* Writes in steps of at most `most` bytes. */
static void write_some(struct clew__h2 *h2, struct written *w, size_t most, unsigned steps)
{
    while (steps-- > 0) {
        size_t n, left = most, done = 0;
        struct iovec *runs = clew__h2_output(h2, &n);

        for (size_t i = 0; i < n && left > 0; i++) {
            size_t now = runs[i].iov_len < left ? runs[i].iov_len : left;

            must(now > 0, "an empty run");
            clew__buf_add(&w->bytes, runs[i].iov_base, now);
            left -= now;
            done += now;
        }
        if (done == 0)
            break;
        clew__h2_written(h2, done);
    }
    if (!w->bytes.failed)
        check_frames(w);
}

static void begin(struct clew__h2 *h2, struct clew__exchange *x)
{
    static const nghttp2_nv headers[] = {
        {(uint8_t *)":method", (uint8_t *)"POST", 7, 4, NGHTTP2_NV_FLAG_NONE},
        {(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, NGHTTP2_NV_FLAG_NONE},
        {(uint8_t *)":path", (uint8_t *)"/", 5, 1, NGHTTP2_NV_FLAG_NONE},
        {(uint8_t *)":authority", (uint8_t *)"a", 10, 1, NGHTTP2_NV_FLAG_NONE},
    };

    clew__exchange_begin(x);
    must(clew__h2_request(h2, headers, 4, x), "no request on an open connection");
}

static void make_body(struct clew__exchange *x)
{
    size_t piece = BODY_BYTES / PIECES;

    for (size_t i = 0; i < sizeof(body_bytes); i++)
        body_bytes[i] = (char)(i * 31 + i / 251);
    for (size_t i = 0; i < BODY_BYTES; i += piece)
        clew__body_add(&x->body, body_bytes + i, piece);
    must(clew__body_finish(&x->body) && x->body.len == BODY_BYTES, "no body");
}

static void check_end(const struct clew__exchange *x)
{
    must(x->status < 1000, "no status");
    must(x->status || x->trouble[0], "no answer, and no reason");
    must(x->headers.len <= 16384 && x->answer.len <= 65536, "keeps too much");
    must(x->too_long || x->answer_len <= 4u << 20, "takes too much");
    must(x->retry_after_ns <= UINT64_C(86400000000000), "more than a day");
}

/* Each step: a byte for how much is written before it, one for how much is read. */
static void exchange_frames(const unsigned char *data, size_t size)
{
    struct written w = {.at = 0};
    struct clew__h2 *h2 = clew__h2_new();
    struct clew__exchange x;
    unsigned requests = 1;

    must(h2 != NULL, "no memory");
    clew__buf_init(&w.bytes, 1u << 20);
    clew__exchange_init(&x, 1000);
    make_body(&x);
    begin(h2, &x);
    while (size >= 2 && !clew__h2_is_over(h2)) {
        size_t n = (size_t)data[1] + 1;

        write_some(h2, &w, (size_t)data[0] * data[0] + 1, 1 + data[0] % 8);
        data += 2;
        size -= 2;
        if (n > size)
            n = size;
        clew__h2_read(h2, data, n);
        data += n;
        size -= n;
        if (h2->x)
            continue;
        check_end(&x);
        if (!clew__h2_is_open(h2) || requests++ == REQUESTS_MAX)
            break;
        begin(h2, &x);
    }
    if (h2->x)
        write_some(h2, &w, BODY_BYTES, 100);
    (void)clew__h2_free(h2);
    clew__exchange_done(&x);
    clew__buf_done(&w.bytes);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] & 3) {
    case 0:
        exchange_frames(data + 1, size - 1);
        break;
    case 1:
        judge_http(data + 1, size - 1, false);
        break;
    case 2:
        judge_http(data + 1, size - 1, true);
        break;
    case 3:
        judge_grpc(data + 1, size - 1);
        break;
    }
    return 0;
}
