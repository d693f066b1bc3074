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
#include "format_priv.h"
#include "rotate_priv.h"
#include "ticks_priv.h"

#include <buf.h>

/* ---- rings (thread.c) -------------------------------------------------- */

enum clew__ring_state { CLEW__RING_FREE, CLEW__RING_OWNED, CLEW__RING_ORPHAN, CLEW__RING_NESTED };

/* The process's view of a ring. Never freed: a ring whose thread ended is
 * emptied and given to the next thread. Who empties a ring holds `emptying`:
 * the collector as a rule, its own thread when it is full. */
struct clew__ring {
    /* producer; what the inlined part of a call needs is in a struct clew_hot */
    struct clew__ring_control *control;
    char *data;
    uint64_t size;
    uint64_t record_max;
    uint64_t tail_seen;      /* or what stands for it while bytes are withheld */
    uint64_t granted;        /* up to this head nobody need look how full it is */
    uint64_t context_serial; /* of the context written last; 0: none */
    uint64_t stalled_at;     /* the tail for which a wait was in vain, plus 1 */
    /* Of all threads that ever had it: spans begun, recorded and not, and recorded ones ended. */
    uint64_t spans_sampled, spans_dropped, spans_ended;
    struct clew__ring *nested; /* of the same thread, for signal handlers */
    /* shared */
    _Alignas(64) _Atomic int state;
    struct clew__ring *next;
    _Atomic uint64_t crowded_ns; /* CLOCK_MONOTONIC: when its thread last found it full */
    _Atomic uint32_t waiting;    /* a futex: its thread waits for room */
    /* Bytes at the end of data that are not to be used yet: they have no storage
     * (clew__file_back_ring()). Until then the ring never begins anew. */
    _Atomic uint64_t withheld;
    uint64_t offset; /* of data in the file */
    /* under emptying */
    _Alignas(64) _Atomic int emptying;
    uint64_t read;
    const char *read_at; /* in data */
    uint64_t limit;
    uint64_t next_ticks;
    unsigned slot;
    bool context_dirty; /* differs from what the checkpoint has */
    bool in_batch;
    struct clew__clock clock; /* of the checkpoint: lines are made with it */
    struct clew__line_context *context;
};

/* The context that this thread's spans are in: see clew__hold_take(). */
struct clew__hold {
    struct clew_context *context; /* NULL: none is held */
    uint64_t key;                 /* of this hold, unlike all others of the process */
    uint32_t count;               /* open spans that go by it */
    uint32_t passed_over;         /* spans begun in other contexts since */
};

/* Everything a thread has beside its struct clew_hot. Zero is a valid start. */
struct clew__thread {
    struct clew__ring *ring;
    struct clew_context *context; /* of the current scope; its span is in clew_hot */
    struct clew_hot nested;       /* where handlers write that interrupted a log call */
    volatile int locks;           /* of the library, held: a signal handler must not take more */
    unsigned epoch;               /* of the generator's seed; see clew__epoch */
    uint64_t random[4];
    unsigned uuid_count;
    uint64_t serial; /* of a context, the last one given; 0: none yet */
    void *exchange;  /* tracing: the HTTP exchange entered */
    /* tracing: */
    struct clew_span *span; /* begun last in this thread and not ended */
    struct clew__hold hold;
    void *slots; /* free ones, and how many */
    unsigned nslots;
    unsigned slots_epoch;
    /* contexts and scopes: */
    struct clew_context *spares; /* for the next requests */
    int nspares;
    bool spares_kept; /* they are handed on when the thread ends */
    unsigned nentered;
    struct clew_scope entered[CLEW_SCOPES_MAX]; /* what was current before each scope entered */
};
extern __thread struct clew__thread clew__self CLEW__TLS_MODEL;

/* Counts processes: 1, and one more in each fork's child. */
extern _Atomic unsigned clew__epoch;
extern struct clew__ring *_Atomic clew__rings;

/* Where the producer's free room begins. Withheld bytes are as good as written,
 * one round before the first. */
static inline uint64_t clew__ring_tail(const struct clew__ring *ring)
{
    uint64_t withheld = atomic_load_explicit(&ring->withheld, memory_order_acquire);

    return withheld
               ? 0 - withheld
               : atomic_load_explicit(&ring->control->tail, memory_order_acquire) & ~UINT64_C(7);
}

/* The slow path of a thread's first record: a free ring or a new one, and a
 * running collector. NULL when there is none to be had; counted. */
struct clew__ring *clew__thread_attach(void);
/* In the child of a fork: the rings are the parent's. */
void clew__rings_forget(void);
/* Zeroed pages that are never given back; NULL. AS-Safe. */
void *clew__map_memory(size_t bytes);

/* ---- counters ---------------------------------------------------------- */

struct clew__counters {
    _Atomic uint64_t lines, spans, ring_full, no_ring, nested, space, closed, output, held_back,
        truncated, replaced_ids, recovered, rings, misused;
};
extern struct clew__counters clew__counters;
#define CLEW__COUNT_MANY(name, n) \
    ((void)atomic_fetch_add_explicit(&clew__counters.name, n, memory_order_relaxed))
#define CLEW__COUNT_ONE(name) CLEW__COUNT_MANY(name, 1)

/* context.c: counts what a program did wrong with a context, scope or span, and
 * says so in at most one line a second. what is static. */
void clew__misuse(const char *what);

/* ---- records (record.c) ------------------------------------------------ */

struct clew__payload {
    const char *data;
    size_t len;
    const char *more; /* goes behind it */
    size_t more_len;
};

/* Puts one record into this thread's ring; 0, or positive when it was dropped (and
 * counted). important: may use the part kept for warnings. */
int clew__record_put(uint32_t what, uint64_t ticks, uint64_t span_id,
                     const struct clew__payload *payload, bool important);

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
    char ids_room[2048 + CLEW__PIECE_SLACK];
    char keys_room[CLEW__CONTEXT_MAX + CLEW__BOUND_FIELDS_MAX + CLEW__PIECE_SLACK];
    char bound_room[16u * CLEW__CONTEXT_MAX + 200u * CLEW__BOUND_FIELDS_MAX + CLEW__PIECE_SLACK];
};
struct clew__line_context *clew__line_context_new(void);
void clew__line_context_free(struct clew__line_context *context);
/* Takes a CONTEXT payload; false when it is malformed (context is empty then). */
bool clew__line_context_set(struct clew__line_context *context, const char *payload, size_t len);

/* A line before it is text. */
struct clew__line {
    uint64_t time_ns;
    const struct clew_site *site;
    const struct clew__site_text *text;
    const struct clew__logger_text *logger; /* NULL: the site's */
    const struct clew__line_context *context;
    uint64_t span_id;
    const char *payload;
    size_t payload_len;
};
/* Where spans that were read go, and what they were read with. */
struct clew__span_reader {
    const struct clew__clock *clock;
    /* Call sites by number; NULL when there is none. */
    const struct clew_site *(*site)(const void *sites, uint32_t id);
    const void *sites;
    bool recovers; /* a dead process's */
    void (*deliver)(void *arg, const struct clew_span_record *span);
    void *arg;
};
/* What tracing has that liblog calls; set when it is linked. */
struct clew__span_hooks {
    /* A SPAN payload. */
    void (*read)(const struct clew__span_reader *reader, const char *payload, size_t len);
    /* A chunk of open spans that a dead process left: those that no record
     * ended. end_ticks: when it was alive last, about. */
    void (*read_open)(const struct clew__span_reader *reader, const char *chunk, size_t len,
                      uint64_t end_ticks, bool (*ended)(const void *arg, uint64_t span_id),
                      const void *arg);
    /* That was all a dead process left. */
    void (*read_all)(const struct clew__span_reader *reader);
    void (*thread_ends)(void);
    void (*after_fork)(void);
};
extern const struct clew__span_hooks *clew__span_hooks;

/* ---- call sites (callsite.c) -------------------------------------------- */

#define CLEW__SITES_MAX 65536u

const struct clew_site *clew__site_by_id(uint32_t id);
void clew__site_observe(const struct clew_site *site, const struct clew_logger *logger,
                        const struct clew_value *values);
/* Sets all gates; the registry's lock is held. */
void clew__sites_regate(void);
/* Writes all known sites and loggers into a new file. */
void clew__sites_save(void);
void clew__registry_lock(void);
void clew__registry_unlock(void);
/* Lines held back by limits of which no line told since. Collector thread. */
void clew__limits_report(void);

/* ---- collector (collector.c) ---------------------------------------------- */

int clew__collector_start(void);
/* 0, or -ETIMEDOUT when it is stuck in an output. */
int clew__collector_stop(uint64_t deadline_ns);
int clew__collector_flush(uint64_t deadline_ns);
void clew__collector_after_fork(void);
/* Wakes it if it sleeps: one load, and a system call only then. */
void clew__collector_wake(void);
bool clew__in_collector(void);

/* ---- recovery (recover.c) -------------------------------------------------- */

/* Emits what dead processes of this service left in directory, oldest file
 * first, and removes the files. Collector thread. */
void clew__recover(const char *directory, const char *service);
bool clew__recovering(void);

/* ---- configuration (config.c) ---------------------------------------------- */

enum clew__format { CLEW__FORMAT_AUTO, CLEW__FORMAT_JSON, CLEW__FORMAT_TEXT };

/* One place that lines go to. */
struct clew__output {
    enum clew__output_kind {
        CLEW__OUTPUT_STREAM, /* stdout, stderr or a file */
        CLEW__OUTPUT_JOURNALD,
        CLEW__OUTPUT_SYSLOG
    } kind;
    char name[512]; /* STREAM: "stdout", "stderr" or a path; else the address, "" for the usual */
    enum clew_level level;
    enum clew__format format;
    struct clew__rotation_policy rotation;
    char facility[16];
};

struct clew__config {
    char service[256];
    char version[64];
    char levels[4096];
    unsigned noutputs;
    struct clew__output outputs[CLEW__TARGETS_MAX];
    bool crash;                     /* report crashes */
    enum clew_level capture_stderr; /* OFF: do not */
    char ring_directory[512];
    size_t ring_bytes; /* all that a thread has */
    unsigned block_ms; /* how long a call may wait for room; 0: drop at once */
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
