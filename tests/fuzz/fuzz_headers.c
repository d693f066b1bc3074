/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers of a request, one "name:value" a line. Whatever they are: what
 * goes on is printable, within the limits, and comes out of a second service as
 * it came out of the first; and the quick way of taking a list agrees with the
 * grammar.
 */
#include <propagate_priv.h>
#include <tracing_priv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#define HEADERS_MAX 16

struct sent {
    size_t n;
    char *name[HEADERS_MAX], *value[HEADERS_MAX];
};

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_headers: %s\n", what);
        abort();
    }
}

static void take(void *arg, const struct clew_header *header)
{
    struct sent *sent = arg;

    must(sent->n < HEADERS_MAX, "too many headers");
    must(strlen(header->name) == header->name_len && strlen(header->value) == header->value_len,
         "a length is wrong");
    must(header->value_len > 0 && header->value_len <= CLEW_BAGGAGE_MAX, "an odd length");
    for (size_t i = 0; i < header->value_len; i++)
        must((header->value[i] >= 0x20 && header->value[i] < 0x7F) || header->value[i] == '\t',
             "a control went on");
    sent->name[sent->n] = strdup(header->name);
    sent->value[sent->n++] = strdup(header->value);
}

static void send_on(const struct clew_extract *headers, struct sent *ret)
{
    struct clew_scope scope = clew_extract_context(headers, NULL);
    struct clew_baggage_member member;
    char value[64];
    size_t at = 0, n = 0;

    ret->n = 0;
    must(scope.context && *clew_context_request_id(scope.context), "no context");
    must(strlen(clew_tracestate_text(scope.context)) <= CLEW_TRACESTATE_MAX, "long tracestate");
    while (clew_baggage_next(scope.context, &at, &member)) {
        char key[CLEW_BAGGAGE_MAX + 1];

        memcpy(key, member.key, member.key_len);
        key[member.key_len] = '\0';
        must(clew_baggage_get(scope.context, key, value, sizeof(value)) >= 0, "a member is gone");
        n++;
    }
    must(n <= CLEW_BAGGAGE_MEMBERS_MAX, "too many members");
    clew_inject_headers(scope, take, ret);
    clew_scope_release(scope);
}

/* The same twice, but for a trace that began here and time that passed. */
static void twice(const struct clew_extract *headers)
{
    struct sent first, second;
    struct clew_extract again;

    send_on(headers, &first);
    clew_extract_init(&again);
    for (size_t i = 0; i < first.n; i++)
        clew_extract_header(&again, first.name[i], strlen(first.name[i]), first.value[i],
                            strlen(first.value[i]));
    send_on(&again, &second);
    must(first.n == second.n, "another number of headers");
    for (size_t i = 0; i < first.n; i++) {
        must(strcmp(first.name[i], second.name[i]) == 0, "another header");
        must(strstr(first.name[i], "timeout") || strcmp(first.value[i], second.value[i]) == 0,
             "another value");
        free(first.name[i]);
        free(first.value[i]);
        free(second.name[i]);
        free(second.value[i]);
    }
}

/* Two pieces, of which one is empty, always take the careful way. */
static void ways_agree(const char *text, size_t len)
{
    const struct clew_extract_piece pieces[2] = {{text, len}, {"", 0}};
    char *copy = malloc(len + CLEW__TEXT_SLACK);
    struct clew_context *context = clew_context_new();

    if (len <= CLEW__USUAL_STATE_MAX && clew__list_copy_usual(copy, text, len, true)) {
        clew__tracestate_take(context, pieces, 2);
        must(context->state_len == len && memcmp(context->state, text, len) == 0 &&
                 memcmp(copy, text, len) == 0,
             "tracestate: the ways disagree");
    }
    if (len < CLEW__BAGGAGE_INLINE && clew__list_copy_usual(copy, text, len, false)) {
        clew__baggage_take(context, pieces, 2);
        must(context->baggage && context->baggage_len == len &&
                 memcmp(context->baggage, text, len) == 0 && memcmp(copy, text, len) == 0,
             "baggage: the ways disagree");
    }
    clew_context_unref(context);
    free(copy);
}

/* B3 and Jaeger: what was read is written so that the same is read. */
static void other_formats(const struct clew_extract *headers)
{
    for (int which = 0; which < 3; which++) {
        struct clew__remote first = {.flags = 0}, second = {.flags = 0};
        struct clew_extract again;
        struct clew_context *context;
        struct sent sent = {.n = 0};

        if (which == 2 ? !clew__jaeger_parse(&headers->jaeger, &first)
                       : !clew__b3_parse(headers, &first))
            continue;
        if (!first.span_id)
            continue;
        context = clew_context_new();
        clew_context_set_trace(context, first.trace_id, first.flags);
        context->b3_debug = first.b3_debug;
        if (which == 2)
            clew__jaeger_inject((struct clew_scope){context, first.span_id}, take, &sent);
        else
            clew__b3_inject((struct clew_scope){context, first.span_id}, which == 1, take, &sent);
        clew_context_unref(context);
        clew_extract_init(&again);
        for (size_t i = 0; i < sent.n; i++)
            clew_extract_header(&again, sent.name[i], strlen(sent.name[i]), sent.value[i],
                                strlen(sent.value[i]));
        must(which == 2 ? clew__jaeger_parse(&again.jaeger, &second)
                        : clew__b3_parse(&again, &second),
             "not read again");
        must(first.span_id == second.span_id && memcmp(first.trace_id, second.trace_id, 16) == 0 &&
                 first.flags == second.flags && first.b3_debug == second.b3_debug,
             "another trace");
        for (size_t i = 0; i < sent.n; i++) {
            free(sent.name[i]);
            free(sent.value[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *p = (const char *)data, *end = p + size;
    struct clew_extract headers;

    clew_extract_init(&headers);
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p)), *colon;

        stop = stop ? stop : end;
        colon = memchr(p, ':', (size_t)(stop - p));
        if (colon) {
            clew_extract_header(&headers, p, (size_t)(colon - p), colon + 1,
                                (size_t)(stop - colon - 1));
            ways_agree(colon + 1, (size_t)(stop - colon - 1));
        }
        p = stop + 1;
    }
    twice(&headers);
    other_formats(&headers);
    return 0;
}
