/* SPDX-License-Identifier: Apache-2.0
 *
 * The delivery thread. Each destination is a small machine: idle, a request in
 * flight, or waiting to try the same body again. Waiting grows exponentially
 * with full jitter, and is never shorter than the far side asked for. A batch
 * that a few 500s did not take is given up, because some never heal; for an
 * outage it waits as long as the queue has room behind it. A batch that is
 * refused as a whole goes again in halves, a bounded number of times, so that
 * one record that the far side does not like costs only itself.
 */
#include "delivery.h"

#include <clew/metrics.h>

#include "metrics/registry_priv.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESTINATIONS_MAX 4
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
#define GRACE_NS UINT64_C(30000000) /* for the thread to end after its deadline */

struct line {
    const struct clew__destination *to;
    struct curl_slist *headers;
    CURL *easy;
    bool in_flight;
    struct clew__batch *batch; /* being sent; what was split off it behind it */
    struct clew__body body;    /* of that batch; len 0: not made yet */
    unsigned attempts;
    unsigned doubtful; /* of these, answered RETRY_FEW */
    unsigned splits;
    uint64_t first_try_ns;
    uint64_t sent_at_ns;
    uint64_t retry_at_ns;
    uint64_t asked_ns; /* no retry before it: the far side asked for that */
    struct clew__buf answer, answer_headers;
    size_t answer_len; /* all of it */
    uint64_t told_at_ns;
    uint64_t told_dropped, told_dropped_at_ns;
    _Atomic uint64_t lost;
    struct clew_series *accepted, *rejected, *failed, *retries;
};

static struct line lines[DESTINATIONS_MAX];
static size_t nlines;
static CURLM *multi;
static pthread_t thread;
static _Atomic enum { IDLE, RUNNING, FORKED } state;
static _Atomic bool stopping;
static _Atomic uint64_t flush_wanted, stop_at_ns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static uint64_t flush_done; /* under lock */
static bool ended;          /* under lock */
/* Of the connections, plus 1: a fork's child closes its copies, or the far side
 * would not see its parent hang up. */
static _Atomic int sockets[2 * DESTINATIONS_MAX];
static uint64_t lost_before; /* by destinations that are gone */

/* ---- what curl calls ----------------------------------------------------------------- */

static size_t given; /* bytes of bodies, ever */

static size_t give_body(char *data, size_t size, size_t n, void *arg)
{
    size_t now = clew__body_read(&((struct line *)arg)->body, data, size * n);

    given += now;
    return now;
}

/* curl begins again only from the start: a connection that was kept was dead. */
static int seek_body(void *arg, curl_off_t offset, int origin)
{
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    clew__body_rewind(&((struct line *)arg)->body);
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
    struct line *line = arg;

    line->answer_len += size * n;
    if (line->answer_len > ANSWER_MAX)
        return 0;
    keep(&line->answer, data, size * n);
    return size * n;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    keep(&((struct line *)arg)->answer_headers, data, size * n);
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

static void send_body(struct line *line)
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

static void count_lost(struct line *line, struct clew_series *as, size_t n)
{
    if (n == 0)
        return;
    clew_series_add(as, (double)n);
    atomic_fetch_add(&line->lost, n);
}

static void forget_body(struct line *line)
{
    clew__body_reset(&line->body);
    line->attempts = line->doubtful = 0;
    line->retry_at_ns = line->asked_ns = 0;
}

/* The batch is done with, whatever became of it. */
static void end_batch(struct line *line)
{
    struct clew__batch *batch = line->batch;

    line->batch = batch->next;
    batch->next = NULL;
    if (!line->batch)
        line->splits = 0;
    clew__batcher_recycle(line->to->batcher, batch);
    forget_body(line);
}

/* Takes the next batch, if one is due, and sends it. */
static void send_next(struct line *line, bool force, uint64_t *ret_wait_ns)
{
    if (!line->batch) {
        line->batch = clew__batcher_take(line->to->batcher, force, ret_wait_ns);
        if (!line->batch)
            return;
    }
    if (line->to->encode(line->batch, &line->body) && clew__body_finish(&line->body) &&
        line->body.len) {
        send_body(line);
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

static uint64_t backoff_ns(const struct line *line)
{
    uint64_t ms = BACKOFF_FIRST_MS;

    for (unsigned i = 1; i < line->attempts && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    return (ms / 10 + random_below(ms - ms / 10)) * 1000000;
}

static void try_later(struct line *line, uint64_t asked_ns)
{
    uint64_t now = clew__now_ns(), backoff = backoff_ns(line);

    clew_series_add(line->retries, 1);
    line->asked_ns = asked_ns ? now + asked_ns : 0;
    line->retry_at_ns = now + (asked_ns > backoff ? asked_ns : backoff);
}

/* Says why things go wrong, at most every ten seconds: these are log lines and
 * go the same way as all others. */
static void tell(struct line *line, const struct clew__answer *answer, const char *what)
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
static void tell_dropped(struct line *line)
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

/* Whether the far side's answer has the value of one of our headers in it, as a
 * server that echoes requests does. What describes the body is no secret. */
static bool repeats_secret(const struct line *line)
{
    const char *header = line->to->headers;

    while (*header) {
        size_t len = strcspn(header, "\n");
        const char *value = memchr(header, ' ', len);
        const char *last = memrchr(header, ' ', len); /* "Bearer TOKEN": the token */

        if (value && strncmp(header, "Content-", 8) != 0 && strncmp(header, "te:", 3) != 0) {
            size_t n = len - (size_t)(last + 1 - header);

            if (n >= 4 &&
                ((line->answer.len && memmem(line->answer.data, line->answer.len, last + 1, n)) ||
                 (line->answer_headers.len &&
                  memmem(line->answer_headers.data, line->answer_headers.len, last + 1, n))))
                return true;
        }
        header += len;
        header += *header == '\n';
    }
    return false;
}

static enum clew__verdict judge(struct line *line, CURLcode code, struct clew__answer *answer)
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
    if (repeats_secret(line))
        (void)snprintf(answer->reason, sizeof(answer->reason),
                       "(left out: the answer repeats a credential)");
    return verdict;
}

static void finish(struct line *line, CURLcode code)
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

/* ---- the thread ---------------------------------------------------------------------- */

/* Whether anything is still to be sent. */
static bool busy(void)
{
    for (size_t i = 0; i < nlines; i++)
        if (lines[i].batch || atomic_load(&lines[i].to->batcher->queued))
            return true;
    return false;
}

/* Starts what can be started; how long to wait when nothing else happens. */
static uint64_t start_requests(bool force)
{
    uint64_t now = clew__now_ns(), wait = UINT64_C(10000000000);

    for (size_t i = 0; i < nlines; i++) {
        struct line *line = &lines[i];
        uint64_t until = UINT64_MAX;

        if (line->in_flight)
            continue;
        if (!line->body.len)
            send_next(line, force, &until);
        else if (now >= line->retry_at_ns)
            send_body(line);
        else
            until = line->retry_at_ns - now;
        if (until < wait)
            wait = until;
    }
    return wait;
}

/* Somebody waits: what only our own backoff holds back is tried at once. */
static void hurry(void)
{
    for (size_t i = 0; i < nlines; i++)
        lines[i].retry_at_ns = lines[i].asked_ns;
}

/* Whether any ended: then there may be something to start. */
static bool finish_requests(void)
{
    CURLMsg *message;
    bool any = false;
    int left;

    while ((message = curl_multi_info_read(multi, &left))) {
        struct line *line = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&line);
        finish(line, code);
        any = true;
    }
    return any;
}

static void say_flushed(uint64_t ticket, bool at_end)
{
    pthread_mutex_lock(&lock);
    flush_done = ticket;
    ended = at_end;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* At the end: what could not be sent in time is lost for the far side. */
static void count_unsent(void)
{
    struct clew__batch *batch;
    uint64_t wait;

    for (size_t i = 0; i < nlines; i++) {
        struct line *line = &lines[i];
        struct clew__batcher *batcher = line->to->batcher;

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
}

/* As much as the sockets take now: one call hands over one buffer only. */
static void transfer(void)
{
    size_t before;
    int active;

    do {
        before = given;
        (void)curl_multi_perform(multi, &active);
    } while (given != before);
}

static void *deliver(void *arg)
{
    uint64_t flushed = atomic_load(&flush_wanted), hurried = flushed;
    bool hurried_to_stop = false;

    (void)arg;
    (void)pthread_setname_np(pthread_self(), "clew-delivery");
    for (;;) {
        uint64_t ticket = atomic_load(&flush_wanted), wait, now;
        bool last = atomic_load(&stopping);

        if (ticket != hurried || last != hurried_to_stop)
            hurry();
        hurried = ticket;
        hurried_to_stop = last;
        wait = start_requests(last || ticket != flushed);
        transfer();
        if (finish_requests())
            wait = 0;
        for (size_t i = 0; i < nlines; i++)
            tell_dropped(&lines[i]);
        if (ticket != flushed && !busy())
            say_flushed(flushed = ticket, false);
        now = clew__now_ns();
        if (last && (!busy() || now >= atomic_load(&stop_at_ns)))
            break;
        if (last && wait > atomic_load(&stop_at_ns) - now)
            wait = atomic_load(&stop_at_ns) - now;
        if (wait)
            (void)curl_multi_poll(multi, NULL, 0, (int)((wait + 999999) / 1000000), NULL);
    }
    count_unsent();
    say_flushed(flushed, true);
    return NULL;
}

/* ---- starting and stopping -------------------------------------------------------------- */

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

static void add_metrics(struct line *line)
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
    clew__series_callback(clew_metric_series(records, (const char *const[]){name, "dropped", NULL}),
                          read_dropped, line->to->batcher);
    line->retries = clew_metric_series(retries, (const char *const[]){name, NULL});
    clew__series_callback(clew_metric_series(queue, (const char *const[]){name, NULL}), read_queue,
                          line->to->batcher);
}

static bool set_headers(struct line *line)
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
static bool open_line(struct line *line)
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

int clew__delivery_add(const struct clew__destination *destination)
{
    struct line *line = &lines[nlines];

    if (nlines == DESTINATIONS_MAX)
        return -ENOSPC;
    *line = (struct line){.to = destination};
    clew__body_init(&line->body, REQUEST_MAX);
    clew__buf_init(&line->answer, ANSWER_KEPT);
    clew__buf_init(&line->answer_headers, HEADERS_KEPT);
    if (!set_headers(line) || !open_line(line))
        return clew_set_error(-ENOMEM, "%s: no memory or headers too long", destination->name);
    add_metrics(line);
    nlines++;
    return 0;
}

/* The child of a fork has no delivery thread: see restart(). */
static void in_child(void)
{
    if (atomic_load(&state) == IDLE)
        return;
    atomic_store(&state, FORKED);
    atomic_store(&stopping, false);
    pthread_mutex_init(&lock, NULL);
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        int fd = atomic_exchange(&sockets[i], 0) - 1;

        if (fd >= 0)
            close(fd);
    }
    for (size_t i = 0; i < nlines; i++) {
        atomic_store(&lines[i].lost, 0);
        clew__batcher_forget(lines[i].to->batcher);
    }
}

/* The thread, without signals: they are the program's. */
static int run(void)
{
    pthread_condattr_t attr;
    sigset_t all, old;
    int err;

    multi = curl_multi_init();
    if (!multi)
        return clew_set_error(-ENOMEM, "delivery: no memory");
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attr);
    pthread_condattr_destroy(&attr);
    ended = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&thread, NULL, deliver, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return clew_set_error(-err, "delivery thread: %s", strerror(err));
    atomic_store(&state, RUNNING);
    return 0;
}

/* In the child of a fork, with its first record: handles and connections are
 * the parent's and are left alone, because to close them says goodbye to its
 * far side. */
static void restart(void)
{
    pthread_mutex_lock(&lock);
    if (atomic_load(&state) == FORKED && !atomic_load(&stopping)) {
        bool good = true;

        for (size_t i = 0; i < nlines; i++) {
            struct line *line = &lines[i];

            *line = (struct line){.to = line->to,
                                  .headers = line->headers,
                                  .accepted = line->accepted,
                                  .rejected = line->rejected,
                                  .failed = line->failed,
                                  .retries = line->retries};
            clew__body_init(&line->body, REQUEST_MAX);
            clew__buf_init(&line->answer, ANSWER_KEPT);
            clew__buf_init(&line->answer_headers, HEADERS_KEPT);
            good = open_line(line) && good;
        }
        if (good)
            (void)run();
    }
    pthread_mutex_unlock(&lock);
}

int clew__delivery_start(void)
{
    static bool registered;
    int err = nlines ? run() : 0;

    if (err == 0 && nlines && !registered) {
        registered = true;
        (void)pthread_atfork(NULL, NULL, in_child);
    }
    return err;
}

void clew__delivery_batch_end(void *destination)
{
    const struct clew__destination *to = destination;

    if (!clew__batcher_give(to->batcher))
        return;
    if (atomic_load_explicit(&state, memory_order_relaxed) == FORKED)
        restart();
    if (atomic_load_explicit(&state, memory_order_relaxed) == RUNNING)
        (void)curl_multi_wakeup(multi);
}

/* Until the ticket is done, or for 0 the thread has ended. */
static bool wait_until(uint64_t deadline_ns, uint64_t ticket)
{
    struct timespec until = {(time_t)(deadline_ns / 1000000000u),
                             (long)(deadline_ns % 1000000000u)};
    bool done;

    (void)curl_multi_wakeup(multi);
    pthread_mutex_lock(&lock);
    while (!(done = ticket ? flush_done >= ticket : ended))
        if (pthread_cond_timedwait(&changed, &lock, &until) != 0)
            break;
    pthread_mutex_unlock(&lock);
    return done;
}

uint64_t clew__delivery_lost(void)
{
    uint64_t lost = lost_before;

    for (size_t i = 0; i < nlines; i++)
        lost += atomic_load(&lines[i].lost) + atomic_load(&lines[i].to->batcher->dropped);
    return lost;
}

int clew__delivery_flush(uint64_t deadline_ns)
{
    if (atomic_load(&state) != RUNNING)
        return 0; /* nothing was ever queued */
    return wait_until(deadline_ns, atomic_fetch_add(&flush_wanted, 1) + 1) ? 0 : -ETIMEDOUT;
}

static void forget_destinations(void)
{
    lost_before = clew__delivery_lost();
    for (size_t i = 0; i < nlines; i++) {
        struct line *line = &lines[i];

        curl_easy_cleanup(line->easy);
        curl_slist_free_all(line->headers);
        clew__body_done(&line->body);
        clew__buf_done(&line->answer);
        clew__buf_done(&line->answer_headers);
    }
    nlines = 0;
}

int clew__delivery_stop(uint64_t deadline_ns)
{
    uint64_t dropped = 0, before = 0;

    switch (atomic_exchange(&state, IDLE)) {
    case IDLE: /* destinations may have been added by a start that failed */
        forget_destinations();
        return 0;
    case FORKED:
        return 0;
    case RUNNING:
        break;
    }
    for (size_t i = 0; i < nlines; i++)
        before += atomic_load(&lines[i].to->batcher->dropped);
    atomic_store(&stop_at_ns, deadline_ns);
    atomic_store(&stopping, true);
    /* The thread keeps the deadline itself. One that is stuck in the middle of
     * compressing is left behind: the process is about to end. */
    if (!wait_until(deadline_ns + GRACE_NS, 0))
        return -ETIMEDOUT;
    pthread_join(thread, NULL);
    for (size_t i = 0; i < nlines; i++)
        dropped += atomic_load(&lines[i].to->batcher->dropped);
    forget_destinations();
    curl_multi_cleanup(multi);
    atomic_store(&stopping, false);
    return dropped == before ? 0 : -ETIMEDOUT;
}
