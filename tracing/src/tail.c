/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that the sampler did not want but that turn out to be worth keeping.
 * CLEW_TRACES_KEEP says which: "errors", "slower=MILLISECONDS", or both with a
 * comma. Their spans are recorded as sampled ones are; the collector holds them
 * here until the local root of the request ends and says what becomes of them.
 *
 * Bounded: over HELD_BYTES the oldest request is forgotten. A span that comes
 * after the verdict (its thread's ring was read later) finds it in a list of the
 * last few thousand. All but the settings belongs to the collector's thread.
 */
#include "span_priv.h"

#include <empty_priv.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HELD_BYTES (8u << 20)
#define BUCKETS 1024u /* a power of two */
#define VERDICTS 4096u

static struct {
    bool errors;
    bool slow;
    uint64_t slower_than_ns;
} keep;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- settings ------------------------------------------------------------------------ */

static bool read_word(const char *word, size_t len)
{
    static const char slower[] = "slower=";
    char *end;
    double ms;

    if (len == 6 && strncmp(word, "errors", len) == 0) {
        keep.errors = true;
        return true;
    }
    if (len < sizeof(slower) || strncmp(word, slower, sizeof(slower) - 1) != 0)
        return false;
    ms = strtod(word + sizeof(slower) - 1, &end);
    if (end != word + len || !(ms >= 0 && ms <= 86400000))
        return false;
    keep.slow = true;
    keep.slower_than_ns = (uint64_t)(ms * 1e6);
    return true;
}

static void read_environment(void)
{
    const char *text = getenv("CLEW_TRACES_KEEP");

    while (text && *text) {
        size_t len = strcspn(text, ",");

        if (!read_word(text, len))
            clew_warn("CLEW_TRACES_KEEP: wanted are \"errors\" and \"slower=MILLISECONDS\"",
                      clew_kvn("value", text, len));
        text += len + (text[len] == ',');
    }
}

bool clew__tail_is_on(void)
{
    pthread_once(&once, read_environment);
    return keep.errors || keep.slow;
}

bool clew__tail_keeps(bool has_error, uint64_t duration_ns)
{
    return (keep.errors && has_error) || (keep.slow && duration_ns > keep.slower_than_ns);
}

/* ---- what is held ----------------------------------------------------------------------- */

/* One span: head and body behind it. */
struct held {
    struct held *next;
    struct clew__clock clock;
    size_t len;
    struct clew__span_head head;
    char body[];
};

struct request {
    struct request *next;          /* of the bucket */
    struct request *newer, *older; /* of all */
    uint64_t local_root;
    size_t bytes;
    struct held *first, **last;
};

static struct request *buckets[BUCKETS];
static struct request *newest, *oldest;
static size_t held_bytes;
static struct {
    uint64_t local_root;
    bool keep;
} verdicts[VERDICTS]; /* by number: as a request's bucket */

static size_t hash(uint64_t local_root)
{
    return (size_t)((local_root * UINT64_C(0x9E3779B97F4A7C15)) >> 40);
}

static struct request **find(uint64_t local_root)
{
    struct request **at = &buckets[hash(local_root) % BUCKETS];

    while (*at && (*at)->local_root != local_root)
        at = &(*at)->next;
    return at;
}

static void forget(struct request *request)
{
    struct request **at = find(request->local_root);

    *at = request->next;
    *(request->newer ? &request->newer->older : &newest) = request->older;
    *(request->older ? &request->older->newer : &oldest) = request->newer;
    held_bytes -= request->bytes;
    for (struct held *held = request->first, *next; held; held = next) {
        next = held->next;
        free(held);
    }
    free(request);
}

static struct request *request_of(uint64_t local_root)
{
    struct request **at = find(local_root), *request = *at;

    if (request)
        return request;
    request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->local_root = local_root;
    request->last = &request->first;
    request->older = newest;
    *(newest ? &newest->newer : &oldest) = request;
    newest = request;
    *at = request;
    return request;
}

void clew__tail_hold(const struct clew__span_reader *reader, const struct clew__span_head *head,
                     const char *body, size_t len)
{
    size_t verdict = hash(head->local_root) % VERDICTS;
    struct request *request;
    struct held *held;

    if (head->local_root && verdicts[verdict].local_root == head->local_root) {
        if (verdicts[verdict].keep)
            (void)clew__span_read(reader, head, body, len, false);
        return;
    }
    request = request_of(head->local_root);
    held = request ? malloc(sizeof(*held) + len) : NULL;
    if (!held)
        return;
    held->next = NULL;
    held->clock = *reader->clock;
    held->len = len;
    held->head = *head;
    memcpy(held->body, body, len);
    *request->last = held;
    request->last = &held->next;
    request->bytes += sizeof(*held) + len;
    held_bytes += sizeof(*held) + len;
    while (held_bytes > HELD_BYTES && oldest)
        forget(oldest);
}

static void let_go(const struct clew__span_reader *reader, const struct request *request)
{
    for (struct held *held = request->first; held; held = held->next) {
        struct clew__span_reader with_clock = *reader;

        with_clock.clock = &held->clock;
        (void)clew__span_read(&with_clock, &held->head, held->body, held->len, false);
    }
}

void clew__tail_keep_all(const struct clew__span_reader *reader)
{
    while (oldest) {
        let_go(reader, oldest);
        forget(oldest);
    }
}

void clew__tail_decide(const struct clew__span_reader *reader, uint64_t local_root, bool keeps)
{
    struct request *request = *find(local_root);
    size_t verdict = hash(local_root) % VERDICTS;

    verdicts[verdict].local_root = local_root;
    verdicts[verdict].keep = keeps;
    if (!request)
        return;
    if (keeps)
        let_go(reader, request);
    forget(request);
}
