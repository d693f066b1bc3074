/* SPDX-License-Identifier: Apache-2.0
 *
 * An ended span on its way through the ring: written by the thread that ended
 * it, taken apart by the collector or by recovery. Like every record it may
 * come from a damaged file, so every length is checked.
 */
#include "span_priv.h"

#include <json.h>

#include <string.h>

/* The payload; then name, status message, tracestate and attributes. */
struct head {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint64_t parent_span_id;
    uint64_t start_ticks;
    uint64_t end_ticks;
    uint8_t kind;
    uint8_t status;
    uint8_t trace_flags;
    uint8_t parent_is_remote;
    uint16_t nattributes;
    uint16_t dropped_attributes;
    uint16_t name_len;
    uint16_t message_len;
    uint16_t state_len;
    uint16_t attributes_len;
};

void clew__span_put(const struct clew_span *span, uint64_t end_ticks)
{
    const struct clew_context *context = span->scope.context;
    const char *state = context->trace_state ? context->trace_state : "";
    char payload[sizeof(struct head) + CLEW__SPAN_TEXT_MAX * 2 + CLEW_TRACESTATE_MAX +
                 CLEW_SPAN_BYTES_MAX];
    struct head head = {.span_id = span->scope.span_id,
                        .parent_span_id = span->parent_id,
                        .start_ticks = span->start_ticks,
                        .end_ticks = end_ticks,
                        .kind = (uint8_t)span->kind,
                        .status = (uint8_t)span->status,
                        .trace_flags = context->trace_flags,
                        .parent_is_remote = span->parent_is_remote,
                        .nattributes = span->attributes.n,
                        .dropped_attributes = span->dropped,
                        .name_len = (uint16_t)strlen(span->name),
                        .message_len = (uint16_t)strlen(span->message),
                        .state_len = (uint16_t)strlen(state),
                        .attributes_len = span->attributes.len};
    char *at = payload;

    memcpy(head.trace_id, context->trace_id, 16);
    at = mempcpy(at, &head, sizeof(head));
    at = mempcpy(at, span->name, head.name_len);
    at = mempcpy(at, span->message, head.message_len);
    at = mempcpy(at, state, head.state_len);
    at = mempcpy(at, span->attributes.bytes, head.attributes_len);
    (void)clew__record_put(CLEW__WHAT_SPAN, head.span_id, payload, (size_t)(at - payload),
                           span->status == CLEW_SPAN_ERROR);
}

/* Text as valid UTF-8 with a NUL. The buffer has room for all of the span's
 * text, so the pointers it gives out stay good. */
static const char *clean(struct clew__buf *text, const char *s, size_t len, size_t *ret_len)
{
    size_t start = text->len;

    clew__utf8_clean(text, s, len);
    if (ret_len)
        *ret_len = text->len - start;
    clew__buf_addc(text, '\0');
    return text->failed ? "" : text->data + start;
}

static bool read_attributes(struct clew__buf *text, const char *bytes, size_t len, size_t n,
                            struct clew_field *ret)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        struct clew__field field;

        if (!clew__fields_next(bytes, len, &at, &field))
            return false;
        ret[i].key = clean(text, field.key, field.key_len, NULL);
        ret[i].type = field.type;
        ret[i].value = field.value;
        if (field.type == CLEW_TYPE_STRING)
            ret[i].value.as.s = clean(text, field.value.as.s, field.value.len, &ret[i].value.len);
    }
    return true;
}

static bool decode(const char *payload, size_t len, const struct clew__clock *clock,
                   void (*deliver)(void *arg, const struct clew_span_record *span), void *arg)
{
    static struct clew__buf text = {.max = 4 * CLEW__RECORD_MAX}; /* collector thread only */
    static struct clew_field attributes[CLEW_SPAN_ATTRIBUTES_MAX];
    struct clew_span_record span = {.attributes = attributes};
    struct head head;

    if (len < sizeof(head))
        return false;
    memcpy(&head, payload, sizeof(head));
    payload += sizeof(head);
    len -= sizeof(head);
    if ((size_t)head.name_len + head.message_len + head.state_len + head.attributes_len > len ||
        head.nattributes > CLEW_SPAN_ATTRIBUTES_MAX || head.kind < CLEW_SPAN_INTERNAL ||
        head.kind > CLEW_SPAN_CONSUMER || head.status > CLEW_SPAN_ERROR)
        return false;
    clew__buf_reset(&text);
    if (!clew__buf_room(&text, 3 * len + 2 * CLEW_SPAN_ATTRIBUTES_MAX + 3))
        return false;
    memcpy(span.trace_id, head.trace_id, 16);
    span.span_id = head.span_id;
    span.parent_span_id = head.parent_span_id;
    span.start_ns = clew__ticks_to_ns(clock, head.start_ticks);
    span.end_ns = clew__ticks_to_ns(clock, head.end_ticks);
    if (span.end_ns < span.start_ns)
        span.end_ns = span.start_ns;
    span.kind = (enum clew_span_kind)head.kind;
    span.status = (enum clew_span_status)head.status;
    span.trace_flags = head.trace_flags;
    span.parent_is_remote = head.parent_is_remote;
    span.dropped_attributes = head.dropped_attributes;
    span.name = clean(&text, payload, head.name_len, NULL);
    payload += head.name_len;
    span.status_message = clean(&text, payload, head.message_len, NULL);
    payload += head.message_len;
    span.trace_state = clean(&text, payload, head.state_len, NULL);
    payload += head.state_len;
    span.nattributes = head.nattributes;
    if (!read_attributes(&text, payload, head.attributes_len, head.nattributes, attributes))
        return false;
    deliver(arg, &span);
    return true;
}

/* liblog knows spans through this pointer only. */
__attribute__((constructor)) static void install(void)
{
    clew__span_decode = decode;
}
