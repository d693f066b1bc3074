/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/sink.h: where events go, and who may look at them on the way.
 *
 * A sink gets every line and span from the collector thread, in batches. An
 * observer sees the values of chosen call sites in the caller's thread, before
 * levels or a full ring can take the line away: metrics are derived there.
 */
#ifndef CLEW_SINK_H
#define CLEW_SINK_H

#include <clew/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A key with its value: of a line's context, bound to a request, or of a span. */
struct clew_field {
    const char *key;         /* NUL-terminated */
    enum clew_type type;     /* never LAZY, SECRET or MESSAGE */
    uint32_t key_len;        /* 0 where it was not counted */
    struct clew_value value; /* as it is stored, with its length: see clew_field_text() */
};

/* The value as text: strings as they are, everything else as in the JSON line
 * without quotes. Writes up to size bytes, no NUL; returns the whole length.
 * MT-Safe, AS-Unsafe. */
CLEW_PUBLIC size_t clew_field_text(const struct clew_field *field, char *buf, size_t size);

#define CLEW_FIELD_DEPTH_MAX 8u /* objects within objects; a damaged record may claim more */

/* Goes through a value of type ARRAY or OBJECT, one element or field a call:
 *
 *     for (size_t at = 0; clew_field_next(&container, &at, &field);)
 *
 * args     *at: 0 before the first call. *ret: the element, its key "", or the
 *          field, its key key_len bytes without a NUL; no key comes twice. Keys
 *          and strings are as the call gave them, any bytes; borrowed from container
 * threads  MT-Safe, AS-Safe
 * returns  false at the end, and at once for every other type */
CLEW_PUBLIC bool clew_field_next(const struct clew_field *container, size_t *at,
                                 struct clew_field *ret);

/* One log line. Everything in it is borrowed for the call. */
struct clew_line {
    uint64_t time_ns; /* Unix time; stable for one record */
    enum clew_level level;
    const struct clew_site *site;
    const char *logger;  /* name, "" for none */
    const char *message; /* any bytes, not NUL-terminated */
    size_t message_len;
    const char *json; /* the line as UTF-8 JSON, no newline, not NUL-terminated */
    size_t json_len;
    const char *request_id; /* "" when there is none; NUL-terminated */
    const char *correlation_id;
    const uint8_t *trace_id; /* 16 bytes, all zero for none */
    uint64_t span_id;        /* 0 for none; bytes in network order as they lie */
    /* The call's own fields and those bound to the request; no key twice in
     * one list. String values are as the call gave them, any bytes. */
    const struct clew_field *fields;
    size_t nfields;
    const struct clew_field *bound;
    size_t nbound;
};

enum clew_span_kind { /* numbers of OTLP trace.proto, Span.SpanKind */
                      CLEW_SPAN_INTERNAL = 1,
                      CLEW_SPAN_SERVER = 2,
                      CLEW_SPAN_CLIENT = 3,
                      CLEW_SPAN_PRODUCER = 4,
                      CLEW_SPAN_CONSUMER = 5
};

enum clew_span_status { /* OTLP trace.proto, Status.StatusCode */
                        CLEW_SPAN_UNSET = 0,
                        CLEW_SPAN_OK = 1,
                        CLEW_SPAN_ERROR = 2
};

/* Something that happened while a span was open. */
struct clew_span_event {
    uint64_t time_ns; /* Unix time */
    const char *name;
    const struct clew_field *attributes; /* no key twice */
    size_t nattributes;
    uint32_t dropped_attributes;
};

/* Another span that has to do with this one. */
struct clew_span_link {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint8_t trace_flags;
    bool is_remote;
    const char *trace_state; /* "" for none */
    const struct clew_field *attributes;
    size_t nattributes;
    uint32_t dropped_attributes;
};

/* One ended, sampled span. Borrowed for the call. Strings are valid UTF-8, and
 * so are keys and string values of attributes; no key is there twice. */
struct clew_span_record {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint64_t parent_span_id; /* 0 for a root */
    uint64_t start_ns;       /* Unix time */
    uint64_t end_ns;         /* >= start_ns */
    enum clew_span_kind kind;
    enum clew_span_status status;
    uint8_t trace_flags;
    bool parent_is_remote;
    bool interrupted;  /* its process died before its end; end_ns is when, about */
    const char *scope; /* name of the instrumentation scope, "" for the program's own spans */
    const char *name;
    const char *status_message; /* "" for none */
    const char *trace_state;    /* "" for none */
    size_t nattributes;
    const struct clew_field *attributes;
    uint32_t dropped_attributes;
    size_t nevents;
    const struct clew_span_event *events; /* in the order in which they were added */
    uint32_t dropped_events;
    size_t nlinks;
    const struct clew_span_link *links;
    uint32_t dropped_links;
};

/* All callbacks run in the collector thread, one at a time, and must not wait
 * for the network: hand the data on. Any may be NULL. */
struct clew_sink_ops {
    const char *name; /* static */
    void (*line)(void *self, const struct clew_line *line);
    void (*span)(void *self, const struct clew_span_record *span);
    /* The end of a batch: what is buffered goes out. */
    void (*batch_end)(void *self);
    /* The last call; deadline_ns is CLOCK_MONOTONIC: return by then. */
    void (*close)(void *self, uint64_t deadline_ns);
    enum clew_level min_level; /* lines below it are not given to it; 0: all are */
};

/* Adds a sink; ops and self stay valid until close was called.
 * threads MT-Safe. returns 0; -ENOSPC when there are 16 already; -EINVAL */
CLEW_PUBLIC int clew_sink_add(const struct clew_sink_ops *ops, void *self);

/* An observer is asked once per call site and then called for every event of
 * the sites it chose. observe runs in the caller's thread: no lock, no wait,
 * no log call. logger is what a call that names its logger gave, else NULL.
 * values are as the call gave them, string lengths may be CLEW_LENGTH_UNKNOWN,
 * string pointers may be NULL. */
struct clew_observer_ops {
    const char *name; /* static */
    /* Returns the state for this site, NULL when the site does not matter.
     * Runs with the registry's lock held: no log call. State lives for ever. */
    void *(*match)(void *self, const struct clew_site *site);
    void (*observe)(void *state, const struct clew_site *site, const struct clew_logger *logger,
                    const struct clew_value *values, const struct clew_scope *scope);
};

/* Adds an observer for all call sites, those registered already included.
 * It cannot be removed. returns 0; -ENOSPC when there are 8 already; -EINVAL */
CLEW_PUBLIC int clew_observer_add(const struct clew_observer_ops *ops, void *self);

/* Asks an observer that was added about all call sites once more; what it answers
 * replaces what it said before. Events that are on their way may still come with
 * the old state. MT-Safe. returns 0; -ENOENT: it was not added */
CLEW_PUBLIC int clew_observer_again(const struct clew_observer_ops *ops, void *self);

#ifdef __cplusplus
}
#endif

#endif
