/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the core share: the thread's state, rings, the registry of
 * call sites, the collector's side of a record. Locks, in the order in which
 * they may be taken: lifecycle (start.c), registry (callsite.c), file
 * (ringfile.c). None is taken by an ordinary log call.
 */
#ifndef CLEW_CORE_PRIV_H
#define CLEW_CORE_PRIV_H

#include "ringfile_priv.h"
#include "ticks_priv.h"

#include <buf.h>

/* ---- rings (thread.c) -------------------------------------------------- */

enum clew__ring_state { CLEW__RING_FREE, CLEW__RING_OWNED, CLEW__RING_ORPHAN };

/* The process's view of a ring. Never freed: a ring whose thread ended is
 * emptied and given to the next thread. */
struct clew__ring {
    /* producer */
    struct clew__ring_control *control;
    char *data;
    uint64_t size;
    uint64_t head;
    uint64_t tail_seen;
    uint64_t context_serial; /* of the context written last; 0: none */
    /* shared */
    _Alignas(64) _Atomic int state;
    struct clew__ring *next;
    /* collector */
    _Alignas(64) uint64_t read;
    uint64_t limit;
    uint64_t next_ticks;
    unsigned slot;
    bool context_dirty; /* differs from what the control page has */
    struct clew__line_context *context;
};

/* Everything a thread has. Zero is a valid start. */
struct clew__thread {
    struct clew__ring *ring;
    struct clew_scope scope;
    volatile int busy; /* inside a log call: a signal handler must not enter */
    unsigned epoch;    /* of the generator's seed; see clew__epoch */
    uint64_t random[4];
    void *exchange; /* tracing: the HTTP exchange entered */
};
#if defined(__SANITIZE_ADDRESS__)
/* GCC's null checks test the flags of an instruction that the linker replaces
 * by one without flags when it relaxes initial-exec. */
#define CLEW__TLS_MODEL
#else
#define CLEW__TLS_MODEL __attribute__((tls_model("initial-exec")))
#endif
extern __thread struct clew__thread clew__self CLEW__TLS_MODEL;

/* Counts processes: 1, and one more in each fork's child. */
extern _Atomic unsigned clew__epoch;
extern struct clew__ring *_Atomic clew__rings;

/* The slow path of a thread's first record: a free ring or a new one, and a
 * running collector. NULL when there is none to be had; counted. */
struct clew__ring *clew__thread_attach(void);
/* In the child of a fork: the rings are the parent's. */
void clew__rings_forget(void);

/* ---- counters ---------------------------------------------------------- */

struct clew__counters {
    _Atomic uint64_t lines, spans, ring_full, no_ring, nested, output, truncated, replaced_ids,
        recovered, rings;
};
extern struct clew__counters clew__counters;
#define CLEW__COUNT_ONE(name) \
    ((void)atomic_fetch_add_explicit(&clew__counters.name, 1, memory_order_relaxed))

/* ---- records (record.c) ------------------------------------------------ */

/* Puts one record of raw payload into this thread's ring; 0, or positive when
 * it was dropped (and counted). reserve: may use the part kept for warnings. */
int clew__record_put(uint32_t what, uint64_t span_id, const void *payload, size_t len,
                     bool reserve);

/* A context as the collector knows it: text made once, used for every line. */
struct clew__line_context {
    char request_id[CLEW_ID_MAX + 1];
    char correlation_id[CLEW_ID_MAX + 1];
    uint8_t trace_id[16];
    bool has_trace;
    size_t raw_len;
    char raw[CLEW__CONTEXT_MAX];
    struct clew__buf ids_json;   /* ,"request_id":"…",… */
    struct clew__buf bound_json; /* ,"username":"…" */
    size_t nbound;
    struct clew_field bound[CLEW__BOUND_FIELDS_MAX]; /* point into raw_keys and raw */
    struct clew__buf raw_keys;
};
struct clew__line_context *clew__line_context_new(void);
void clew__line_context_free(struct clew__line_context *context);
/* Takes a CONTEXT payload; false when it is malformed (context is empty then). */
bool clew__line_context_set(struct clew__line_context *context, const char *payload, size_t len);

/* A line taken apart. */
struct clew__line {
    uint64_t time_ns;
    const struct clew_site *site;
    struct clew__site_text *text;
    const struct clew__line_context *context;
    uint64_t span_id;
    struct clew_value values[24];
};
/* payload behind the record's header; false when it does not fit the site. */
bool clew__line_decode(struct clew__line *line, const struct clew_site *site, const char *payload,
                       size_t len);
/* Set by tracing: turns a SPAN payload into a record and calls deliver. */
typedef bool clew__span_decode_fn(const char *payload, size_t len, const struct clew__clock *clock,
                                  void (*deliver)(void *arg, const struct clew_span_record *span),
                                  void *arg);
extern clew__span_decode_fn *clew__span_decode;

/* ---- call sites (callsite.c) -------------------------------------------- */

#define CLEW__SITES_MAX 65536u

/* Pieces of the JSON line that never change, escaped once. Collector's own. */
struct clew__site_text {
    struct clew__buf pieces; /* all of them; offsets below */
    uint32_t head_len;       /* ","level":"INFO","service":"…" */
    uint32_t message_at, message_len;
    uint32_t key_at[24], key_len[24];
    uint32_t tail_at, tail_len;
    uint32_t skip; /* bit i: field i has a later field of the same key */
};

const struct clew_site *clew__site_by_id(uint32_t id);
void clew__site_observe(const struct clew_site *site, const struct clew_value *values);
/* Writes all known sites into a new file. */
void clew__sites_save(void);
void clew__registry_lock(void);
void clew__registry_unlock(void);

/* ---- formats ------------------------------------------------------------ */

void clew__json_value(struct clew__buf *out, enum clew_type type, const struct clew_value *value);
void clew__format_site(struct clew__site_text *text, const struct clew_site *site,
                       const char *service);
void clew__format_json(struct clew__buf *out, const struct clew__line *line);
void clew__format_text(struct clew__buf *out, const struct clew__line *line, bool colour);

/* ---- output (output.c): the local sink ----------------------------------- */

int clew__output_open(void); /* from the configuration; 0 or -errno */
void clew__output_line(const struct clew__line *line, const struct clew_line *json);
void clew__output_flush(void);
bool clew__output_wants_json(void);
void clew__output_close(void);
void clew__output_after_fork(void);

/* ---- collector (collector.c) ---------------------------------------------- */

int clew__collector_start(void);
void clew__collector_stop(uint64_t deadline_ns);
int clew__collector_flush(uint64_t deadline_ns);
void clew__collector_after_fork(void);
bool clew__collector_running(void);
/* Wakes it if it sleeps: one load, and a system call only then. */
void clew__collector_wake(void);
bool clew__in_collector(void);
/* Deliver to all sinks; collector thread. */
void clew__deliver_line(struct clew__line *line);
void clew__deliver_span(void *arg, const struct clew_span_record *span);
/* What is buffered goes out, in the output and all sinks. */
void clew__deliver_batch_end(void);
void clew__sinks_close(uint64_t deadline_ns);

/* ---- recovery (recover.c) -------------------------------------------------- */

/* Emits what dead processes of this service left in directory, oldest file
 * first, and removes the files. Collector thread. */
void clew__recover(const char *directory, const char *service);
/* One file; 0 when it may go, -EBUSY when its owner lives, -ENOMEM. */
int clew__recover_file(int fd);

/* ---- configuration (config.c) ---------------------------------------------- */

enum clew__format { CLEW__FORMAT_AUTO, CLEW__FORMAT_JSON, CLEW__FORMAT_TEXT };

struct clew__config {
    char service[256];
    char version[64];
    enum clew_level level;
    enum clew__format format;
    char output[512]; /* "stdout", "stderr", "none" or a path */
    char ring_directory[512];
    size_t ring_bytes;
    unsigned block_ms; /* how long a call may wait for room; 0: drop */
};
extern struct clew__config clew__config;
/* Reads the environment; 0 or -EINVAL with clew_last_error(). */
int clew__config_read(const char *service, const char *version);

/* ---- start.c ----------------------------------------------------------------- */

/* Starts with defaults if nothing did yet; false when that failed. */
bool clew__ensure_started(void);

static inline uint64_t clew__monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
