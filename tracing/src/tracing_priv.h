/* SPDX-License-Identifier: Apache-2.0
 * What the files of tracing share. */
#ifndef CLEW_TRACING_PRIV_H
#define CLEW_TRACING_PRIV_H

#include <clew/trace.h>
#include <context_priv.h>
#include <core_priv.h>
#include <fields_priv.h>

/* ---- sampler.c --------------------------------------------------------------
 *
 * Whether the spans of a request are recorded here is decided where the first of
 * them starts, and kept in the context's trace flags; the spans below follow.
 * For those clew__sampler_known() is enough: one load, a shift, a mask. */

/* What a decision depends on. */
struct clew__sampling {
    const uint8_t *trace_id;
    const struct clew_context *context; /* for its tracestate; NULL: none */
    bool has_parent;
    bool parent_is_remote;
    bool parent_sampled;
    const char *name;
    enum clew_span_kind kind;
    const char *hint; /* what rules match; NULL: the name */
};

struct clew__sampled {
    bool sampled;
    enum { CLEW__TH_KEEP, CLEW__TH_SET, CLEW__TH_REMOVE } th; /* of "ot" in tracestate */
    uint64_t threshold; /* 56 bits: recorded when the trace's randomness is not below it */
};

/* Never blocks, no allocation. The first of the process reads the environment. */
struct clew__sampled clew__sampler_decide(const struct clew__sampling *sampling);
/* Writes it into the context: flags, tracestate. Before others see the context. */
void clew__sampler_apply(struct clew_context *context, const struct clew__sampled *sampled);

/* Two bits for each of root, and of local and remote parents not sampled and
 * sampled: 0 no, 1 yes, 2 ask clew__sampler_decide(). */
extern _Atomic uint32_t clew__sampler_table;

/* For a context whose decision is not open (clew__sampler_is_open()). */
static inline int clew__sampler_known(bool has_parent, bool remote, bool sampled)
{
    unsigned i = has_parent ? 1u + 2u * remote + sampled : 0;

    return atomic_load_explicit(&clew__sampler_table, memory_order_relaxed) >> 2 * i & 3;
}

/* The context came out of headers and no span of it has started yet. */
static inline bool clew__sampler_is_open(const struct clew_context *context)
{
    return context->decision != CLEW__DECIDED;
}

/* OTEL_SDK_DISABLED=true: no spans at all, ids are passed on as they came. */
bool clew__tracing_disabled(void);

/* url.c: copies what may be seen, cut to size with its NUL. Of an URL, user and
 * password become "REDACTED"; in a query and a fragment the values of names that
 * are secret do. */
void clew__url_clean(char *to, size_t size, const char *url);
void clew__query_clean(char *to, size_t size, const char *query);

#endif
