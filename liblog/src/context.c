/* SPDX-License-Identifier: Apache-2.0
 *
 * The request context. Ids from outside are checked here and nowhere else:
 * what gets in is short and printable.
 *
 * Threads: the reference count is atomic; the contents are set by one thread
 * before others see them.
 */
#include "context_priv.h"
#include "core_priv.h"
#include "fields_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct clew_context *clew_context_new(void)
{
    struct clew_context *context = malloc(sizeof(*context));

    if (!context)
        return NULL;
    memset(context, 0, offsetof(struct clew_context, request_id));
    context->request_id[0] = context->correlation_id[0] = '\0';
    context->trace_state = context->baggage = NULL;
    context->serial = clew_id_span();
    atomic_init(&context->sampling, CLEW__SAMPLING_OPEN);
    atomic_init(&context->has_error, false);
    atomic_init(&context->refs, 1);
    return context;
}

struct clew_context *clew_context_ref(struct clew_context *context)
{
    return clew__context_ref(context);
}

struct clew_context *clew_context_unref(struct clew_context *context)
{
    if (context && atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) == 1) {
        free(context->trace_state);
        free(context->baggage);
        free(context);
    }
    return NULL;
}

/* Rings have not seen this version: the next line of this thread says it. */
static void changed(struct clew_context *context)
{
    context->serial = clew_id_span();
    clew_hot.limit = NULL;
}

static bool id_is_good(const char *id, size_t len)
{
    if (len > CLEW_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (id[i] < 0x20 || id[i] > 0x7E)
            return false;
    return true;
}

/* Takes id into slot; 0, or why a fresh one is needed. */
static int take_id(char slot[CLEW_ID_MAX + 1], uint8_t *slot_len, const char *id, size_t len)
{
    if (!id || len == 0)
        return 1;
    if (len == CLEW_LENGTH_UNKNOWN)
        len = strnlen(id, CLEW_ID_MAX + 1);
    if (!id_is_good(id, len)) {
        CLEW__COUNT_ONE(replaced_ids);
        return 2;
    }
    memcpy(slot, id, len);
    slot[len] = '\0';
    *slot_len = (uint8_t)len;
    return 0;
}

int clew_context_set_request_id(struct clew_context *context, const char *id, size_t len)
{
    int why = take_id(context->request_id, &context->request_len, id, len);

    if (why) {
        clew_id_uuid7(context->request_id);
        context->request_len = 36;
    }
    changed(context);
    return why;
}

int clew_context_set_correlation_id(struct clew_context *context, const char *id, size_t len)
{
    int why = take_id(context->correlation_id, &context->correlation_len, id, len);

    if (why && context->request_len) {
        memcpy(context->correlation_id, context->request_id, context->request_len + 1u);
        context->correlation_len = context->request_len;
    } else if (why) {
        clew_id_uuid7(context->correlation_id);
        context->correlation_len = 36;
    }
    changed(context);
    return why;
}

const char *clew_context_request_id(const struct clew_context *context)
{
    return context ? context->request_id : "";
}

const char *clew_context_correlation_id(const struct clew_context *context)
{
    return context ? context->correlation_id : "";
}

void clew_context_set_trace(struct clew_context *context, const uint8_t trace_id[16], uint8_t flags)
{
    memcpy(context->trace_id, trace_id, 16);
    context->trace_flags = flags;
    changed(context);
}

const uint8_t *clew_context_trace_id(const struct clew_context *context)
{
    static const uint8_t none[16];

    return context ? context->trace_id : none;
}

uint8_t clew_context_trace_flags(const struct clew_context *context)
{
    return context ? context->trace_flags : 0;
}

/* ---- bound fields ------------------------------------------------------- */

static bool key_is_reserved(const char *key)
{
    static const char *const reserved[] = {"timestamp",  "level",          "service",  "logger",
                                           "request_id", "correlation_id", "trace_id", "span_id",
                                           "message",    "context",        "source"};

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(key, reserved[i]) == 0)
            return true;
    return false;
}

int clew_context_bind_fields(struct clew_context *context, size_t n, const char *const *keys,
                             const uint8_t *types, const struct clew_value *values)
{
    char bytes[CLEW_BOUND_MAX_BYTES];
    struct clew__fields fields;

    if (!context)
        return clew_set_error(-EINVAL, "bound fields: there is no context");
    fields = (struct clew__fields){bytes, context->bound_len, sizeof(bytes), context->nbound,
                                   CLEW__BOUND_FIELDS_MAX};
    memcpy(bytes, context->bound, context->bound_len);
    for (size_t i = 0; i < n; i++) {
        int err = key_is_reserved(keys[i])
                      ? -EINVAL
                      : clew__fields_set(&fields, keys[i], (enum clew_type)types[i], &values[i]);

        if (err == -EINVAL)
            return clew_set_error(err,
                                  "bound field \"%.64s\": empty, longer than 255 bytes or a key "
                                  "of the line itself",
                                  keys[i]);
        if (err < 0)
            return clew_set_error(err, "bound fields: more than %u bytes or %u fields",
                                  CLEW_BOUND_MAX_BYTES, CLEW__BOUND_FIELDS_MAX);
    }
    memcpy(context->bound, bytes, fields.len);
    context->bound_len = fields.len;
    context->nbound = (uint8_t)fields.n;
    changed(context);
    return 0;
}

/* ---- the record --------------------------------------------------------- */

size_t clew__context_payload_len(const struct clew_context *context)
{
    return sizeof(struct clew__context_record) +
           (context ? (size_t)context->request_len + context->correlation_len + context->bound_len
                    : 0);
}

void clew__context_payload(const struct clew_context *context, char *ret)
{
    struct clew__context_record head = {.request_len = 0};

    if (context) {
        head.request_len = context->request_len;
        head.correlation_len = context->correlation_len;
        head.trace_flags = context->trace_flags;
        head.nbound = context->nbound;
        head.bound_len = context->bound_len;
        memcpy(head.trace_id, context->trace_id, 16);
    }
    memcpy(ret, &head, sizeof(head));
    if (!context)
        return;
    ret += sizeof(head);
    memcpy(ret, context->request_id, context->request_len);
    ret += context->request_len;
    memcpy(ret, context->correlation_id, context->correlation_len);
    ret += context->correlation_len;
    memcpy(ret, context->bound, context->bound_len);
}

/* ---- scopes ------------------------------------------------------------- */

struct clew_scope clew_scope_current(void)
{
    return clew__scope_current();
}

struct clew_scope clew_scope_enter(struct clew_scope scope)
{
    struct clew_scope previous = clew__scope_current();

    clew__scope_set(scope);
    return previous;
}

void clew_scope_leave(struct clew_scope previous)
{
    clew__scope_set(previous);
}

struct clew_scope clew_scope_capture(void)
{
    struct clew_scope scope = clew_scope_current();

    (void)clew_context_ref(scope.context);
    return scope;
}

void clew_scope_release(struct clew_scope scope)
{
    (void)clew_context_unref(scope.context);
}
