/* SPDX-License-Identifier: Apache-2.0
 *
 * The delivery thread. Each destination is a small machine: idle, a request in
 * flight, or waiting to try the same body again. Waiting grows exponentially
 * with full jitter, and is never shorter than the far side asked for. A batch
 * that a few 500s did not take is given up, because some never heal; for an
 * outage it waits as long as the queue has room behind it.
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

#define DESTINATIONS_MAX 4
#define ANSWER_MAX 65536u
#define BACKOFF_FIRST_MS 500u
#define BACKOFF_MAX_MS 60000u
#define FEW 8u
#define TELL_EVERY_NS UINT64_C(10000000000)

struct line {
    const struct clew__destination *to;
    struct curl_slist *headers;
    CURL *easy;
    bool in_flight;
    struct clew__buf body; /* of the current batch; len 0: none */
    size_t records;
    unsigned attempts;
    unsigned doubtful; /* of these, answered RETRY_FEW */
    uint64_t retry_at_ns;
    struct clew__buf answer;
    uint64_t told_at_ns;
    struct clew_series *accepted, *rejected, *failed, *retries;
};

static struct line lines[DESTINATIONS_MAX];
static size_t nlines;
static CURLM *multi;
static pthread_t thread;
static _Atomic bool running, stopping, forked;
static _Atomic uint64_t flush_wanted, stop_at_ns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static uint64_t flush_done; /* under lock */
static bool ended;          /* under lock */

/* ---- one request ------------------------------------------------------------------ */

/* Keeps the beginning of the answer, enough for its reason. */
static size_t take_answer(char *data, size_t size, size_t n, void *arg)
{
    struct line *line = arg;
    size_t room = ANSWER_MAX - line->answer.len;

    clew__buf_add(&line->answer, data, n < room ? n : room);
    return size * n;
}

static void send_body(struct line *line)
{
    clew__buf_reset(&line->answer);
    curl_easy_setopt(line->easy, CURLOPT_POSTFIELDS, line->body.data);
    curl_easy_setopt(line->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)line->body.len);
    if (curl_multi_add_handle(multi, line->easy) == CURLM_OK) {
        line->in_flight = true;
        line->attempts++;
    } else {
        line->retry_at_ns = clew__now_ns() + UINT64_C(1000000000);
    }
}

static void forget_body(struct line *line)
{
    clew__buf_done(&line->body);
    line->records = 0;
    line->attempts = 0;
    line->doubtful = 0;
    line->retry_at_ns = 0;
}

/* Takes the next batch, if one is due, and sends it. */
static void send_next(struct line *line, bool force, uint64_t *ret_wait_ns)
{
    struct clew__batch *batch = clew__batcher_take(line->to->batcher, force, ret_wait_ns);

    if (!batch)
        return;
    clew__buf_init(&line->body, 64u << 20);
    line->records = batch->n;
    if (line->to->encode(batch, &line->body) && !line->body.failed && line->body.len) {
        send_body(line);
    } else {
        clew_series_add(line->failed, (double)batch->n);
        forget_body(line);
        *ret_wait_ns = 0;
    }
    clew__batch_free(batch);
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
    uint64_t ms = BACKOFF_FIRST_MS, asked_ms;
    curl_off_t retry_after = 0;

    for (unsigned i = 1; i < line->attempts && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    ms = ms / 10 + random_below(ms - ms / 10);
    (void)curl_easy_getinfo(line->easy, CURLINFO_RETRY_AFTER, &retry_after);
    asked_ms = retry_after > 0 && retry_after <= 86400 ? (uint64_t)retry_after * 1000 : 0;
    return (asked_ms > ms ? asked_ms : ms) * 1000000;
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
              clew_kv("records", line->records));
}

/* Whether the far side's answer has the value of one of our headers in it, as a
 * server that echoes requests does. What describes the body is no secret. */
static bool repeats_secret(const struct line *line)
{
    const char *header = line->to->headers;

    while (line->answer.len && *header) {
        size_t len = strcspn(header, "\n");
        const char *value = memchr(header, ' ', len);
        const char *last = memrchr(header, ' ', len); /* "Bearer TOKEN": the token */

        if (value && strncmp(header, "Content-", 8) != 0) {
            size_t n = len - (size_t)(last + 1 - header);

            if (n >= 4 && memmem(line->answer.data, line->answer.len, last + 1, n))
                return true;
        }
        header += len;
        header += *header == '\n';
    }
    return false;
}

static void finish(struct line *line, CURLcode code)
{
    struct clew__answer answer = {.records = line->records,
                                  .body = line->answer.len ? line->answer.data : "",
                                  .len = line->answer.len};
    enum clew__verdict verdict;
    long status = 0;

    line->in_flight = false;
    (void)curl_multi_remove_handle(multi, line->easy);
    (void)curl_easy_getinfo(line->easy, CURLINFO_RESPONSE_CODE, &status);
    answer.status = code == CURLE_OK ? (unsigned)status : 0;
    if (answer.status) {
        verdict = line->to->judge(&answer);
    } else {
        /* curl's own words name no URL and no header */
        (void)snprintf(answer.reason, sizeof(answer.reason), "%s", curl_easy_strerror(code));
        verdict = CLEW__RETRY;
    }
    if (verdict == CLEW__RETRY_FEW)
        verdict = ++line->doubtful < FEW ? CLEW__RETRY : CLEW__PERMANENT;
    if (repeats_secret(line))
        (void)snprintf(answer.reason, sizeof(answer.reason),
                       "(left out: the answer repeats a credential)");
    switch (verdict) {
    case CLEW__DONE:
        clew_series_add(line->accepted, (double)(line->records - answer.rejected));
        clew_series_add(line->rejected, (double)answer.rejected);
        if (answer.rejected)
            tell(line, &answer, "records were rejected");
        forget_body(line);
        break;
    case CLEW__RETRY:
    case CLEW__RETRY_FEW:
        clew_series_add(line->retries, 1);
        line->retry_at_ns = clew__now_ns() + backoff_ns(line);
        tell(line, &answer, "will be tried again");
        break;
    case CLEW__PERMANENT:
        clew_series_add(line->rejected, (double)line->records);
        tell(line, &answer, "given up");
        forget_body(line);
        break;
    }
}

/* ---- the thread ---------------------------------------------------------------------- */

/* Whether anything is still to be sent. */
static bool busy(void)
{
    for (size_t i = 0; i < nlines; i++)
        if (lines[i].in_flight || lines[i].body.len || atomic_load(&lines[i].to->batcher->queued))
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
        struct clew__batcher *batcher = lines[i].to->batcher;

        if (lines[i].body.len)
            atomic_fetch_add(&batcher->dropped, lines[i].records);
        while ((batch = clew__batcher_take(batcher, true, &wait))) {
            atomic_fetch_add(&batcher->dropped, batch->n);
            clew__batch_free(batch);
        }
    }
}

static void *deliver(void *arg)
{
    uint64_t flushed = 0;
    int active;

    (void)arg;
    (void)pthread_setname_np(pthread_self(), "clew-delivery");
    for (;;) {
        uint64_t ticket = atomic_load(&flush_wanted), wait, now;
        bool last = atomic_load(&stopping);

        wait = start_requests(last || ticket != flushed);
        (void)curl_multi_perform(multi, &active);
        if (finish_requests())
            wait = 0;
        if (ticket != flushed && !busy())
            say_flushed(flushed = ticket, false);
        now = clew__now_ns();
        if (last && (!busy() || now >= atomic_load(&stop_at_ns)))
            break;
        if (last && wait > atomic_load(&stop_at_ns) - now)
            wait = atomic_load(&stop_at_ns) - now;
        if (wait)
            (void)curl_multi_poll(multi, NULL, 0, (int)(wait / 1000000 + 1), NULL);
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

int clew__delivery_add(const struct clew__destination *destination)
{
    struct line *line = &lines[nlines];

    if (nlines == DESTINATIONS_MAX)
        return -ENOSPC;
    *line = (struct line){.to = destination, .easy = curl_easy_init()};
    clew__buf_init(&line->body, 64u << 20);
    clew__buf_init(&line->answer, ANSWER_MAX);
    if (!line->easy || !set_headers(line))
        return clew_set_error(-ENOMEM, "%s: no memory or headers too long", destination->name);
    curl_easy_setopt(line->easy, CURLOPT_URL, destination->url);
    curl_easy_setopt(line->easy, CURLOPT_HTTPHEADER, line->headers);
    curl_easy_setopt(line->easy, CURLOPT_PRIVATE, line);
    curl_easy_setopt(line->easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(line->easy, CURLOPT_WRITEDATA, line);
    curl_easy_setopt(line->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(line->easy, CURLOPT_TIMEOUT_MS, destination->timeout_ms);
    curl_easy_setopt(line->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(line->easy, CURLOPT_USERAGENT,
                     "OTel-OTLP-Exporter-C/" CLEW_VERSION " clewline/" CLEW_VERSION);
    if (destination->certificate[0])
        curl_easy_setopt(line->easy, CURLOPT_CAINFO, destination->certificate);
    add_metrics(line);
    nlines++;
    return 0;
}

/* The child of a fork has no delivery thread and sends nothing. */
static void in_child(void)
{
    atomic_store(&forked, true);
    atomic_store(&running, false);
    pthread_mutex_init(&lock, NULL);
    for (size_t i = 0; i < nlines; i++)
        clew__batcher_forget(lines[i].to->batcher);
}

int clew__delivery_start(void)
{
    pthread_condattr_t attr;
    sigset_t all, old;
    int err;

    if (nlines == 0)
        return 0;
    multi = curl_multi_init();
    if (!multi)
        return clew_set_error(-ENOMEM, "delivery: no memory");
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&thread, NULL, deliver, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return clew_set_error(-err, "delivery thread: %s", strerror(err));
    atomic_store(&running, true);
    (void)pthread_atfork(NULL, NULL, in_child);
    return 0;
}

void clew__delivery_wake(void)
{
    if (atomic_load_explicit(&running, memory_order_relaxed))
        (void)curl_multi_wakeup(multi);
}

void clew__delivery_batch_end(void *destination)
{
    const struct clew__destination *to = destination;

    if (atomic_load(&to->batcher->queued))
        clew__delivery_wake();
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

int clew__delivery_flush(uint64_t deadline_ns)
{
    if (!atomic_load(&running))
        return nlines == 0 || atomic_load(&forked) ? 0 : -ESRCH;
    return wait_until(deadline_ns, atomic_fetch_add(&flush_wanted, 1) + 1) ? 0 : -ETIMEDOUT;
}

static void forget_destinations(void)
{
    for (size_t i = 0; i < nlines; i++) {
        struct line *line = &lines[i];

        if (line->in_flight)
            (void)curl_multi_remove_handle(multi, line->easy);
        curl_easy_cleanup(line->easy);
        curl_slist_free_all(line->headers);
        clew__buf_done(&line->body);
        clew__buf_done(&line->answer);
    }
    nlines = 0;
}

void clew__delivery_stop(uint64_t deadline_ns)
{
    if (!atomic_exchange(&running, false)) {
        if (!atomic_load(&forked))
            forget_destinations(); /* added by a start that failed */
        return;
    }
    atomic_store(&stop_at_ns, deadline_ns);
    atomic_store(&stopping, true);
    /* The thread keeps the deadline itself; the little more is for its end. */
    if (!wait_until(deadline_ns + 1000000000u, 0))
        return;
    pthread_join(thread, NULL);
    forget_destinations();
    curl_multi_cleanup(multi);
    atomic_store(&stopping, false);
    ended = false;
}
