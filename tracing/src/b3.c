/* SPDX-License-Identifier: Apache-2.0
 * B3 in one header and in several, and Jaeger's uber-trace-id. Stateless. */
#include "propagate_priv.h"
#include "tracing_priv.h"

#include <json.h>

#include <string.h>

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* 1 to 2n digits as n bytes, zeros to the left; false when there are other
 * characters or none but zeros. */
static bool read_id(uint8_t *ret, size_t n, const char *text, size_t len)
{
    char digits[32];
    uint8_t any = 0;

    if (len == 0 || len > 2 * n)
        return false;
    memset(digits, '0', 2 * n);
    memcpy(digits + 2 * n - len, text, len);
    if (clew__unhex(ret, digits, n) < 0)
        return false;
    for (size_t i = 0; i < n; i++)
        any |= ret[i];
    return any != 0;
}

static bool read_ids(struct clew__remote *ret, const char *trace, size_t trace_len,
                     const char *span, size_t span_len)
{
    return read_id(ret->trace_id, 16, trace, trace_len) &&
           read_id((uint8_t *)&ret->span_id, 8, span, span_len);
}

/* ---- B3 ---------------------------------------------------------------------- */

/* '0', '1' or 'd'; the caller's flags say it then. False for another. */
static bool read_state(char state, struct clew__remote *ret)
{
    if (state != '0' && state != '1' && state != 'd')
        return false;
    ret->decision = CLEW__OPEN;
    ret->b3_debug = state == 'd';
    ret->flags = state == '0' ? 0 : CLEW_TRACE_SAMPLED;
    return true;
}

/* Without ids there is a decision all the same. */
static void only_decision(struct clew__remote *ret)
{
    ret->span_id = 0;
    ret->decision = ret->flags ? CLEW__WANTED : CLEW__UNWANTED;
}

/* trace-span[-state[-parent]] or state */
static bool parse_single(struct clew_extract_piece piece, struct clew__remote *ret)
{
    const char *text = piece.value, *dash, *end;
    size_t len = piece.len;

    clew__trim(&text, &len);
    if (len == 1) {
        if (!read_state(text[0], ret))
            return false;
        only_decision(ret);
        return true;
    }
    dash = memchr(text, '-', len);
    if (!dash || (dash - text != 32 && dash - text != 16))
        return false;
    end = text + len;
    if (end - dash < 17 || !read_ids(ret, text, (size_t)(dash - text), dash + 1, 16))
        return false;
    text = dash + 17;
    ret->decision = CLEW__DEFERRED;
    if (text == end)
        return true;
    if (end - text < 2 || text[0] != '-' || !read_state(text[1], ret))
        return false;
    text += 2;
    if (text == end)
        return true;
    for (const char *p = text + 1; p < end; p++)
        if (!is_hex(*p))
            return false;
    return text[0] == '-' && end - text == 17; /* the parent's parent, which nobody needs */
}

static bool piece_is(const struct clew_extract_piece *piece, const char *text)
{
    const char *value = piece->value;
    size_t len = piece->len;

    if (!value)
        return false;
    clew__trim(&value, &len);
    return len == strlen(text) && memcmp(value, text, len) == 0;
}

static bool parse_multi(const struct clew_extract *extract, struct clew__remote *ret)
{
    struct clew_extract_piece trace = extract->b3_trace_id, span = extract->b3_span_id;
    const struct clew_extract_piece *sampled = &extract->b3_sampled;

    ret->decision = CLEW__DEFERRED;
    if (piece_is(&extract->b3_flags, "1"))
        (void)read_state('d', ret);
    else if (piece_is(sampled, "1") || piece_is(sampled, "true"))
        (void)read_state('1', ret);
    else if (piece_is(sampled, "0") || piece_is(sampled, "false"))
        (void)read_state('0', ret);
    if (trace.value && span.value) {
        clew__trim(&trace.value, &trace.len);
        clew__trim(&span.value, &span.len);
        return (trace.len == 32 || trace.len == 16) && span.len == 16 &&
               read_ids(ret, trace.value, trace.len, span.value, span.len);
    }
    if (ret->decision == CLEW__DEFERRED)
        return false;
    only_decision(ret);
    return true;
}

bool clew__b3_parse(const struct clew_extract *extract, struct clew__remote *ret)
{
    return (extract->b3.value && parse_single(extract->b3, ret)) || parse_multi(extract, ret);
}

static void put_ids(char trace[33], char span[17], struct clew_scope scope)
{
    clew__hex(trace, scope.context->trace_id, 16);
    clew__hex(span, &scope.span_id, 8);
    trace[32] = span[16] = '\0';
}

void clew__b3_inject(struct clew_scope scope, bool multi, clew__set_fn *set, void *arg)
{
    bool sampled = scope.context->trace_flags & CLEW_TRACE_SAMPLED, d = scope.context->b3_debug;
    char trace[33], span[17], all[32 + 1 + 16 + 3];

    put_ids(trace, span, scope);
    if (multi) {
        CLEW__SET("X-B3-TraceId", trace, 32);
        CLEW__SET("X-B3-SpanId", span, 16);
        if (d)
            CLEW__SET("X-B3-Flags", "1", 1);
        else
            CLEW__SET("X-B3-Sampled", sampled ? "1" : "0", 1);
        return;
    }
    memcpy(all, trace, 32);
    all[32] = '-';
    memcpy(all + 33, span, 16);
    memcpy(all + 49, d ? "-d" : sampled ? "-1" : "-0", 3);
    CLEW__SET("b3", all, sizeof(all) - 1);
}

/* ---- Jaeger ---------------------------------------------------------------------- */

/* The next field of four, ended by ':' or, where a client quoted it, "%3A". */
static bool take_field(const char **text, const char *end, struct clew__member *ret)
{
    const char *p = *text;

    while (p < end && is_hex(*p))
        p++;
    *ret = (struct clew__member){*text, (size_t)(p - *text)};
    if (p < end && *p == ':')
        p++;
    else if (end - p >= 3 && p[0] == '%' && p[1] == '3' && (p[2] == 'A' || p[2] == 'a'))
        p += 3;
    else if (p < end)
        return false;
    *text = p;
    return ret->len > 0;
}

/* trace:span:parent:flags, zeros to the left may be missing */
bool clew__jaeger_parse(const struct clew_extract_piece *piece, struct clew__remote *ret)
{
    struct clew__member field[4];
    const char *text = piece->value;
    size_t len = piece->len;
    uint8_t flags = 0;

    if (!text)
        return false;
    clew__trim(&text, &len);
    for (const char **p = &text, *end = text + len; p; p = NULL)
        for (int i = 0; i < 4; i++)
            if (!take_field(p, end, &field[i]) || (i == 3) != (*p == end))
                return false;
    if (!read_ids(ret, field[0].text, field[0].len, field[1].text, field[1].len) ||
        field[3].len > 2)
        return false;
    (void)read_id(&flags, 1, field[3].text, field[3].len);
    ret->decision = CLEW__OPEN;
    ret->flags = flags & 1 ? CLEW_TRACE_SAMPLED : 0;
    ret->b3_debug = (flags & 3) == 3;
    return true;
}

void clew__jaeger_inject(struct clew_scope scope, clew__set_fn *set, void *arg)
{
    bool sampled = scope.context->trace_flags & CLEW_TRACE_SAMPLED;
    char trace[33], span[17], all[32 + 1 + 16 + 5];

    put_ids(trace, span, scope);
    memcpy(all, trace, 32);
    all[32] = ':';
    memcpy(all + 33, span, 16);
    memcpy(all + 49, sampled ? scope.context->b3_debug ? ":0:3" : ":0:1" : ":0:0", 5);
    CLEW__SET("uber-trace-id", all, sizeof(all) - 1);
}
