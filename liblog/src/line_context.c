/* SPDX-License-Identifier: Apache-2.0
 *
 * A context as a line needs it: a CONTEXT record's payload, checked, and the
 * text made from it once. Run by whoever empties the ring; recovery may have a
 * damaged payload before it.
 */
#include "context_priv.h"
#include "core_priv.h"
#include "fields_priv.h"

#include <json.h>

#include <string.h>
#include <sys/mman.h>

/* A buffer that never grows, with the slack that pieces are read with. */
static struct clew__buf fixed(char *room, size_t size)
{
    size -= CLEW__PIECE_SLACK;
    return (struct clew__buf){room, 0, size, size, false};
}

/* Mapped, not allocated: a thread that helps to empty its own ring may do so in
 * a signal handler. The texts have all the room they can ever need. */
struct clew__line_context *clew__line_context_new(void)
{
    struct clew__line_context *context = clew__map_memory(sizeof(*context));

    if (context) {
        context->ids_json = fixed(context->ids_room, sizeof(context->ids_room));
        context->bound_json = fixed(context->bound_room, sizeof(context->bound_room));
        context->raw_keys = fixed(context->keys_room, sizeof(context->keys_room));
    }
    return context;
}

void clew__line_context_free(struct clew__line_context *context)
{
    if (context)
        (void)munmap(context, sizeof(*context));
}

static void add_id(struct clew__buf *out, const char *key, const char *id)
{
    if (!id[0])
        return;
    clew__buf_adds(out, key);
    clew__json_string(out, id, strlen(id));
}

/* Keys get a NUL each, for sinks; pointers are set when the buffer is final. */
static bool set_bound(struct clew__line_context *context, const char *bound, size_t len, unsigned n)
{
    struct clew__field field;
    size_t at = 0, key_at[CLEW__BOUND_FIELDS_MAX];

    if (n > CLEW__BOUND_FIELDS_MAX)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (!clew__fields_next(bound, len, &at, &field))
            return false;
        key_at[i] = context->raw_keys.len;
        clew__buf_add(&context->raw_keys, field.key, field.key_len);
        clew__buf_addc(&context->raw_keys, '\0');
        context->bound[i].type = field.type;
        context->bound[i].value = field.value;
        clew__buf_addc(&context->bound_json, ',');
        clew__json_string(&context->bound_json, field.key, field.key_len);
        clew__buf_addc(&context->bound_json, ':');
        clew__json_value(&context->bound_json, field.type, &field.value);
    }
    if (context->raw_keys.failed || context->bound_json.failed)
        return false;
    for (unsigned i = 0; i < n; i++)
        context->bound[i].key = context->raw_keys.data + key_at[i];
    context->nbound = n;
    return true;
}

static void make_empty(struct clew__line_context *context)
{
    context->request_id[0] = context->correlation_id[0] = '\0';
    memset(context->trace_id, 0, 16);
    context->has_trace = false;
    context->nbound = 0;
    context->raw_len = 0;
    clew__buf_reset(&context->ids_json);
    clew__buf_reset(&context->bound_json);
    clew__buf_reset(&context->raw_keys);
}

bool clew__line_context_set(struct clew__line_context *context, const char *payload, size_t len)
{
    static const uint8_t none[16];
    struct clew__context_record head;
    size_t used = sizeof(head);
    char hex[33];

    make_empty(context);
    if (len < sizeof(head) || len > sizeof(context->raw))
        return false;
    memcpy(&head, payload, sizeof(head));
    used += (size_t)head.request_len + head.correlation_len + head.bound_len;
    if (used > len || head.request_len > CLEW_ID_MAX || head.correlation_len > CLEW_ID_MAX)
        return false;
    memcpy(context->raw, payload, used);
    context->raw_len = used;
    payload = context->raw + sizeof(head);
    memcpy(context->request_id, payload, head.request_len);
    context->request_id[head.request_len] = '\0';
    payload += head.request_len;
    memcpy(context->correlation_id, payload, head.correlation_len);
    context->correlation_id[head.correlation_len] = '\0';
    payload += head.correlation_len;
    memcpy(context->trace_id, head.trace_id, 16);
    context->has_trace = memcmp(head.trace_id, none, 16) != 0;
    add_id(&context->ids_json, ",\"request_id\":", context->request_id);
    add_id(&context->ids_json, ",\"correlation_id\":", context->correlation_id);
    if (context->has_trace) {
        clew__hex(hex, head.trace_id, 16);
        hex[32] = '\0';
        add_id(&context->ids_json, ",\"trace_id\":", hex);
    }
    if (!set_bound(context, payload, head.bound_len, head.nbound)) {
        make_empty(context);
        return false;
    }
    return true;
}
