/* SPDX-License-Identifier: Apache-2.0
 *
 * One destination: its requests, what their answers lead to, and what is told
 * and counted of it. Waiting to try again grows exponentially with full jitter,
 * and is never shorter than the far side asked for. A batch that a few 500s did
 * not take is given up, because some never heal; for an outage it waits as long
 * as the queue has room behind it. A batch that is refused as a whole goes again
 * in halves, a bounded number of times, so that one record that the far side
 * does not like costs only itself.
 */
#include "delivery_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define BACKOFF_FIRST_MS 500u
#define BACKOFF_MAX_MS 60000u
#define FEW 8u
#define SPLITS_MAX 64u
#define TELL_EVERY_NS UINT64_C(10000000000)

/* ---- one request ------------------------------------------------------------------ */

/* false: not now. */
static bool hand_over(struct clew__line *line, CURLM *multi)
{
    if (!line->h2c)
        return clew__curl_send(&line->curl, multi);
    clew__h2c_send(line->h2c);
    return true;
}

void clew__line_send(struct clew__line *line, CURLM *multi)
{
    clew__exchange_begin(&line->x);
    line->sent_at_ns = clew__now_ns();
    if (hand_over(line, multi)) {
        line->in_flight = true;
        if (line->attempts++ == 0)
            line->first_try_ns = line->sent_at_ns;
    } else {
        line->retry_at_ns = line->sent_at_ns + UINT64_C(1000000000);
    }
}

static void count_lost(struct clew__line *line, struct clew_series *as, size_t n)
{
    if (n == 0)
        return;
    clew_series_add(as, (double)n);
    atomic_fetch_add(&line->lost, n);
}

static void forget_body(struct clew__line *line)
{
    clew__body_reset(&line->x.body);
    line->attempts = line->doubtful = 0;
    line->retry_at_ns = line->asked_ns = 0;
}

/* The batch is done with, whatever became of it. */
static void end_batch(struct clew__line *line)
{
    struct clew__batch *batch = line->batch;

    line->batch = batch->next;
    batch->next = NULL;
    if (!line->batch)
        line->splits = 0;
    clew__batcher_recycle(line->to->batcher, batch);
    forget_body(line);
}

void clew__line_send_next(struct clew__line *line, CURLM *multi, bool force, uint64_t *ret_wait_ns)
{
    if (!line->batch) {
        line->batch = clew__batcher_take(line->to->batcher, force, ret_wait_ns);
        if (!line->batch)
            return;
    }
    if (line->to->encode(line->batch, &line->x.body) && clew__body_finish(&line->x.body) &&
        line->x.body.len) {
        clew__line_send(line, multi);
    } else {
        count_lost(line, line->failed, line->batch->n);
        end_batch(line);
        *ret_wait_ns = 0;
    }
}

static uint64_t random_below(uint64_t n)
{
    uint64_t r;

    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != (ssize_t)sizeof(r))
        r = clew__now_ns() * UINT64_C(0x9E3779B97F4A7C15);
    return n ? r % n : 0;
}

static uint64_t backoff_ns(const struct clew__line *line)
{
    uint64_t ms = BACKOFF_FIRST_MS;

    for (unsigned i = 1; i < line->attempts && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    return (ms / 10 + random_below(ms - ms / 10)) * 1000000;
}

static void try_later(struct clew__line *line, uint64_t asked_ns)
{
    uint64_t now = clew__now_ns(), backoff = backoff_ns(line);

    clew_series_add(line->retries, 1);
    line->asked_ns = asked_ns ? now + asked_ns : 0;
    line->retry_at_ns = now + (asked_ns > backoff ? asked_ns : backoff);
}

/* Says why things go wrong, at most every ten seconds: these are log lines and
 * go the same way as all others. */
static void tell(struct clew__line *line, const struct clew__answer *answer, const char *what)
{
    uint64_t now = clew__now_ns();

    if (line->told_at_ns && now - line->told_at_ns < TELL_EVERY_NS)
        return;
    line->told_at_ns = now;
    clew_warn("export failed", clew_kv("destination", line->to->name), clew_kv("what", what),
              clew_kv("status", answer->status), clew_kv("reason", answer->reason),
              clew_kv("records", answer->records));
}

/* The same for records that found the queue full. */
void clew__line_tell_dropped(struct clew__line *line)
{
    uint64_t now = clew__now_ns(), dropped = atomic_load(&line->to->batcher->dropped);

    if (dropped == line->told_dropped ||
        (line->told_dropped_at_ns && now - line->told_dropped_at_ns < TELL_EVERY_NS))
        return;
    clew_warn("export queue is full", clew_kv("destination", line->to->name),
              clew_kv("dropped", dropped - line->told_dropped), clew_kv("dropped_total", dropped));
    line->told_dropped = dropped;
    line->told_dropped_at_ns = now;
}

/* Whether a header is a protocol's own and no secret. */
static bool is_ours(const char *header)
{
    return strncmp(header, "Content-", 8) == 0 || strncmp(header, "grpc-", 5) == 0 ||
           strncmp(header, "te:", 3) == 0;
}

static bool has(const struct clew__buf *text, const char *bytes, size_t len)
{
    return text->len && memmem(text->data, text->len, bytes, len);
}

/* Whether the far side's answer has the value of one of our headers in it, as a
 * server that echoes requests does. */
static bool repeats_secret(const struct clew__line *line)
{
    const char *header = line->to->headers;

    while (*header) {
        size_t len = strcspn(header, "\n");
        const char *last = memrchr(header, ' ', len); /* "Bearer TOKEN": the token */
        size_t n = last ? len - (size_t)(last + 1 - header) : 0;

        if (n >= 4 && !is_ours(header) &&
            (has(&line->x.answer, last + 1, n) || has(&line->x.headers, last + 1, n)))
            return true;
        header += len;
        header += *header == '\n';
    }
    return false;
}

static enum clew__verdict judge(struct clew__line *line, struct clew__answer *answer)
{
    enum clew__verdict verdict;

    if (answer->status) {
        verdict = line->to->judge(answer);
    } else {
        (void)snprintf(answer->reason, sizeof(answer->reason), "%s", line->x.trouble);
        verdict = line->x.too_long ? CLEW__PERMANENT : CLEW__RETRY;
    }
    if (verdict == CLEW__RETRY_FEW)
        verdict = ++line->doubtful < FEW ? CLEW__RETRY : CLEW__PERMANENT;
    if (verdict == CLEW__RETRY && line->to->give_up_ns &&
        clew__now_ns() - line->first_try_ns >= line->to->give_up_ns)
        verdict = CLEW__PERMANENT;
    if (verdict == CLEW__SPLIT && (line->splits == SPLITS_MAX || !clew__batch_split(line->batch)))
        verdict = CLEW__PERMANENT;
    if (answer->reason[0] && repeats_secret(line))
        (void)snprintf(answer->reason, sizeof(answer->reason),
                       "(left out: the answer repeats a credential)");
    return verdict;
}

void clew__line_finish(struct clew__line *line)
{
    struct clew__answer answer = {.status = line->x.status,
                                  .headers = line->x.headers.data,
                                  .headers_len = line->x.headers.len,
                                  .body = line->x.answer.len ? line->x.answer.data : "",
                                  .len = line->x.answer.len,
                                  .records = line->batch->n,
                                  .duration_ns = clew__now_ns() - line->sent_at_ns,
                                  .retry_after_ns = line->x.retry_after_ns,
                                  .code = -1};
    enum clew__verdict verdict;

    line->in_flight = false;
    verdict = judge(line, &answer);
    if (line->to->observe)
        line->to->observe(&answer, verdict);
    switch (verdict) {
    case CLEW__DONE:
        clew_series_add(line->accepted, (double)(answer.records - answer.rejected));
        count_lost(line, line->rejected, answer.rejected);
        if (answer.rejected)
            tell(line, &answer, "records were rejected");
        else if (answer.reason[0])
            tell(line, &answer, "accepted with a warning");
        end_batch(line);
        break;
    case CLEW__RETRY:
    case CLEW__RETRY_FEW:
        try_later(line, answer.retry_after_ns);
        tell(line, &answer, "will be tried again");
        break;
    case CLEW__SPLIT:
        line->splits++;
        forget_body(line);
        break;
    case CLEW__PERMANENT:
        count_lost(line, line->rejected, answer.records);
        tell(line, &answer, "given up");
        end_batch(line);
        break;
    }
}

void clew__line_drop(struct clew__line *line, CURLM *multi)
{
    struct clew__batcher *batcher = line->to->batcher;
    struct clew__batch *batch;
    uint64_t wait;

    if (line->in_flight && line->h2c)
        clew__h2c_cancel(line->h2c);
    else if (line->in_flight)
        clew__curl_cancel(&line->curl, multi);
    line->in_flight = false;
    while (line->batch) {
        atomic_fetch_add(&batcher->dropped, line->batch->n);
        end_batch(line);
    }
    while ((batch = clew__batcher_take(batcher, true, &wait))) {
        atomic_fetch_add(&batcher->dropped, batch->n);
        clew__batcher_recycle(batcher, batch);
    }
}

/* ---- opening and closing ---------------------------------------------------------------- */

static double read_queue(void *arg)
{
    const struct clew__batcher *batcher = arg;

    return (double)atomic_load(&batcher->queued);
}

static double read_dropped(void *arg)
{
    const struct clew__batcher *batcher = arg;

    return (double)atomic_load(&batcher->dropped);
}

static void add_metrics(struct clew__line *line)
{
    const char *name = line->to->name;
    struct clew_metric *records =
        clew_counter("clew_export_records_total",
                     "Log lines and spans exported, by destination and what became of them.",
                     (const char *const[]){"destination", "outcome", NULL});
    struct clew_metric *retries =
        clew_counter("clew_export_retries_total", "Requests that have to be tried again.",
                     (const char *const[]){"destination", NULL});
    struct clew_metric *queue =
        clew_gauge("clew_export_queue", "Log lines and spans that wait for their turn.",
                   (const char *const[]){"destination", NULL});

    line->accepted = clew_metric_series(records, (const char *const[]){name, "accepted", NULL});
    line->rejected = clew_metric_series(records, (const char *const[]){name, "rejected", NULL});
    line->failed = clew_metric_series(records, (const char *const[]){name, "failed", NULL});
    (void)clew_series_callback(
        clew_metric_series(records, (const char *const[]){name, "dropped", NULL}), read_dropped,
        line->to->batcher);
    line->retries = clew_metric_series(retries, (const char *const[]){name, NULL});
    (void)clew_series_callback(clew_metric_series(queue, (const char *const[]){name, NULL}),
                               read_queue, line->to->batcher);
}

static bool is_h2c(const struct clew__destination *to)
{
    return to->http2 && strncasecmp(to->url, "http:", 5) == 0;
}

int clew__line_open(struct clew__line *line, const struct clew__destination *to)
{
    bool good;

    *line = (struct clew__line){.to = to};
    clew__exchange_init(&line->x, to->timeout_ms);
    good = is_h2c(to) ? (line->h2c = clew__h2c_new(to, &line->x)) != NULL
                      : clew__curl_open(&line->curl, to, &line->x, line);
    if (!good)
        return clew_set_error(-ENOMEM, "%s: no memory, or a bad URL, or headers too long",
                              to->name);
    add_metrics(line);
    return 0;
}

bool clew__line_reopen(struct clew__line *line)
{
    const struct clew__line old = *line;

    *line = (struct clew__line){.to = old.to,
                                .curl.headers = old.curl.headers,
                                .accepted = old.accepted,
                                .rejected = old.rejected,
                                .failed = old.failed,
                                .retries = old.retries};
    clew__exchange_init(&line->x, old.to->timeout_ms);
    if (is_h2c(old.to))
        return (line->h2c = clew__h2c_new(old.to, &line->x)) != NULL;
    return clew__curl_reopen(&line->curl, old.to, &line->x, line);
}

void clew__line_close(struct clew__line *line)
{
    line->h2c = clew__h2c_free(line->h2c);
    clew__curl_close(&line->curl);
    clew__exchange_done(&line->x);
}
