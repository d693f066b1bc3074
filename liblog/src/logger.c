/* SPDX-License-Identifier: Apache-2.0
 *
 * Loggers: a name, a threshold, and fields encoded once. A record names its
 * logger by number; the ring file's dictionary has them, so that recovery does.
 *
 * Threads: made under the registry's lock, never changed but for the threshold,
 * never freed: the collector finds them by number without a lock.
 */
#include "logger_priv.h"

#include "core_priv.h"
#include "levels_priv.h"
#include "secret_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOGGERS_MAX 65535u
#define PAGE_LOGGERS 256u

static struct clew_logger **_Atomic pages[LOGGERS_MAX / PAGE_LOGGERS + 1];
static uint32_t nloggers;
static _Atomic int nameless_threshold = CLEW_LEVEL_INFO;

const struct clew_logger *clew__logger_by_id(uint32_t id)
{
    struct clew_logger **page;

    if (id == 0 || id > LOGGERS_MAX)
        return NULL;
    page = atomic_load_explicit(&pages[(id - 1) / PAGE_LOGGERS], memory_order_acquire);
    return page ? page[(id - 1) % PAGE_LOGGERS] : NULL;
}

static bool name_is_good(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    for (size_t i = 0; i < len; i++)
        if (name[i] <= 0x20 || name[i] >= 0x7F || strchr("=,:", name[i]))
            return false;
    return len > 0 && len <= CLEW_LOGGER_NAME_MAX;
}

static int locked_store(struct clew_logger *logger)
{
    struct clew_logger **page;

    if (nloggers == LOGGERS_MAX)
        return clew_set_error(-ENOSPC, "logger %s: there are %u already", logger->name,
                              LOGGERS_MAX);
    page = atomic_load(&pages[nloggers / PAGE_LOGGERS]);
    if (!page) {
        page = calloc(PAGE_LOGGERS, sizeof(*page));
        if (!page)
            return clew_set_error(-ENOMEM, "logger %s: no memory", logger->name);
        atomic_store(&pages[nloggers / PAGE_LOGGERS], page);
    }
    logger->id = ++nloggers;
    atomic_store(&logger->threshold, clew__logger_threshold(logger->name));
    page[(logger->id - 1) % PAGE_LOGGERS] = logger;
    (void)clew__file_add_logger(logger->id, logger->name, logger->bytes, logger->fields.len);
    return 0;
}

static struct clew_logger *locked_find(const char *name)
{
    for (uint32_t id = 1; id <= nloggers; id++) {
        const struct clew_logger *logger = clew__logger_by_id(id);

        if (logger->fields.n == 0 && strcmp(logger->name, name) == 0)
            return (struct clew_logger *)logger;
    }
    return NULL;
}

static struct clew_logger *new_logger(const char *name)
{
    struct clew_logger *logger = calloc(1, sizeof(*logger));

    if (!logger) {
        (void)clew_set_error(-ENOMEM, "logger %s: no memory", name);
        return NULL;
    }
    memcpy(logger->name, name, strlen(name));
    logger->fields =
        (struct clew__fields){logger->bytes, 0, sizeof(logger->bytes), 0, CLEW__BOUND_FIELDS_MAX};
    return logger;
}

const struct clew_logger *clew_logger_get(const char *name)
{
    struct clew_logger *logger;

    if (!name_is_good(name)) {
        (void)clew_set_error(-EINVAL,
                             "logger name: 1 to %u printable ASCII characters without spaces, "
                             "'=', ',' and ':'",
                             CLEW_LOGGER_NAME_MAX);
        return NULL;
    }
    (void)clew__ensure_started(); /* thresholds are part of the configuration */
    clew__registry_lock();
    logger = locked_find(name);
    if (!logger && (logger = new_logger(name)) && locked_store(logger) < 0) {
        free(logger);
        logger = NULL;
    }
    clew__registry_unlock();
    return logger;
}

const struct clew_logger *clew_logger_with_fields(const struct clew_logger *parent, size_t n,
                                                  const char *const *keys, const uint8_t *types,
                                                  const struct clew_value *values)
{
    struct clew_logger *logger;
    int err = 0;

    (void)clew__ensure_started();
    logger = new_logger(clew_logger_name(parent));
    if (!logger)
        return NULL;
    if (parent) {
        memcpy(logger->bytes, parent->bytes, parent->fields.len);
        logger->fields.len = parent->fields.len;
        logger->fields.n = parent->fields.n;
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        err = clew__fields_set(&logger->fields, keys[i], types[i], &values[i]);
        if (err < 0)
            (void)clew_set_error(err, "logger %s: field \"%.64s\": %s", logger->name, keys[i],
                                 err == -E2BIG ? "no room for it" : "key or type not allowed");
    }
    if (err == 0) {
        clew__registry_lock();
        err = locked_store(logger);
        clew__registry_unlock();
    }
    if (err < 0) {
        free(logger);
        return NULL;
    }
    return logger;
}

const char *clew_logger_name(const struct clew_logger *logger)
{
    return logger ? logger->name : "";
}

bool clew_logger_enabled(const struct clew_logger *logger, enum clew_level level)
{
    return (int)level >= (logger ? atomic_load_explicit(&logger->threshold, memory_order_relaxed)
                                 : atomic_load_explicit(&nameless_threshold, memory_order_relaxed));
}

void clew__loggers_set_thresholds(void)
{
    atomic_store(&nameless_threshold, clew__logger_threshold(""));
    for (uint32_t id = 1; id <= nloggers; id++) {
        struct clew_logger *logger = (struct clew_logger *)clew__logger_by_id(id);

        atomic_store(&logger->threshold, clew__logger_threshold(logger->name));
    }
}

void clew__loggers_save(void)
{
    for (uint32_t id = 1; id <= nloggers; id++) {
        const struct clew_logger *logger = clew__logger_by_id(id);

        (void)clew__file_add_logger(id, logger->name, logger->bytes, logger->fields.len);
    }
}
