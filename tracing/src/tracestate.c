/* SPDX-License-Identifier: Apache-2.0
 *
 * tracestate: W3C Trace Context level 2, section 3.3. A context holds it as it
 * goes out: members joined by commas, no blanks around them, within the limits.
 */
#include "propagate_priv.h"
#include "tracing_priv.h"

#include <errno.h>
#include <string.h>

#define LONG_MEMBER 128u
#define KEY_MAX 256u
#define VALUE_MAX 256u
_Static_assert(CLEW_TRACESTATE_MAX == CLEW__STATE_MAX, "a context has room for it");

static bool is_first(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool key_is_good(const char *key, size_t len)
{
    if (len == 0 || len > KEY_MAX || !is_first(key[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_first(key[i]) && !(key[i] && strchr("_-*/@", key[i])))
            return false;
    return true;
}

static bool value_is_good(const char *value, size_t len)
{
    if (len == 0 || len > VALUE_MAX || value[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++)
        if (value[i] < 0x20 || value[i] > 0x7E || value[i] == ',' || value[i] == '=')
            return false;
    return true;
}

static size_t key_len(const struct clew__member *m)
{
    const char *equals = memchr(m->text, '=', m->len);

    return equals ? (size_t)(equals - m->text) : 0;
}

static bool member_is_good(const struct clew__member *m)
{
    size_t key = key_len(m);

    return key_is_good(m->text, key) && value_is_good(m->text + key + 1, m->len - key - 1);
}

/* ---- as a whole ------------------------------------------------------------- */

static size_t joined_len(const struct clew__member *members, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += members[i].len + (i > 0);
    return total;
}

static size_t without(struct clew__member *members, size_t n, size_t i)
{
    memmove(members + i, members + i + 1, (n - i - 1) * sizeof(*members));
    return n - 1;
}

/* Too long: long members go first, then from the end (section 3.3.1.5). */
static size_t fit(struct clew__member *members, size_t n)
{
    for (size_t i = n; i-- > 0 && joined_len(members, n) > CLEW_TRACESTATE_MAX;)
        if (members[i].len > LONG_MEMBER)
            n = without(members, n, i);
    while (joined_len(members, n) > CLEW_TRACESTATE_MAX)
        n--;
    return n;
}

/* members may lie in the context's own text. */
static void put(struct clew_context *context, const struct clew__member *members, size_t n)
{
    char text[CLEW_TRACESTATE_MAX + 1], *p = text;

    for (size_t i = 0; i < n; i++) {
        if (i)
            *p++ = ',';
        p = mempcpy(p, members[i].text, members[i].len);
    }
    *p = '\0';
    context->state_len = (uint16_t)(p - text);
    memcpy(context->state, text, context->state_len + 1u);
    context->trace_state = n ? context->state : NULL;
}

static void take_carefully(struct clew_context *context, const struct clew_extract_piece *pieces,
                           size_t npieces)
{
    struct clew__member members[CLEW_TRACESTATE_MEMBERS_MAX], m;
    size_t n = 0;

    for (size_t i = 0; i < npieces; i++)
        for (size_t at = 0; clew__member_next(pieces[i].value, pieces[i].len, &at, &m);) {
            if (n == CLEW_TRACESTATE_MEMBERS_MAX || !member_is_good(&m))
                return;
            members[n++] = m;
        }
    put(context, members, fit(members, n));
}

void clew__tracestate_take(struct clew_context *context, const struct clew_extract_piece *pieces,
                           size_t n)
{
    if (n == 1 && pieces->len <= CLEW__USUAL_STATE_MAX &&
        clew__list_copy_usual(context->state, pieces->value, pieces->len, true)) {
        context->state_len = (uint16_t)pieces->len;
        context->state[pieces->len] = '\0';
        context->trace_state = context->state;
    } else if (n > 0 && n <= CLEW_TRACESTATE_MEMBERS_MAX) {
        take_carefully(context, pieces, n);
    }
}

const char *clew_tracestate_text(const struct clew_context *context)
{
    return context && context->trace_state ? context->trace_state : "";
}

/* ---- single members ------------------------------------------------------------ */

/* The context's members from ret[0] on, without those of key; returns how many,
 * and of those left out the first. */
static size_t others(const struct clew_context *context, const char *key, struct clew__member *ret,
                     struct clew__member *ret_first)
{
    const char *text = clew_tracestate_text(context);
    size_t n = 0, at = 0, len = strlen(key);
    struct clew__member m;

    *ret_first = (struct clew__member){NULL, 0};
    while (n < CLEW_TRACESTATE_MEMBERS_MAX && clew__member_next(text, strlen(text), &at, &m)) {
        if (key_len(&m) != len || memcmp(m.text, key, len) != 0)
            ret[n++] = m;
        else if (!ret_first->text)
            *ret_first = m;
    }
    return n;
}

int clew_tracestate_get(const struct clew_context *context, const char *key, char *ret, size_t size)
{
    struct clew__member members[CLEW_TRACESTATE_MEMBERS_MAX], found;
    size_t skip, len;

    (void)others(context, key, members, &found);
    if (!found.text)
        return -ENOENT;
    skip = key_len(&found) + 1;
    len = found.len - skip;
    if (size) {
        size_t n = len < size ? len : size - 1;

        memcpy(ret, found.text + skip, n);
        ret[n] = '\0';
    }
    return (int)len;
}

int clew_tracestate_set(struct clew_context *context, const char *key, const char *value)
{
    struct clew__member members[CLEW_TRACESTATE_MEMBERS_MAX + 1], found;
    char text[KEY_MAX + 1 + VALUE_MAX];
    size_t key_n, value_n, n;

    if (!context || !key || !value)
        return -EINVAL;
    key_n = strnlen(key, KEY_MAX + 1);
    value_n = strnlen(value, VALUE_MAX + 1);
    if (!key_is_good(key, key_n) || !value_is_good(value, value_n) ||
        key_n + 1 + value_n > CLEW_TRACESTATE_MAX)
        return -EINVAL;
    memcpy(mempcpy(mempcpy(text, key, key_n), "=", 1), value, value_n);
    n = 1 + others(context, key, members + 1, &found);
    if (n > CLEW_TRACESTATE_MEMBERS_MAX)
        n--;
    members[0] = (struct clew__member){text, key_n + 1 + value_n};
    while (joined_len(members, n) > CLEW_TRACESTATE_MAX)
        n--;
    put(context, members, n);
    return 0;
}

int clew_tracestate_remove(struct clew_context *context, const char *key)
{
    struct clew__member members[CLEW_TRACESTATE_MEMBERS_MAX], found;
    size_t n = others(context, key, members, &found);

    if (!found.text)
        return -ENOENT;
    put(context, members, n);
    return 0;
}
