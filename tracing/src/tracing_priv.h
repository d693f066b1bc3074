/* SPDX-License-Identifier: Apache-2.0
 * What the files of tracing share. */
#ifndef CLEW_TRACING_PRIV_H
#define CLEW_TRACING_PRIV_H

#include <clew/trace.h>
#include <context_priv.h>
#include <core_priv.h>
#include <fields_priv.h>

/* sampler.c: reads OTEL_TRACES_SAMPLER once. Whether spans of a trace are
 * recorded here; has_parent: the trace came from elsewhere with these flags. */
bool clew__sampler_decide(const uint8_t trace_id[16], bool has_parent, uint8_t parent_flags);
/* OTEL_SDK_DISABLED=true: no spans at all, ids are passed on as they came. */
bool clew__tracing_disabled(void);

/* extract.c, for the tests. */
bool clew__traceparent_parse(const char *text, size_t len, uint8_t ret_trace_id[16],
                             uint64_t *ret_span_id, uint8_t *ret_flags);
/* Joins and checks; a heap string, NULL when there is nothing to carry. */
char *clew__tracestate_join(const struct clew_extract_piece *pieces, size_t n);
char *clew__baggage_join(const struct clew_extract_piece *pieces, size_t n);

/* url.c: copies what may be seen, cut to size with its NUL. Of an URL, user and
 * password become "REDACTED"; in a query and a fragment the values of names that
 * are secret do. */
void clew__url_clean(char *to, size_t size, const char *url);
void clew__query_clean(char *to, size_t size, const char *query);

#endif
