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
 * belongs to the calling thread; a collector thread makes the line of it. What
 * fields there are is in <clew/field.h>; loggers by name are in <clew/logger.h>.
 *
 * Every macro here
 *   threads  MT-Safe
 *   signals  AS-Safe once the runtime runs and, where observers (metrics) are
 *            set, at call sites that were passed before; a call that interrupts
 *            another log call of its thread goes to a second ring of the thread,
 *            and neither loses or tears the other
 *   fork     valid in parent and child; the child gets rings of its own
 *   blocks   never while there is room. When the ring is full, CLEW_RING_FULL
 *            decides: the caller writes out a part of its own backlog (some
 *            tens of microseconds) or waits, bounded; or the record is dropped
 *   errno    preserved
 *   args     evaluated once if the site is enabled or observed, else not at all
 *   limits   24 fields a call; strings are cut where a record would pass
 *            32 KiB (counted)
 */
#ifndef CLEW_LOG_H
#define CLEW_LOG_H

#include <clew/site.h>

#ifdef __cplusplus
extern "C" {
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
/* The same with a time of its own; clew_log_stop() takes up to 5 seconds.
 *
 * blocks   up to timeout_ms
 * returns  0, also when it does not run; -ETIMEDOUT: an output did not take its
 *          lines in time, they are left for the next start */
CLEW_PUBLIC int clew_log_shutdown(unsigned timeout_ms);

/* Sets the threshold of every call site that no rule names, at once, in all
 * threads; the rules stay.
 * returns  0; -EINVAL when level is not one of enum clew_level */
CLEW_PUBLIC int clew_log_set_level(enum clew_level level);
CLEW_PUBLIC enum clew_level clew_log_level(void);

/* Sets the threshold and replaces the rules, as CLEW_LOG_LEVEL does at start:
 *
 *     info,db=debug,db.pool=trace,file:cache.c=debug,function:flush_*=off,message:Cache*=trace
 *
 * A level alone is the threshold of the rest. NAME=LEVEL is for a logger and
 * those below it, the longest name counts. file: (last part of the path),
 * function: and message: take shell patterns (fnmatch(3)), each of them before
 * the loggers, the last that matches counts. Effective at once in all threads.
 *
 * args     spec: borrowed, at most 64 rules; NULL or "": info, no rules
 * returns  0; -EINVAL and nothing is changed, clew_last_error() says where */
CLEW_PUBLIC int clew_log_set_levels(const char *spec);

/* The threshold and the rules that hold now, as clew_log_set_levels() takes
 * them. Returns the length without the terminating NUL. MT-Safe, AS-Unsafe. */
#define CLEW_LOG_LEVELS_MAX 9232u
CLEW_PUBLIC size_t clew_log_levels(char ret_spec[CLEW_LOG_LEVELS_MAX]);

/* Closes and opens the files written to: for logrotate, after it moved them.
 * Done by the collector within a second; a file that was moved is noticed within
 * a second without it. MT-Safe, AS-Safe, never blocks. */
CLEW_PUBLIC void clew_log_reopen(void);

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

/* Whether a field of that name becomes a token whatever its type is: the
 * deny-list has it (CLEW_SECRET_FIELDS adds to it). Case, '_', '-', '.' and
 * spaces do not count; password, secret, authorization and the like count
 * within a key. MT-Safe, AS-Safe once the runtime runs. */
CLEW_PUBLIC bool clew_key_is_secret(const char *key);

/* What the runtime counts about itself since the start of the process. */
struct clew_stats {
    uint64_t lines;             /* lines handed to the sinks */
    uint64_t spans;             /* spans handed to the sinks */
    uint64_t dropped_ring_full; /* no room in the caller's ring */
    uint64_t dropped_no_ring;   /* no memory or no file for a ring */
    uint64_t dropped_nested;    /* from a handler inside a handler inside a log call */
    uint64_t dropped_space;     /* no space left for the output's file (ENOSPC, EDQUOT, EFBIG) */
    uint64_t dropped_closed;    /* nobody reads the output (EPIPE), or it was closed (EBADF) */
    uint64_t dropped_output;    /* the output refused it otherwise */
    uint64_t dropped_sinks;     /* journald or syslog did not take it */
    uint64_t held_back;         /* by the limits of their call sites: wanted, not lost */
    uint64_t truncated;         /* records with a string that was cut */
    uint64_t replaced_ids;      /* header ids that were bad and replaced */
    uint64_t recovered;         /* lines and spans found in files of dead processes */
    uint64_t rings;             /* rings in use */
    uint64_t misused;           /* calls in the wrong order or with what had ended already */
    uint64_t spans_started_sampled; /* spans begun that are recorded */
    uint64_t spans_started_dropped; /* and those that the sampler did not want */
    uint64_t spans_live;            /* of those recorded: not ended yet */
};
CLEW_PUBLIC void clew_stats_read(struct clew_stats *ret_stats);

#ifdef __cplusplus
} /* extern "C" */
#endif

/* ---- the calls ------------------------------------------------------- */

/* The logger of this file's calls: define it before the first include, e.g.
 * "db.pool". Names form a hierarchy by their dots; see clew_log_set_levels(). */
#ifndef CLEW_LOGGER
#define CLEW_LOGGER ""
#endif

/* Calls below this level are compiled away, arguments and all: a number of
 * CLEW_LEVEL_MAP, as in -DCLEW_COMPILE_LEVEL=9. */
#ifndef CLEW_COMPILE_LEVEL
#define CLEW_COMPILE_LEVEL 1
#endif

#define CLEW__LOG(lvl, ...)                                                    \
    do {                                                                       \
        if ((lvl) >= CLEW_COMPILE_LEVEL) {                                     \
            CLEW__SITE(lvl, 0, __VA_ARGS__);                                   \
            CLEW__GATE(clew__gate);                                            \
            if (clew__gate != 0) {                                             \
                CLEW__CALL(lvl, clew__gate, __VA_ARGS__);                      \
            }                                                                  \
        }                                                                      \
    } while (0)

/* level is a constant of enum clew_level; then the message and the fields. */
#define clew_log(level, ...) CLEW__LOG(level, __VA_ARGS__)
#define clew_trace(...) CLEW__LOG(CLEW_LEVEL_TRACE, __VA_ARGS__)
#define clew_debug(...) CLEW__LOG(CLEW_LEVEL_DEBUG, __VA_ARGS__)
#define clew_info(...) CLEW__LOG(CLEW_LEVEL_INFO, __VA_ARGS__)
#define clew_warn(...) CLEW__LOG(CLEW_LEVEL_WARN, __VA_ARGS__)
#define clew_error(...) CLEW__LOG(CLEW_LEVEL_ERROR, __VA_ARGS__)
#define clew_fatal(...) CLEW__LOG(CLEW_LEVEL_FATAL, __VA_ARGS__)

/* printf, for code that is on its way to fields: the text is made in the
 * caller's thread, at most 8 KiB of it; the format is what patterns match.
 * The compiler checks the arguments. */
#define CLEW__LOGF(lvl, ...)                                                   \
    do {                                                                       \
        if ((lvl) >= CLEW_COMPILE_LEVEL) {                                     \
            CLEW__SITE(lvl, 0, CLEW__FIRST(__VA_ARGS__), clew_message("", 0)); \
            CLEW__GATE(clew__gate);                                            \
            if (clew__gate != 0)                                               \
                clew_log_printf(&clew__site, __VA_ARGS__);                     \
        }                                                                      \
    } while (0)

#define clew_logf(level, ...) CLEW__LOGF(level, __VA_ARGS__)
#define clew_tracef(...) CLEW__LOGF(CLEW_LEVEL_TRACE, __VA_ARGS__)
#define clew_debugf(...) CLEW__LOGF(CLEW_LEVEL_DEBUG, __VA_ARGS__)
#define clew_infof(...) CLEW__LOGF(CLEW_LEVEL_INFO, __VA_ARGS__)
#define clew_warnf(...) CLEW__LOGF(CLEW_LEVEL_WARN, __VA_ARGS__)
#define clew_errorf(...) CLEW__LOGF(CLEW_LEVEL_ERROR, __VA_ARGS__)
#define clew_fatalf(...) CLEW__LOGF(CLEW_LEVEL_FATAL, __VA_ARGS__)

/* ---- calls that may be too many ----------------------------------------- */

/* What a call site lets through: its first `first` lines, then one in `every`
 * (0: none), and never more than `per_second` (0: no limit). The next line that
 * passes says in its field "held_back" how many did not; where none comes, the
 * runtime says it after a while. Metrics see every event. The members after
 * these are the library's own. */
struct clew_limit {
    uint64_t first;
    uint64_t every;
    uint64_t per_second;
    uint64_t seen;
    uint64_t held;
    uint64_t second;
    uint64_t in_second;
    struct clew_site *site;
    struct clew_limit *next;
    uint32_t listed;
};

#define CLEW_EVERY(n) 0, (n), 0           /* the 1st, the (n+1)th, … */
#define CLEW_PER_SECOND(n) 0, 1, (n)      /* at most n in each second */
#define CLEW_FIRST(n, every) (n), (every), 0 /* the first n, then one in every */

/* clew_log_limited(CLEW_LEVEL_WARN, CLEW_PER_SECOND(10), "Disk slow", …); */
#define clew_log_limited(level, ...) CLEW__LIMITED(level, __VA_ARGS__)
#define CLEW__LIMITED(lvl, first, every, per_second, ...)                      \
    do {                                                                       \
        if ((lvl) >= CLEW_COMPILE_LEVEL) {                                     \
            CLEW__SITE(lvl, 0, __VA_ARGS__,                                    \
                       ("held_back", CLEW_TYPE_HELD, clew_value_uint(0)));     \
            static struct clew_limit clew__limit = {                           \
                first, every, per_second, 0, 0, 0, 0, NULL, NULL, 0};          \
            CLEW__GATE(clew__gate);                                            \
            if (clew__gate != 0)                                               \
                CLEW__CALL_LIMITED(&clew__limit, __VA_ARGS__,                  \
                                   ("held_back", CLEW_TYPE_HELD, clew_value_uint(0))); \
        }                                                                      \
    } while (0)

#endif
