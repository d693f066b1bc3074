/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans. An open span is one piece of memory with everything in it; its end is
 * one record in the ring of the thread that ends it. A span that is not
 * sampled has ids, so that context goes on, and keeps nothing else.
 */
#include "span_priv.h"

#include <json.h>

#include <stdlib.h>
#include <string.h>

static void copy_text(char to[CLEW__SPAN_TEXT_MAX], const char *text)
{
    size_t len = text ? strnlen(text, CLEW__SPAN_TEXT_MAX) : 0;

    len = clew__utf8_cut(text ? text : "", len, CLEW__SPAN_TEXT_MAX - 1);
    memcpy(to, text ? text : "", len);
    to[len] = '\0';
}

/* A trace begins here: a context of its own, without request ids. */
static struct clew_context *new_root(void)
{
    struct clew_context *context = clew_context_new();
    uint8_t trace_id[16];

    if (!context)
        return NULL;
    clew_id_trace(trace_id);
    clew_context_set_trace(context, trace_id, CLEW_TRACE_RANDOM);
    context->decision = CLEW__OPEN;
    return context;
}

/* The first span of its context settles whether they are recorded. */
static void decide(struct clew_context *context, uint64_t parent_id, const char *name,
                   enum clew_span_kind kind)
{
    const struct clew__sampling sampling = {
        .trace_id = context->trace_id,
        .context = context,
        .has_parent = parent_id != 0,
        .parent_is_remote = parent_id != 0,
        .parent_sampled = context->trace_flags & CLEW_TRACE_SAMPLED,
        .name = name,
        .kind = kind,
    };
    struct clew__sampled sampled = clew__sampler_decide(&sampling);

    clew__sampler_apply(context, &sampled);
}

struct clew_span *clew_span_start_in(struct clew_scope parent, bool remote, const char *name,
                                     enum clew_span_kind kind)
{
    struct clew_context *context;
    struct clew_span *span;
    bool recording;

    if (clew__tracing_disabled())
        return NULL;
    context = parent.context ? clew_context_ref(parent.context) : new_root();
    if (!context)
        return NULL;
    if (clew__sampler_is_open(context))
        decide(context, parent.span_id, name, kind);
    recording = context->trace_flags & CLEW_TRACE_SAMPLED;
    span = malloc(sizeof(*span) + (recording ? CLEW_SPAN_BYTES_MAX : 0));
    if (!span) {
        (void)clew_context_unref(context);
        return NULL;
    }
    *span = (struct clew_span){.scope = {context, clew_id_span()},
                               .parent_id = parent.span_id,
                               .start_ticks = clew__ticks(),
                               .kind = kind,
                               .recording = recording,
                               .parent_is_remote = remote && parent.span_id};
    span->attributes = (struct clew__fields){
        .bytes = span->bytes, .max_bytes = CLEW_SPAN_BYTES_MAX, .max_n = CLEW_SPAN_ATTRIBUTES_MAX};
    if (recording)
        copy_text(span->name, name);
    return span;
}

struct clew_span *clew_span_start(const char *name, enum clew_span_kind kind)
{
    return clew_span_start_in(clew_scope_current(), false, name, kind);
}

struct clew_span *clew_span_begin(const char *name, enum clew_span_kind kind)
{
    struct clew_span *span = clew_span_start(name, kind);

    if (span) {
        span->previous = clew_scope_enter(span->scope);
        span->entered = true;
    }
    return span;
}

struct clew_scope clew_span_scope(const struct clew_span *span)
{
    return span ? span->scope : clew_scope_current();
}

bool clew_span_is_recording(const struct clew_span *span)
{
    return span && span->recording;
}

void clew_span_set_name(struct clew_span *span, const char *name)
{
    if (clew_span_is_recording(span))
        copy_text(span->name, name);
}

void clew_span_set_fields(struct clew_span *span, size_t n, const char *const *keys,
                          const uint8_t *types, const struct clew_value *values)
{
    if (!clew_span_is_recording(span))
        return;
    for (size_t i = 0; i < n; i++)
        if (clew__fields_set(&span->attributes, keys[i], (enum clew_type)types[i], &values[i]) <
                0 &&
            span->dropped < UINT16_MAX)
            span->dropped++;
}

void clew_span_set_status(struct clew_span *span, enum clew_span_status status, const char *message)
{
    /* Ok is final, and nothing goes back to Unset. */
    if (!clew_span_is_recording(span) || span->status == CLEW_SPAN_OK || status == CLEW_SPAN_UNSET)
        return;
    span->status = status;
    copy_text(span->message, status == CLEW_SPAN_ERROR ? message : NULL);
}

void clew_span_end(struct clew_span *span)
{
    if (!span)
        return;
    if (span->recording)
        clew__span_put(span, clew__ticks());
    if (span->entered && clew__self.context == span->scope.context &&
        clew_hot.span_id == span->scope.span_id)
        clew_scope_leave(span->previous);
    (void)clew_context_unref(span->scope.context);
    free(span);
}
