/* SPDX-License-Identifier: Apache-2.0
 * A span while it is open. */
#ifndef CLEW_SPAN_PRIV_H
#define CLEW_SPAN_PRIV_H

#include "tracing_priv.h"

#define CLEW__SPAN_TEXT_MAX 256u /* of name and of status message, NUL included */

struct clew_span {
    struct clew_scope scope; /* its context (a reference) and its own id */
    struct clew_scope previous;
    uint64_t parent_id;
    uint64_t start_ticks;
    enum clew_span_kind kind;
    enum clew_span_status status;
    bool entered;
    bool recording;
    bool parent_is_remote;
    uint16_t dropped;
    struct clew__fields attributes;
    char name[CLEW__SPAN_TEXT_MAX];
    char message[CLEW__SPAN_TEXT_MAX];
    char bytes[]; /* CLEW_SPAN_BYTES_MAX of them when it is recording */
};

/* Puts the ended span into this thread's ring. */
void clew__span_put(const struct clew_span *span, uint64_t end_ticks);

#endif
