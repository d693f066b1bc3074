/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers in: W3C Trace Context level 2 (sections 3.2 and 3.3), W3C Baggage
 * (section 3), X-Request-ID and X-Correlation-ID. Everything here comes from
 * strangers; what does not fit the grammar is left out, never passed on.
 */
#include "tracing_priv.h"

#include <json.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TRACESTATE_MEMBERS_MAX 32
#define BAGGAGE_MEMBERS_MAX 64
#define LONG_MEMBER 128

void clew_extract_init(struct clew_extract *extract)
{
    memset(extract, 0, sizeof(*extract));
}

static bool is_name(const char *name, size_t len, const char *lower)
{
    return strlen(lower) == len && strncasecmp(name, lower, len) == 0;
}

static void add_piece(struct clew_extract_piece pieces[8], unsigned char *n,
                      struct clew_extract_piece piece)
{
    /* One more than fits is counted, so that the whole can be refused. */
    if (*n < 8)
        pieces[*n] = piece;
    if (*n < 9)
        (*n)++;
}

void clew_extract_header(struct clew_extract *extract, const char *name, size_t name_len,
                         const char *value, size_t value_len)
{
    struct clew_extract_piece piece = {value, value_len};

    if (is_name(name, name_len, "traceparent")) {
        extract->traceparent = piece;
        if (extract->ntraceparent < 2)
            extract->ntraceparent++;
    } else if (is_name(name, name_len, "tracestate")) {
        add_piece(extract->tracestate, &extract->ntracestate, piece);
    } else if (is_name(name, name_len, "baggage")) {
        add_piece(extract->baggage, &extract->nbaggage, piece);
    } else if (is_name(name, name_len, "x-request-id")) {
        if (!extract->request_id.value)
            extract->request_id = piece;
    } else if (is_name(name, name_len, "x-correlation-id")) {
        if (!extract->correlation_id.value)
            extract->correlation_id = piece;
    }
}

static void trim(const char **text, size_t *len)
{
    while (*len && (**text == ' ' || **text == '\t')) {
        (*text)++;
        (*len)--;
    }
    while (*len && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
        (*len)--;
}

static bool is_lower_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

bool clew__traceparent_parse(const char *text, size_t len, uint8_t ret_trace_id[16],
                             uint64_t *ret_span_id, uint8_t *ret_flags)
{
    static const uint8_t none[16];
    uint8_t version, flags, trace_id[16];
    uint64_t span_id;

    trim(&text, &len);
    if (len < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
        !is_lower_hex(text, 2) || !is_lower_hex(text + 3, 32) || !is_lower_hex(text + 36, 16) ||
        !is_lower_hex(text + 53, 2))
        return false;
    (void)clew__unhex(&version, text, 1);
    (void)clew__unhex(trace_id, text + 3, 16);
    (void)clew__unhex(&span_id, text + 36, 8);
    (void)clew__unhex(&flags, text + 53, 1);
    if (version == 0xFF || memcmp(trace_id, none, 16) == 0 || span_id == 0)
        return false;
    /* Only a version to come may have more, and then behind a dash. */
    if (len > 55 && (version == 0 || text[55] != '-'))
        return false;
    memcpy(ret_trace_id, trace_id, 16);
    *ret_span_id = span_id;
    *ret_flags = flags & (CLEW_TRACE_SAMPLED | CLEW_TRACE_RANDOM);
    return true;
}

/* ---- lists ------------------------------------------------------------- */

struct member {
    const char *text;
    size_t len;
};

/* Splits all pieces at commas, trims, leaves empty ones out.
 * Returns how many there are; more than max is max + 1. */
static size_t split(const struct clew_extract_piece *pieces, size_t n, struct member *ret,
                    size_t max)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        const char *p = pieces[i].value, *end = p + pieces[i].len;

        while (p < end) {
            const char *comma = memchr(p, ',', (size_t)(end - p));
            const char *text = p;
            size_t len = (size_t)((comma ? comma : end) - p);

            trim(&text, &len);
            if (len && found == max)
                return max + 1;
            if (len)
                ret[found++] = (struct member){text, len};
            p = comma ? comma + 1 : end;
        }
    }
    return found;
}

static bool is_state_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' ||
           c == '/' || c == '@';
}

static bool state_member_is_good(const struct member *m)
{
    const char *equals = memchr(m->text, '=', m->len);
    size_t key = equals ? (size_t)(equals - m->text) : 0, value = m->len - key - 1;

    if (key == 0 || key > 256 || value == 0 || value > 256)
        return false;
    if (!((m->text[0] >= 'a' && m->text[0] <= 'z') || (m->text[0] >= '0' && m->text[0] <= '9')))
        return false;
    for (size_t i = 1; i < key; i++)
        if (!is_state_key_char(m->text[i]))
            return false;
    for (size_t i = key + 1; i < m->len; i++)
        if (m->text[i] < 0x20 || m->text[i] > 0x7E || m->text[i] == '=')
            return false;
    return true;
}

static char *join(const struct member *members, size_t n)
{
    size_t total = 0;
    char *text, *p;

    for (size_t i = 0; i < n; i++)
        total += members[i].len + 1;
    if (total == 0 || !(text = malloc(total)))
        return NULL;
    p = text;
    for (size_t i = 0; i < n; i++) {
        if (i)
            *p++ = ',';
        memcpy(p, members[i].text, members[i].len);
        p += members[i].len;
    }
    *p = '\0';
    return text;
}

static size_t joined_len(const struct member *members, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += members[i].len + (i > 0);
    return total;
}

static size_t without(struct member *members, size_t n, size_t i)
{
    memmove(members + i, members + i + 1, (n - i - 1) * sizeof(*members));
    return n - 1;
}

char *clew__tracestate_join(const struct clew_extract_piece *pieces, size_t npieces)
{
    struct member members[TRACESTATE_MEMBERS_MAX + 1];
    size_t n = npieces > 8 ? 0 : split(pieces, npieces, members, TRACESTATE_MEMBERS_MAX);

    if (n > TRACESTATE_MEMBERS_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!state_member_is_good(&members[i]))
            return NULL;
    /* Too long: long members go first, then from the end (section 3.3.1.5). */
    for (size_t i = n; i-- > 0 && joined_len(members, n) > CLEW_TRACESTATE_MAX;)
        if (members[i].len > LONG_MEMBER)
            n = without(members, n, i);
    while (joined_len(members, n) > CLEW_TRACESTATE_MAX)
        n--;
    return join(members, n);
}

static bool is_token_char(char c)
{
    return c > 0x20 && c < 0x7F && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* key=value with optional ;properties; octets of section 3.3.1. */
static bool baggage_member_is_good(const struct member *m)
{
    const char *equals = memchr(m->text, '=', m->len);
    struct member key = {m->text, equals ? (size_t)(equals - m->text) : 0};

    trim(&key.text, &key.len);
    if (key.len == 0)
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (!is_token_char(key.text[i]))
            return false;
    for (const char *p = equals + 1; p < m->text + m->len; p++)
        if (!((*p >= 0x20 && *p < 0x7F) || *p == '\t') || *p == '"' || *p == '\\')
            return false;
    return true;
}

char *clew__baggage_join(const struct clew_extract_piece *pieces, size_t npieces)
{
    struct member members[BAGGAGE_MEMBERS_MAX + 1];
    size_t n = split(pieces, npieces > 8 ? 8 : npieces, members, BAGGAGE_MEMBERS_MAX);

    if (n > BAGGAGE_MEMBERS_MAX)
        n = BAGGAGE_MEMBERS_MAX;
    for (size_t i = n; i-- > 0;)
        if (!baggage_member_is_good(&members[i]))
            n = without(members, n, i);
    while (joined_len(members, n) > CLEW_BAGGAGE_MAX)
        n--;
    return join(members, n);
}

struct clew_scope clew_extract_context(const struct clew_extract *extract, bool *ret_remote)
{
    struct clew_scope scope = {clew_context_new(), 0};
    struct clew_context *context = scope.context;
    uint8_t trace_id[16], flags = 0;
    bool remote;

    if (!context)
        return scope;
    (void)clew_context_set_request_id(context, extract->request_id.value, extract->request_id.len);
    (void)clew_context_set_correlation_id(context, extract->correlation_id.value,
                                          extract->correlation_id.len);
    remote = extract->ntraceparent == 1 &&
             clew__traceparent_parse(extract->traceparent.value, extract->traceparent.len, trace_id,
                                     &scope.span_id, &flags);
    if (remote) {
        context->trace_state = clew__tracestate_join(extract->tracestate, extract->ntracestate);
    } else {
        clew_id_trace(trace_id);
        flags = CLEW_TRACE_RANDOM;
        scope.span_id = 0;
    }
    if (clew__sampler_decide(trace_id, remote, flags))
        flags |= CLEW_TRACE_SAMPLED;
    else
        flags &= (uint8_t)~CLEW_TRACE_SAMPLED;
    clew_context_set_trace(context, trace_id, flags);
    context->baggage = clew__baggage_join(extract->baggage, extract->nbaggage);
    if (ret_remote)
        *ret_remote = remote;
    return scope;
}
