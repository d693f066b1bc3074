/* SPDX-License-Identifier: Apache-2.0
 * A logger as the core knows it. */
#ifndef CLEW_LOGGER_PRIV_H
#define CLEW_LOGGER_PRIV_H

#include "fields_priv.h"

#include <clew/logger.h>

struct clew_logger {
    _Atomic int threshold;
    uint32_t id;
    char name[CLEW_LOGGER_NAME_MAX + 1];
    struct clew__fields fields; /* in bytes */
    char bytes[CLEW_LOGGER_FIELDS_MAX_BYTES];
};

/* NULL when there is none of that number. No lock. */
const struct clew_logger *clew__logger_by_id(uint32_t id);

#endif
