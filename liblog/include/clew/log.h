/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/log.h: the structured log call.
 *
 *     clew_info("User balance updated",
 *               clew_kv("operation", op), clew_kv("amount", 100.0));
 *
 * The message and the keys are string literals; the type of every value is
 * picked by the compiler (_Generic in C11, overloads in C++17). Each call site
 * is one static descriptor. An enabled call copies the values into a ring that
 * belongs to the calling thread; a collector thread makes the line of it.
 *
 * Every macro here
 *   threads  MT-Safe
 *   signals  AS-Safe in a thread that has logged before at a call site that was
 *            passed before (what happens once allocates); a call that
 *            interrupts another log call of its thread is dropped and counted
 *   fork     valid in parent and child; the child gets rings of its own
 *   blocks   never, unless CLEW_RING_FULL=block asks for it (see README)
 *   errno    preserved
 *   args     evaluated once if the site is enabled or observed, else not at all
 *   limits   24 fields a call; strings are cut where a record would pass
 *            32 KiB (counted)
 */
#ifndef CLEW_LOG_H
#define CLEW_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#include <string>
#include <string_view>
#include <type_traits>
extern "C" {
#endif

#if defined(__GNUC__)
#define CLEW_PUBLIC __attribute__((visibility("default")))
#else
#define CLEW_PUBLIC
#endif

/* Severities; the numbers are OpenTelemetry's SeverityNumber (logs data model). */
#define CLEW_LEVEL_MAP(X)                                                      \
    X(TRACE, 1, "trace")                                                       \
    X(DEBUG, 5, "debug")                                                       \
    X(INFO, 9, "info")                                                         \
    X(WARN, 13, "warn")                                                        \
    X(ERROR, 17, "error")                                                      \
    X(FATAL, 21, "fatal")

enum clew_level {
#define X(name, number, text) CLEW_LEVEL_##name = number,
    CLEW_LEVEL_MAP(X)
#undef X
    CLEW_LEVEL_OFF = 25 /* as a threshold: nothing passes */
};

/* What a value is. END closes the list of a call site. */
enum clew_type {
    CLEW_TYPE_END = 0,
    CLEW_TYPE_BOOL,
    CLEW_TYPE_INT,    /* int64_t */
    CLEW_TYPE_UINT,   /* uint64_t */
    CLEW_TYPE_DOUBLE, /* NaN and infinities become JSON strings */
    CLEW_TYPE_STRING  /* any bytes; invalid UTF-8 becomes U+FFFD; NULL is JSON null */
};

#define CLEW_LENGTH_UNKNOWN SIZE_MAX

/* One value; the type is kept beside it, not in it. Strings are borrowed for
 * the call. len counts for strings only; CLEW_LENGTH_UNKNOWN: ends at NUL. */
struct clew_value {
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        const char *s;
    } as;
    size_t len;
};

/* A call site. Made by the macros; its members are the library's own. */
struct clew_site {
    uint32_t gate; /* 0: off. Else CLEW_GATE_ bits. Read without a lock */
    uint32_t id;   /* number in the dictionary, from registration on */
    uint8_t level;
    uint8_t nfields;
    int line;
    const char *message;
    const char *file;
    const char *function;
    const char *const *keys; /* nfields of them, then NULL */
    const uint8_t *types;    /* enum clew_type, then CLEW_TYPE_END */
    void *observers;
};

#define CLEW_GATE_NEW 1u      /* not registered yet; then the only bit */
#define CLEW_GATE_LINE 2u     /* its level is enabled */
#define CLEW_GATE_OBSERVED 4u /* metrics are derived from it */

/* The targets of the macros, not for direct use. The first makes a site known
 * and returns its gate; the second takes one event, values has site->nfields
 * elements. */
CLEW_PUBLIC uint32_t clew_log_register(struct clew_site *site);
CLEW_PUBLIC void clew_log_emit(struct clew_site *site, const struct clew_value *values);

/* Starts the collector with the settings in the environment (see README).
 *
 * Optional: the first enabled log call does the same with the service name
 * "unknown_service:<program>". clew_start() of <clew/export.h> calls it.
 *
 * args     service: 1..255 bytes, copied, NULL for the default; OTEL_SERVICE_NAME
 *          wins over it. version: copied, NULL when unknown
 * threads  MT-Safe
 * returns  0; 1 when it was running already (names unchanged); -EINVAL when a
 *          CLEW_ variable is wrong, other -errno: clew_last_error() says which and why
 */
CLEW_PUBLIC int clew_log_start(const char *service, const char *version);

/* Hands everything logged before the call to the sinks and flushes them.
 *
 * blocks   up to timeout_ms
 * returns  0; -ETIMEDOUT when the deadline passed first; -ESRCH not running
 */
CLEW_PUBLIC int clew_log_flush(unsigned timeout_ms);

/* Flushes, closes the sinks and ends the collector. Runs at exit by itself.
 * Calls made afterwards do nothing; what other threads wrote in the very last
 * moment is recovered by the next start. MT-Safe, idempotent. */
CLEW_PUBLIC void clew_log_stop(void);

/* Sets the threshold of every call site at once, in all threads.
 * returns  0; -EINVAL when level is not one of enum clew_level */
CLEW_PUBLIC int clew_log_set_level(enum clew_level level);
CLEW_PUBLIC enum clew_level clew_log_level(void);

/* "INFO" for CLEW_LEVEL_INFO; "OFF" for anything that is no level. Static. */
CLEW_PUBLIC const char *clew_level_name(enum clew_level level);
/* Accepts the names in any case; returns 0 or -EINVAL, ret untouched then. */
CLEW_PUBLIC int clew_level_parse(const char *text, enum clew_level *ret_level);

/* The name and version lines and spans carry. Static until clew_log_stop(). */
CLEW_PUBLIC const char *clew_service_name(void);
CLEW_PUBLIC const char *clew_service_version(void);

/* Why the last call of this library in this thread failed: one line, never
 * NULL, "" when none did. Owned by the library, valid until the next failure. */
CLEW_PUBLIC const char *clew_last_error(void);
/* Records a failure text for clew_last_error(); returns code. For libraries that
 * build on this one. */
CLEW_PUBLIC int clew_set_error(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What the runtime counts about itself since the start of the process. */
struct clew_stats {
    uint64_t lines;             /* lines handed to the sinks */
    uint64_t spans;             /* spans handed to the sinks */
    uint64_t dropped_ring_full; /* no room in the caller's ring */
    uint64_t dropped_no_ring;   /* no memory or no file for a ring */
    uint64_t dropped_nested;    /* from a signal handler inside a log call */
    uint64_t dropped_output;    /* the output refused it (ENOSPC, EPIPE, …) */
    uint64_t truncated;         /* records with a string that was cut */
    uint64_t replaced_ids;      /* header ids that were bad and replaced */
    uint64_t recovered;         /* lines and spans found in files of dead processes */
    uint64_t rings;             /* rings in use */
};
CLEW_PUBLIC void clew_stats_read(struct clew_stats *ret_stats);

/* ---- values ---------------------------------------------------------- */

static inline struct clew_value clew_value_bool(bool v)
{
    struct clew_value r;
    r.as.u = 0;
    r.as.b = v;
    r.len = 0;
    return r;
}

static inline struct clew_value clew_value_int(int64_t v)
{
    struct clew_value r;
    r.as.i = v;
    r.len = 0;
    return r;
}

static inline struct clew_value clew_value_uint(uint64_t v)
{
    struct clew_value r;
    r.as.u = v;
    r.len = 0;
    return r;
}

static inline struct clew_value clew_value_double(double v)
{
    struct clew_value r;
    r.as.d = v;
    r.len = 0;
    return r;
}

static inline struct clew_value clew_value_stringn(const char *v, size_t len)
{
    struct clew_value r;
    r.as.s = v;
    r.len = len;
    return r;
}

static inline struct clew_value clew_value_string(const char *v)
{
    return clew_value_stringn(v, CLEW_LENGTH_UNKNOWN);
}

#ifdef __cplusplus
} /* extern "C" */

namespace clew {
namespace detail {
template <enum clew_type T> using tag = std::integral_constant<uint8_t, T>;

tag<CLEW_TYPE_BOOL> type_of(bool);
tag<CLEW_TYPE_INT> type_of(char);
tag<CLEW_TYPE_INT> type_of(signed char);
tag<CLEW_TYPE_INT> type_of(short);
tag<CLEW_TYPE_INT> type_of(int);
tag<CLEW_TYPE_INT> type_of(long);
tag<CLEW_TYPE_INT> type_of(long long);
tag<CLEW_TYPE_UINT> type_of(unsigned char);
tag<CLEW_TYPE_UINT> type_of(unsigned short);
tag<CLEW_TYPE_UINT> type_of(unsigned);
tag<CLEW_TYPE_UINT> type_of(unsigned long);
tag<CLEW_TYPE_UINT> type_of(unsigned long long);
tag<CLEW_TYPE_DOUBLE> type_of(float);
tag<CLEW_TYPE_DOUBLE> type_of(double);
tag<CLEW_TYPE_STRING> type_of(const char *);
tag<CLEW_TYPE_STRING> type_of(const std::string &);
tag<CLEW_TYPE_STRING> type_of(std::string_view);

inline clew_value value_of(bool v) { return clew_value_bool(v); }
inline clew_value value_of(char v) { return clew_value_int(v); }
inline clew_value value_of(signed char v) { return clew_value_int(v); }
inline clew_value value_of(short v) { return clew_value_int(v); }
inline clew_value value_of(int v) { return clew_value_int(v); }
inline clew_value value_of(long v) { return clew_value_int(v); }
inline clew_value value_of(long long v) { return clew_value_int(v); }
inline clew_value value_of(unsigned char v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned short v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned long v) { return clew_value_uint(v); }
inline clew_value value_of(unsigned long long v) { return clew_value_uint(v); }
inline clew_value value_of(float v) { return clew_value_double(v); }
inline clew_value value_of(double v) { return clew_value_double(v); }
inline clew_value value_of(const char *v) { return clew_value_string(v); }
inline clew_value value_of(const std::string &v) { return clew_value_stringn(v.data(), v.size()); }
inline clew_value value_of(std::string_view v) { return clew_value_stringn(v.data(), v.size()); }
} // namespace detail
} // namespace clew

#define CLEW__TYPE(v) decltype(::clew::detail::type_of(v))::value
#define CLEW__VALUE(v) ::clew::detail::value_of(v)

#else

#define CLEW__TYPE(v)                                                          \
    _Generic((v),                                                              \
        _Bool: CLEW_TYPE_BOOL,                                                 \
        char: CLEW_TYPE_INT, signed char: CLEW_TYPE_INT,                       \
        short: CLEW_TYPE_INT, int: CLEW_TYPE_INT,                              \
        long: CLEW_TYPE_INT, long long: CLEW_TYPE_INT,                         \
        unsigned char: CLEW_TYPE_UINT, unsigned short: CLEW_TYPE_UINT,         \
        unsigned: CLEW_TYPE_UINT, unsigned long: CLEW_TYPE_UINT,               \
        unsigned long long: CLEW_TYPE_UINT,                                    \
        float: CLEW_TYPE_DOUBLE, double: CLEW_TYPE_DOUBLE,                     \
        char *: CLEW_TYPE_STRING, const char *: CLEW_TYPE_STRING)

#define CLEW__VALUE(v)                                                         \
    _Generic((v),                                                              \
        _Bool: clew_value_bool,                                                \
        char: clew_value_int, signed char: clew_value_int,                     \
        short: clew_value_int, int: clew_value_int,                            \
        long: clew_value_int, long long: clew_value_int,                       \
        unsigned char: clew_value_uint, unsigned short: clew_value_uint,       \
        unsigned: clew_value_uint, unsigned long: clew_value_uint,             \
        unsigned long long: clew_value_uint,                                   \
        float: clew_value_double, double: clew_value_double,                   \
        char *: clew_value_string, const char *: clew_value_string)(v)
#endif

/* ---- fields ---------------------------------------------------------- */

/* A field is the triple (key, type, value); only the macros below and those of
 * the other headers take it apart. The key is a string literal. */
#define clew_kv(key, value) (key, CLEW__TYPE(value), CLEW__VALUE(value))

/* A string that has a length instead of a NUL. */
#define clew_kvn(key, ptr, len) (key, CLEW_TYPE_STRING, clew_value_stringn(ptr, len))

#define CLEW__KEY(k, t, v) "" k "",
#define CLEW__TYP(k, t, v) (uint8_t)(t),
#define CLEW__VAL(k, t, v) v,

#define CLEW__CAT_(a, b) a##b
#define CLEW__CAT(a, b) CLEW__CAT_(a, b)

/* Number of arguments after the first, 0..24. */
#define CLEW__COUNT(...)                                                       \
    CLEW__COUNT_(__VA_ARGS__, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,  \
                 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, )
#define CLEW__COUNT_(m, a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q, r, s,  \
                     t, u, v, w, x, y, N, ...)                                 \
    N

#define CLEW__FIRST(...) CLEW__FIRST_(__VA_ARGS__, )
#define CLEW__FIRST_(m, ...) m

/* Applies F to each argument after the first: CLEW__EACH(F, first, a, b). */
#define CLEW__EACH(F, ...) CLEW__CAT(CLEW__E, CLEW__COUNT(__VA_ARGS__))(F, __VA_ARGS__)
#define CLEW__E0(F, m)
#define CLEW__E1(F, m, a) F a
#define CLEW__E2(F, m, a, ...) F a CLEW__E1(F, m, __VA_ARGS__)
#define CLEW__E3(F, m, a, ...) F a CLEW__E2(F, m, __VA_ARGS__)
#define CLEW__E4(F, m, a, ...) F a CLEW__E3(F, m, __VA_ARGS__)
#define CLEW__E5(F, m, a, ...) F a CLEW__E4(F, m, __VA_ARGS__)
#define CLEW__E6(F, m, a, ...) F a CLEW__E5(F, m, __VA_ARGS__)
#define CLEW__E7(F, m, a, ...) F a CLEW__E6(F, m, __VA_ARGS__)
#define CLEW__E8(F, m, a, ...) F a CLEW__E7(F, m, __VA_ARGS__)
#define CLEW__E9(F, m, a, ...) F a CLEW__E8(F, m, __VA_ARGS__)
#define CLEW__E10(F, m, a, ...) F a CLEW__E9(F, m, __VA_ARGS__)
#define CLEW__E11(F, m, a, ...) F a CLEW__E10(F, m, __VA_ARGS__)
#define CLEW__E12(F, m, a, ...) F a CLEW__E11(F, m, __VA_ARGS__)
#define CLEW__E13(F, m, a, ...) F a CLEW__E12(F, m, __VA_ARGS__)
#define CLEW__E14(F, m, a, ...) F a CLEW__E13(F, m, __VA_ARGS__)
#define CLEW__E15(F, m, a, ...) F a CLEW__E14(F, m, __VA_ARGS__)
#define CLEW__E16(F, m, a, ...) F a CLEW__E15(F, m, __VA_ARGS__)
#define CLEW__E17(F, m, a, ...) F a CLEW__E16(F, m, __VA_ARGS__)
#define CLEW__E18(F, m, a, ...) F a CLEW__E17(F, m, __VA_ARGS__)
#define CLEW__E19(F, m, a, ...) F a CLEW__E18(F, m, __VA_ARGS__)
#define CLEW__E20(F, m, a, ...) F a CLEW__E19(F, m, __VA_ARGS__)
#define CLEW__E21(F, m, a, ...) F a CLEW__E20(F, m, __VA_ARGS__)
#define CLEW__E22(F, m, a, ...) F a CLEW__E21(F, m, __VA_ARGS__)
#define CLEW__E23(F, m, a, ...) F a CLEW__E22(F, m, __VA_ARGS__)
#define CLEW__E24(F, m, a, ...) F a CLEW__E23(F, m, __VA_ARGS__)

/* ---- the calls ------------------------------------------------------- */

#define CLEW__LOG(lvl, ...)                                                    \
    do {                                                                       \
        static const char *const clew__keys[] = {                              \
            CLEW__EACH(CLEW__KEY, __VA_ARGS__) NULL};                          \
        static const uint8_t clew__types[] = {                                 \
            CLEW__EACH(CLEW__TYP, __VA_ARGS__) CLEW_TYPE_END};                 \
        static struct clew_site clew__site = {                                 \
            CLEW_GATE_NEW, 0, (uint8_t)(lvl), CLEW__COUNT(__VA_ARGS__),        \
            __LINE__, "" CLEW__FIRST(__VA_ARGS__) "", __FILE__, __func__,      \
            clew__keys, clew__types, NULL};                                    \
        const uint32_t clew__gate =                                            \
            __atomic_load_n(&clew__site.gate, __ATOMIC_RELAXED);               \
        if (clew__gate != 0 &&                                                 \
            (clew__gate != CLEW_GATE_NEW || clew_log_register(&clew__site))) { \
            const struct clew_value clew__values[] = {                         \
                CLEW__EACH(CLEW__VAL, __VA_ARGS__) clew_value_bool(false)};    \
            clew_log_emit(&clew__site, clew__values);                          \
        }                                                                      \
    } while (0)

/* level is a constant of enum clew_level. */
#define clew_log(level, ...) CLEW__LOG(level, __VA_ARGS__)
#define clew_trace(...) CLEW__LOG(CLEW_LEVEL_TRACE, __VA_ARGS__)
#define clew_debug(...) CLEW__LOG(CLEW_LEVEL_DEBUG, __VA_ARGS__)
#define clew_info(...) CLEW__LOG(CLEW_LEVEL_INFO, __VA_ARGS__)
#define clew_warn(...) CLEW__LOG(CLEW_LEVEL_WARN, __VA_ARGS__)
#define clew_error(...) CLEW__LOG(CLEW_LEVEL_ERROR, __VA_ARGS__)
#define clew_fatal(...) CLEW__LOG(CLEW_LEVEL_FATAL, __VA_ARGS__)

#endif
