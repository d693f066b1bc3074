/* SPDX-License-Identifier: Apache-2.0
 * A table of log lines, for the logs page and those that show a few. */
#ifndef CLEW_LOCAL_PAGE_LOGS_H
#define CLEW_LOCAL_PAGE_LOGS_H

#include <buf.h>

struct page_lines { /* NULL: any */
    const char *request_id, *correlation_id, *trace_id, *service, *level, *text;
    size_t limit; /* at most 500; the newest */
};

void page_lines(struct clew__buf *out, const struct page_lines *want);

#endif
