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
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX (64u << 20) /* OTLP specification: of requests … */
#define ANSWER_MAX (4u << 20)   /* … and of answers */
#define ANSWER_KEPT 65536u
#define HEADERS_KEPT 16384u
#define SEND_BUFFER_BYTES (256L << 10)
#define BACKOFF_FIRST_MS 500u
#define BACKOFF_MAX_MS 60000u
#define RETRY_AFTER_MAX_S 86400
#define FEW 8u
#define SPLITS_MAX 64u
#define TELL_EVERY_NS UINT64_C(10000000000)

/* Of the connections, plus 1: a fork's child closes its copies, or the far side
 * would not see its parent hang up. */
static _Atomic int sockets[2 * CLEW__DESTINATIONS_MAX];
size_t clew__line_bytes_given;

/* ---- what curl calls ----------------------------------------------------------------- */

static size_t give_body(char *data, size_t size, size_t n, void *arg)
{
    size_t now = clew__body_read(&((struct clew__line *)arg)->body, data, size * n);

    clew__line_bytes_given += now;
    return now;
}

/* curl begins again only from the start: a connection that was kept was dead. */
static int seek_body(void *arg, curl_off_t offset, int origin)
{
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    clew__body_rewind(&((struct clew__line *)arg)->body);
    return CURL_SEEKFUNC_OK;
}

static void keep(struct clew__buf *to, const char *data, size_t n)
{
    size_t room = to->max - to->len;

    clew__buf_add(to, data, n < room ? n : room);
}

/* Keeps the beginning of the answer, enough for its reason. */
static size_t take_answer(char *data, size_t size, size_t n, void *arg)
{
    struct clew__line *line = arg;

    line->answer_len += size * n;
    if (line->answer_len > ANSWER_MAX)
        return 0;
    keep(&line->answer, data, size * n);
    return size * n;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    keep(&((struct clew__line *)arg)->answer_headers, data, size * n);
    return size * n;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)arg;
    (void)purpose;
    for (size_t i = 0; fd >= 0 && i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        int none = 0;

        if (atomic_compare_exchange_strong(&sockets[i], &none, fd + 1))
            break;
    }
    return fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        int it = fd + 1;

        if (atomic_compare_exchange_strong(&sockets[i], &it, 0))
            break;
    }
    return close(fd);
}

/* ---- one request ------------------------------------------------------------------ */

void clew__line_send(struct clew__line *line, CURLM *multi)
{
    clew__buf_reset(&line->answer);
    clew__buf_reset(&line->answer_headers);
    line->answer_len = 0;
    clew__body_rewind(&line->body);
    curl_easy_setopt(line->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)line->body.len);
    line->sent_at_ns = clew__now_ns();
    if (curl_multi_add_handle(multi, line->easy) == CURLM_OK) {
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
    clew__body_reset(&line->body);
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
    if (line->to->encode(line->batch, &line->body) && clew__body_finish(&line->body) &&
        line->body.len) {
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
            (has(&line->answer, last + 1, n) || has(&line->answer_headers, last + 1, n)))
            return true;
        header += len;
        header += *header == '\n';
    }
    return false;
}

static enum clew__verdict judge(struct clew__line *line, CURLcode code, struct clew__answer *answer)
{
    enum clew__verdict verdict;

    if (answer->status) {
        verdict = line->to->judge(answer);
    } else if (line->answer_len > ANSWER_MAX) {
        (void)snprintf(answer->reason, sizeof(answer->reason), "the answer is too long");
        verdict = CLEW__PERMANENT;
    } else {
        /* curl's own words name no URL and no header */
        (void)snprintf(answer->reason, sizeof(answer->reason), "%s", curl_easy_strerror(code));
        verdict = CLEW__RETRY;
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

void clew__line_finish(struct clew__line *line, CURLM *multi, CURLcode code)
{
    struct clew__answer answer = {.records = line->batch->n,
                                  .headers = line->answer_headers.data,
                                  .headers_len = line->answer_headers.len,
                                  .body = line->answer.len ? line->answer.data : "",
                                  .len = line->answer.len,
                                  .code = -1};
    enum clew__verdict verdict;
    curl_off_t seconds = 0;
    long status = 0;

    line->in_flight = false;
    (void)curl_multi_remove_handle(multi, line->easy);
    (void)curl_easy_getinfo(line->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(line->easy, CURLINFO_RETRY_AFTER, &seconds);
    answer.status = code == CURLE_OK ? (unsigned)status : 0;
    answer.duration_ns = clew__now_ns() - line->sent_at_ns;
    if (seconds > 0)
        answer.retry_after_ns =
            (uint64_t)(seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000000000u;
    verdict = judge(line, code, &answer);
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

    if (line->in_flight)
        (void)curl_multi_remove_handle(multi, line->easy);
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

static bool set_headers(struct clew__line *line)
{
    char copy[8192], *rest = copy, *header;
    struct curl_slist *longer;

    if (snprintf(copy, sizeof(copy), "%sExpect:\n", line->to->headers) >= (int)sizeof(copy))
        return false;
    while ((header = strsep(&rest, "\n")) && *header) {
        longer = curl_slist_append(line->headers, header);
        if (!longer)
            return false;
        line->headers = longer;
    }
    return true;
}

/* libcurl 7.88, which Debian 12 has, cannot use a connection without TLS a second
 * time for HTTP/2 with prior knowledge; 8.0 can. */
static void set_http2(CURL *easy, bool tls)
{
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     tls ? (long)CURL_HTTP_VERSION_2TLS
                         : (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    if (!tls && curl_version_info(CURLVERSION_NOW)->version_num < 0x080000)
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
}

/* A handle with everything that stays the same; again in the child of a fork. */
static bool open_handle(struct clew__line *line)
{
    const struct clew__destination *to = line->to;
    CURL *easy = line->easy = curl_easy_init();

    if (!easy)
        return false;
    curl_easy_setopt(easy, CURLOPT_URL, to->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, line->headers);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, line);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, line);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, line);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, line);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, line);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* the end waits for no name server */
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, to->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT,
                     "OTel-OTLP-Exporter-C/" CLEW_VERSION " clewline/" CLEW_VERSION);
    if (to->http2)
        set_http2(easy, strncasecmp(to->url, "https:", 6) == 0);
    if (to->certificate[0])
        curl_easy_setopt(easy, CURLOPT_CAINFO, to->certificate);
    if (to->client_certificate[0])
        curl_easy_setopt(easy, CURLOPT_SSLCERT, to->client_certificate);
    if (to->client_key[0])
        curl_easy_setopt(easy, CURLOPT_SSLKEY, to->client_key);
    return true;
}

static void init(struct clew__line *line, const struct clew__destination *to)
{
    *line = (struct clew__line){.to = to};
    clew__body_init(&line->body, REQUEST_MAX);
    clew__buf_init(&line->answer, ANSWER_KEPT);
    clew__buf_init(&line->answer_headers, HEADERS_KEPT);
}

int clew__line_open(struct clew__line *line, const struct clew__destination *to)
{
    init(line, to);
    if (!set_headers(line) || !open_handle(line))
        return clew_set_error(-ENOMEM, "%s: no memory or headers too long", to->name);
    add_metrics(line);
    return 0;
}

bool clew__line_reopen(struct clew__line *line)
{
    struct clew__line old = *line;

    init(line, old.to);
    line->headers = old.headers;
    line->accepted = old.accepted;
    line->rejected = old.rejected;
    line->failed = old.failed;
    line->retries = old.retries;
    return open_handle(line);
}

void clew__line_close(struct clew__line *line)
{
    curl_easy_cleanup(line->easy);
    curl_slist_free_all(line->headers);
    clew__body_done(&line->body);
    clew__buf_done(&line->answer);
    clew__buf_done(&line->answer_headers);
}

void clew__line_forget_sockets(void)
{
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        int fd = atomic_exchange(&sockets[i], 0) - 1;

        if (fd >= 0)
            close(fd);
    }
}
