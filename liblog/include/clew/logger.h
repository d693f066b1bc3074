/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/logger.h: loggers that are values: a name in the hierarchy, and fields
 * that every line through them carries.
 *
 *     pool = clew_logger_with(clew_logger_get("db.pool"), clew_kv("shard", 3));
 *     clew_info_to(pool, "Connection opened", clew_kv("peer", name));
 *
 * The fields are encoded once, when the logger is made, and stand in the
 * line's context before those of the call; a key that the call has too is the
 * call's. Loggers live as long as the process: make them for components, not
 * for requests (bind a request's fields to its context). A file whose calls all
 * belong to one logger can do without: see CLEW_LOGGER in <clew/log.h>.
 */
#ifndef CLEW_LOGGER_H
#define CLEW_LOGGER_H

#include <clew/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_LOGGER_NAME_MAX 127u
#define CLEW_LOGGER_FIELDS_MAX_BYTES 1024u

struct clew_logger;

/* The logger of that name; made when there is none.
 *
 * args     name: 1..CLEW_LOGGER_NAME_MAX bytes of printable ASCII without
 *          spaces, '=', ',' and ':'; dots separate its levels; copied
 * owner    the library; never freed
 * threads  MT-Safe      signals AS-Unsafe (lock, heap)
 * returns  NULL when the name is bad, there are 65,535 loggers, or there is no
 *          memory; the calls below take NULL as the logger without a name */
CLEW_PUBLIC const struct clew_logger *clew_logger_get(const char *name);

/* The logger of the same name with more fields; a key that is there already is
 * replaced. As clew_logger_get(), and NULL when the fields pass
 * CLEW_LOGGER_FIELDS_MAX_BYTES (clew_last_error() says so). */
#define clew_logger_with(parent, ...)                                          \
    clew_logger_with_fields((parent), CLEW__COUNT(0, __VA_ARGS__),             \
                            CLEW__KEY_ARRAY(__VA_ARGS__),                      \
                            CLEW__TYPE_ARRAY(__VA_ARGS__),                     \
                            CLEW__VALUE_ARRAY(__VA_ARGS__))
CLEW_PUBLIC const struct clew_logger *
clew_logger_with_fields(const struct clew_logger *parent, size_t n, const char *const *keys,
                        const uint8_t *types, const struct clew_value *values);

/* "" for NULL. Borrowed, for ever valid. */
CLEW_PUBLIC const char *clew_logger_name(const struct clew_logger *logger);

/* Whether a line of that level through the logger would be written: one load
 * and a comparison. Rules that name single call sites are not known here. */
CLEW_PUBLIC bool clew_logger_enabled(const struct clew_logger *logger, enum clew_level level);

#ifdef __cplusplus
}
#endif

/* logger is evaluated once; the fields only when the line is wanted. */
#define clew_log_to(logger, level, ...) CLEW__LOG_TO(logger, level, __VA_ARGS__)
#define CLEW__LOG_TO(to, lvl, ...)                                             \
    do {                                                                       \
        if ((lvl) >= CLEW_COMPILE_LEVEL) {                                     \
            CLEW__SITE(lvl, 1, __VA_ARGS__);                                   \
            const struct clew_logger *clew__to = (to);                         \
            CLEW__GATE(clew__gate);                                            \
            if (clew__gate != 0 &&                                             \
                (clew__gate != CLEW_GATE_LINE || clew_logger_enabled(clew__to, lvl))) \
                CLEW__CALL_TO(clew__to, __VA_ARGS__);                          \
        }                                                                      \
    } while (0)

#define clew_trace_to(logger, ...) CLEW__LOG_TO(logger, CLEW_LEVEL_TRACE, __VA_ARGS__)
#define clew_debug_to(logger, ...) CLEW__LOG_TO(logger, CLEW_LEVEL_DEBUG, __VA_ARGS__)
#define clew_info_to(logger, ...) CLEW__LOG_TO(logger, CLEW_LEVEL_INFO, __VA_ARGS__)
#define clew_warn_to(logger, ...) CLEW__LOG_TO(logger, CLEW_LEVEL_WARN, __VA_ARGS__)
#define clew_error_to(logger, ...) CLEW__LOG_TO(logger, CLEW_LEVEL_ERROR, __VA_ARGS__)
#define clew_fatal_to(logger, ...) CLEW__LOG_TO(logger, CLEW_LEVEL_FATAL, __VA_ARGS__)

#endif
