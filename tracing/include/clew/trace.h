/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/trace.h: spans. How they travel between services is in
 * <clew/propagate.h>, which this header includes.
 *
 *     struct clew_span *span = clew_span_begin("load user", CLEW_SPAN_INTERNAL);
 *     clew_span_set(span, clew_kv("user.id", id));
 *     if (load(id) < 0)
 *         clew_span_errno(span, errno);
 *     clew_span_end(span);
 *
 * Spans follow OpenTelemetry's trace API and SDK (specification 1.x). Their ends
 * travel in the rings as lines do; what was open when a process died is emitted
 * by the next start, marked as interrupted.
 */
#ifndef CLEW_TRACE_H
#define CLEW_TRACE_H

#include <clew/propagate.h>
#include <clew/sink.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_SPAN_NAME_MAX 1024u   /* bytes of a name; longer ones are cut */
#define CLEW_SPAN_BYTES_MAX 28672u /* all that is kept of one span; more is dropped and counted */

/* A handle. Every function accepts NULL and the handle of a span that has ended
 * (which is counted in clew_stats.misused) and does nothing then, so a failed
 * start needs no check. A span belongs to one thread at a time, and to the
 * process that started it: in the child of a fork its handle does nothing.
 * All functions: AS-Unsafe, no lock, no system call, and no heap but for a span
 * with more than about 3,900 bytes and for a thread's first spans. */
struct clew_span;

/* ---- start ----------------------------------------------------------- */

/* 0: ask; 1: spans are made; 2: OTEL_SDK_DISABLED=true. The library's own. */
extern CLEW_PUBLIC uint8_t clew_spans_state;
#define CLEW__SPANS_OFF 2
static inline bool clew_spans_are_off_(void)
{
    return __atomic_load_n(&clew_spans_state, __ATOMIC_RELAXED) == CLEW__SPANS_OFF;
}

CLEW_PUBLIC struct clew_span *clew_span_start_(const char *name, enum clew_span_kind kind);
CLEW_PUBLIC struct clew_span *clew_span_begin_(const char *name, enum clew_span_kind kind);
CLEW_PUBLIC void clew_span_end_(struct clew_span *span);

/* Set in the handles of spans that are recorded; the library's own. */
#define CLEW__SPAN_RECORDS 0x800u
static inline bool clew_span_records_(const struct clew_span *span)
{
    return ((uintptr_t)span & CLEW__SPAN_RECORDS) != 0;
}

/* Starts a span as the child of this thread's current scope. Without a current
 * context it is the root of a new trace with a context of its own. The sampler
 * decides for a root and for the first span of a request; children follow.
 *
 * args     name copied, low cardinality ("GET /orders/{id}")
 * owner    clew_span_end()
 * returns  NULL when there is no memory or tracing is disabled */
static inline struct clew_span *clew_span_start(const char *name, enum clew_span_kind kind)
{
    return clew_spans_are_off_() ? NULL : clew_span_start_(name, kind);
}

/* clew_span_start(), and the span's scope is current in this thread until its
 * end. Spans begun this way end in the opposite order, in the same thread;
 * another order is survived and counted as misuse: the scope is left as it is. */
static inline struct clew_span *clew_span_begin(const char *name, enum clew_span_kind kind)
{
    return clew_spans_are_off_() ? NULL : clew_span_begin_(name, kind);
}

/* For what is rarer. All zero is clew_span_start(name, CLEW_SPAN_INTERNAL). */
struct clew_span_options {
    struct clew_scope parent;  /* context NULL: the current scope */
    bool root;                 /* a new trace, whatever the parent */
    bool remote;               /* parent came out of headers */
    bool enter;                /* as clew_span_begin() */
    enum clew_span_kind kind;  /* 0: INTERNAL */
    uint64_t start_ns;         /* Unix time; 0: now */
    const char *scope;         /* instrumentation scope ("clew.curl"); NULL: the program's own */
    const char *sampling_hint; /* what rules of the sampler match; NULL: the name */
};
/* Borrowed for the call. */
CLEW_PUBLIC struct clew_span *clew_span_start_with(const char *name,
                                                   const struct clew_span_options *options);

/* ---- while it is open ------------------------------------------------- */

/* The span begun last in this thread and not ended; borrowed, NULL for none. */
CLEW_PUBLIC struct clew_span *clew_span_current(void);

/* The scope in which span is current; borrowed from the span. */
CLEW_PUBLIC struct clew_scope clew_span_scope(const struct clew_span *span);

/* Whether what is set is kept (false for NULL). */
CLEW_PUBLIC bool clew_span_is_recording(const struct clew_span *span);

CLEW_PUBLIC void clew_span_set_name(struct clew_span *span, const char *name);

/* Sets attributes; a key that is there is replaced. Statements; keys are literals;
 * values are evaluated only for a span that is recorded.
 *     clew_span_set(span, clew_kv("http.route", route), clew_kv("n", 3));
 * Secrets and key names on the deny-list become tokens, as in lines. Limits:
 * OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT. */
#define clew_span_set(span, ...) CLEW__SPAN_SITE(clew_span_set_site_, span, 0, "", __VA_ARGS__)
/* The same with keys from run time, 1..255 bytes each; all borrowed. */
CLEW_PUBLIC void clew_span_set_fields(struct clew_span *span, size_t n, const char *const *keys,
                                      const uint8_t *types, const struct clew_value *values);

/* Adds an event; name is a literal.
 *     clew_span_event(span, "retry", clew_kv("attempt", 2));
 *     clew_span_event_at(span, time_ns, "dns"); */
#define clew_span_event(span, ...) CLEW__SPAN_SITE(clew_span_event_site_, span, 0, __VA_ARGS__)
#define clew_span_event_at(span, time_ns, ...) \
    CLEW__SPAN_SITE(clew_span_event_site_, span, time_ns, __VA_ARGS__)
/* time_ns: Unix time, 0 for now. */
CLEW_PUBLIC void clew_span_event_fields(struct clew_span *span, uint64_t time_ns, const char *name,
                                        size_t n, const char *const *keys, const uint8_t *types,
                                        const struct clew_value *values);

/* A span that has to do with this one, such as the producer of a message.
 * trace_state may be NULL. Copied. */
struct clew_link {
    uint8_t trace_id[16];
    uint64_t span_id; /* as struct clew_scope has it */
    uint8_t trace_flags;
    bool is_remote;
    const char *trace_state;
};
CLEW_PUBLIC struct clew_link clew_link_of(struct clew_scope scope);
/* A statement:
 *     clew_span_link(span, &link);
 *     clew_span_link(span, &link, clew_kv("messaging.message.id", id)); */
#define clew_span_link(span, ...)                                                   \
    do {                                                                            \
        struct clew_span *clew__span = (span);                                      \
        if (clew_span_records_(clew__span)) {                                       \
            CLEW__SITE_NAMED(0, CLEW_SITE_SPAN, "", __VA_ARGS__);                   \
            clew_span_link_site_(clew__span, &clew__site, CLEW__FIRST(__VA_ARGS__), \
                                 CLEW__SPAN_VALUES(__VA_ARGS__));                   \
        }                                                                           \
    } while (0)
CLEW_PUBLIC void clew_span_link_fields(struct clew_span *span, const struct clew_link *link,
                                       size_t n, const char *const *keys, const uint8_t *types,
                                       const struct clew_value *values);

/* OK is final; ERROR replaces UNSET; message counts with ERROR only, may be
 * NULL (OpenTelemetry trace API, "Set Status"). */
CLEW_PUBLIC void clew_span_set_status(struct clew_span *span, enum clew_span_status status,
                                      const char *message);

/* Status ERROR with the message, the attribute error.type and an event
 * "exception" (semantic conventions, "Recording errors"). message may be NULL. */
CLEW_PUBLIC void clew_span_error(struct clew_span *span, const char *type, const char *message);
/* The same for an errno number: type "ENOENT", its text as message. */
CLEW_PUBLIC void clew_span_errno(struct clew_span *span, int number);

/* ---- end --------------------------------------------------------------- */

/* Ends the span and, if it is wanted, puts its record into this thread's ring.
 * Any thread may do it. */
static inline void clew_span_end(struct clew_span *span)
{
    if (span)
        clew_span_end_(span);
}
/* Unix time; one before the start counts as the start. */
CLEW_PUBLIC void clew_span_end_at(struct clew_span *span, uint64_t end_ns);

static inline void clew_span_cleanup_(struct clew_span **span)
{
    clew_span_end(*span);
}
/* Declares a span that is begun here and ends where its block does (C; C++ has
 * clew::span). */
#define CLEW_SPAN_SCOPE(span, name, kind)                                 \
    struct clew_span *span __attribute__((cleanup(clew_span_cleanup_))) = \
        clew_span_begin(name, kind)

/* ---- processors ---------------------------------------------------------- */

/* Sees every recorded span in the thread that starts or ends it: on_start may
 * add attributes, on_end sees it open for the last time and may still do so.
 * Either may be NULL; neither may wait. Exporters are sinks, see <clew/sink.h>. */
struct clew_span_processor_ops {
    const char *name; /* static */
    void (*on_start)(void *self, struct clew_span *span);
    void (*on_end)(void *self, struct clew_span *span);
};
/* It cannot be removed. MT-Safe. returns 0; -ENOSPC when there are 8; -EINVAL */
CLEW_PUBLIC int clew_span_processor_add(const struct clew_span_processor_ops *ops, void *self);

/* ---- what the macros need ------------------------------------------------- */

CLEW_PUBLIC void clew_span_link_site_(struct clew_span *span, struct clew_site *site,
                                      const struct clew_link *link,
                                      const struct clew_value *values);
CLEW_PUBLIC void clew_span_set_site_(struct clew_span *span, struct clew_site *site,
                                     uint64_t unused, const struct clew_value *values);
CLEW_PUBLIC void clew_span_event_site_(struct clew_span *span, struct clew_site *site,
                                       uint64_t time_ns, const struct clew_value *values);

#ifdef __cplusplus
#define CLEW__SPAN_VALUES(...)                                               \
    (::clew::detail::array<struct clew_value, CLEW__COUNT(__VA_ARGS__) + 1>{ \
        {CLEW__EACH(CLEW__VAL, __VA_ARGS__) clew_value_uint(0)}})
#else
#define CLEW__SPAN_VALUES(...) \
    ((const struct clew_value[]){CLEW__EACH(CLEW__VAL, __VA_ARGS__) clew_value_uint(0)})
#endif

#define CLEW__SPAN_SITE(function, span, time_ns, ...)                                   \
    do {                                                                                \
        struct clew_span *clew__span = (span);                                          \
        if (clew_span_records_(clew__span)) {                                           \
            CLEW__SITE(0, CLEW_SITE_SPAN, __VA_ARGS__);                                 \
            function(clew__span, &clew__site, time_ns, CLEW__SPAN_VALUES(__VA_ARGS__)); \
        }                                                                               \
    } while (0)

#ifdef __cplusplus
} /* extern "C" */

namespace clew
{
/* A span that is begun here and ends with its block:
 *     clew::span span("load user");
 *     clew_span_set(span, clew_kv("user.id", id)); */
class span
{
  public:
    explicit span(const char *name, enum clew_span_kind kind = CLEW_SPAN_INTERNAL)
        : handle_(clew_span_begin(name, kind))
    {
    }
    ~span()
    {
        clew_span_end(handle_);
    }
    span(const span &) = delete;
    span &operator=(const span &) = delete;
    operator struct clew_span *() const
    {
        return handle_;
    }

  private:
    struct clew_span *handle_;
};
} // namespace clew
#endif

#endif
