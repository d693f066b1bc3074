/* SPDX-License-Identifier: Apache-2.0
 * What the tests of the alert bridge share: a directory, files, configurations,
 * bodies, and a far side that answers as it is told. Aborts where a test cannot
 * go on. */
#ifndef CLEW_TEST_BRIDGE_H
#define CLEW_TEST_BRIDGE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <config/config.h>
#include <intake/notification.h>
#include <store/store.h>

#include <pthread.h>

#define ROUTING_KEY "0123456789abcdefSECRET0123456789"
#define SLACK_PATH "/services/T000/B000/SECRETHOOK"

/* A directory of its own; the process's logs go into a file in it. The store is a
 * file there too, or a schema of its own in the database that CLEW_TEST_POSTGRES, the
 * directory of its socket, names (see with_server). */
struct bench {
    char directory[64];
    char storage[192];
    char path[128]; /* the last one made by bench_path() */
};
void bench_init(struct bench *bench);
void bench_done(struct bench *bench);
/* "<directory>/<name>", valid until the next call. */
const char *bench_path(struct bench *bench, const char *name);
/* Writes a file and returns its path, as bench_path(). */
const char *bench_write(struct bench *bench, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The store, which has to open. */
struct clew__store *open_store(struct bench *bench);

/* The number that a query of one row and column gives, -1 for none. sql: a literal. */
int64_t number_in(struct clew__store *store, const char *sql);

struct clew__queue queue_of(struct clew__store *store);
/* Until so many are queued, a minute at most: an answer is recorded a moment after the
 * far side gave it. */
void wait_for_queue(struct clew__store *store, int64_t queued);

/* A file of tests/data/alertmanager, or another by its path; free() it. */
char *read_text(const char *path, size_t *ret_len);
char *read_sample(const char *name, size_t *ret_len);

/* A member of an object, "" when it is no text. */
const char *json_text(const json_t *object, const char *key);

/* A configuration that has to be right. */
struct clew__config *load_config(struct bench *bench, const char *text);
/* on-call (Slack and PagerDuty) for critical, else team (Slack), at this port.
 * extra: keys of the PagerDuty entry, as ", dedup: group", or "". */
const char *usual_config(uint16_t port, const char *extra);

/* One alert of a body. */
struct made_alert {
    const char *name, *severity, *status, *starts_at;
    unsigned number; /* the fingerprint and the label instance */
};
/* A webhook body; free() it. */
char *make_body(const char *group_key, const char *external_url, unsigned truncated,
                const struct made_alert *alerts, size_t n);

/* A body goes into the store, as if it came at `now` in the request "the-request" of
 * "the-correlation"; it is freed. */
void apply_body(struct clew__store *store, const struct clew__config *config, char *body,
                int64_t now);

/* What the timers' thread does, at this time: all that is due, oldest first. returns how many */
unsigned fire_due(struct clew__store *store, const struct clew__config *config, int64_t now);

/* ---- the far side ---------------------------------------------------- */

struct far_request {
    char path[128];
    json_t *body;    /* NULL when it is no JSON */
    char *text;      /* the same as it came */
    json_t *headers; /* an object of strings */
    unsigned status; /* of the answer */
    int64_t at;
};

struct far {
    struct MHD_Daemon *daemon;
    uint16_t port;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct far_request *requests;
    size_t n;
    /* Decides the answer; runs with the lock held. May set *text, *retry_after.
     * 0: no answer, the connection is cut. NULL: always 200 ok or 202. */
    unsigned (*decide)(struct far *far, const struct far_request *request, const char **text,
                       const char **retry_after);
    void *arg;
    bool lose;        /* the answer is cut off, though it is recorded; decide may set it */
    unsigned hang_ms; /* before answers on paths that begin with hang_path */
    const char *hang_path;
};
void far_start(struct far *far);
void far_stop(struct far *far);
/* Waits until n requests were answered; false after seconds. */
bool far_wait(struct far *far, size_t n, unsigned seconds);
size_t far_count(struct far *far);

/* What PagerDuty would show: a trigger opens an incident unless it is open. */
struct pager {
    unsigned opened; /* how many incidents were ever opened */
    unsigned open;   /* now */
    unsigned most;   /* the most incidents that one key was opened for */
    bool late;       /* a resolve came when nothing was open */
};
/* From all requests that were answered with 202. */
struct pager far_pager(struct far *far);

/* POSTs a body; returns the status, 0 when there was no answer. ret_text: free()
 * it, may be NULL. */
unsigned post(uint16_t port, const char *path, const char *body, size_t len, char **ret_text);
unsigned get(uint16_t port, const char *path, char **ret_text);

#endif
