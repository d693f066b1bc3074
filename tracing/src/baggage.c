/* SPDX-License-Identifier: Apache-2.0
 *
 * baggage: W3C Baggage, section 3. A context holds it as it goes out: values
 * percent-encoded, members that were malformed left out, within the limits. What
 * is no change of ours keeps its bytes and its order; keys may be there twice.
 */
#include "propagate_priv.h"
#include "tracing_priv.h"

#include <json.h>

#include <errno.h>
#include <string.h>

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7F || strchr("\"(),/:;<=>?@[\\]{}", text[i]))
            return false;
    return len > 0;
}

/* Octets of section 3.3.1, with blanks for what may stand around them. */
static bool are_octets(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 0x20 && text[i] < 0x7F) || text[i] == '\t') || text[i] == '"' ||
            text[i] == ',' || text[i] == '\\')
            return false;
    return true;
}

/* key=value;properties, taken apart; false when it is malformed. */
static bool split(const struct clew__member *m, struct clew_baggage_member *ret)
{
    const char *end = m->text + m->len, *equals = memchr(m->text, '=', m->len), *semicolon;

    if (!equals)
        return false;
    semicolon = memchr(equals, ';', (size_t)(end - equals));
    *ret = (struct clew_baggage_member){
        .key = m->text,
        .key_len = (size_t)(equals - m->text),
        .value = equals + 1,
        .value_len = (size_t)((semicolon ? semicolon : end) - equals - 1),
        .properties = semicolon ? semicolon + 1 : end,
        .properties_len = semicolon ? (size_t)(end - semicolon - 1) : 0};
    clew__trim(&ret->key, &ret->key_len);
    clew__trim(&ret->value, &ret->value_len);
    return is_token(ret->key, ret->key_len) && are_octets(equals + 1, (size_t)(end - equals - 1));
}

/* ---- as a whole ----------------------------------------------------------------- */

/* Members on their way into a context. */
struct joined {
    size_t n, len;
    char text[CLEW_BAGGAGE_MAX];
};

/* False when it does not fit. */
static bool append(struct joined *to, const char *text, size_t len)
{
    size_t comma = to->n > 0;

    if (to->n == CLEW_BAGGAGE_MEMBERS_MAX || to->len + comma + len > sizeof(to->text))
        return false;
    if (comma)
        to->text[to->len++] = ',';
    memcpy(to->text + to->len, text, len);
    to->len += len;
    to->n++;
    return true;
}

static int put(struct clew_context *context, const struct joined *from)
{
    char *room = from->len ? clew__context_baggage_room(context, from->len) : NULL;

    if (room) {
        memcpy(room, from->text, from->len);
        room[from->len] = '\0';
        return 0;
    }
    clew__context_baggage_none(context);
    return from->len ? -ENOMEM : 0;
}

/* Everything up to the first member that does not fit. Apart, for its stack. */
static __attribute__((noinline)) void take_carefully(struct clew_context *context,
                                                     const struct clew_extract_piece *pieces,
                                                     size_t npieces)
{
    struct clew_baggage_member parts;
    struct clew__member m;
    struct joined good;

    good.n = good.len = 0;
    for (size_t i = 0; i < npieces; i++)
        for (size_t at = 0; clew__member_next(pieces[i].value, pieces[i].len, &at, &m);)
            if (split(&m, &parts) && !append(&good, m.text, m.len)) {
                (void)put(context, &good);
                return;
            }
    (void)put(context, &good);
}

void clew__baggage_take(struct clew_context *context, const struct clew_extract_piece *pieces,
                        size_t n)
{
    if (n == 1 && pieces->len < CLEW__BAGGAGE_INLINE &&
        clew__list_copy_usual(context->baggage_room, pieces->value, pieces->len, false)) {
        context->baggage = context->baggage_room;
        context->baggage_len = (uint16_t)pieces->len;
        context->baggage[pieces->len] = '\0';
    } else if (n > 0) {
        take_carefully(context, pieces, n);
    }
}

/* ---- single members ---------------------------------------------------------------- */

static bool next(const struct clew_context *context, size_t *at, struct clew__member *ret,
                 struct clew_baggage_member *ret_parts)
{
    return context && context->baggage &&
           clew__member_next(context->baggage, context->baggage_len, at, ret) &&
           split(ret, ret_parts);
}

bool clew_baggage_next(const struct clew_context *context, size_t *at,
                       struct clew_baggage_member *ret)
{
    struct clew__member m;

    return next(context, at, &m, ret);
}

static bool is_key(const struct clew_baggage_member *m, const char *key)
{
    return strlen(key) == m->key_len && memcmp(m->key, key, m->key_len) == 0;
}

/* All members but those of key; returns how many were left out. */
static size_t others(const struct clew_context *context, const char *key, struct joined *ret)
{
    struct clew_baggage_member parts;
    struct clew__member m;
    size_t at = 0, left_out = 0;

    ret->n = ret->len = 0;
    while (next(context, &at, &m, &parts))
        if (is_key(&parts, key))
            left_out++;
        else
            (void)append(ret, m.text, m.len); /* they fitted before */
    return left_out;
}

/* Percent-encodes; NULL when end would be passed. */
static char *encode(char *to, const char *end, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = c > 0x20 && c < 0x7F && !strchr("\",;\\%", c);

        if (end - to < 3)
            return NULL;
        if (plain) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    return to;
}

int clew_baggage_set(struct clew_context *context, const char *key, const char *value,
                     const char *properties)
{
    char member[CLEW_BAGGAGE_MAX + 3], *end = member + sizeof(member), *p = member;
    struct joined all;
    size_t key_len = key ? strlen(key) : 0, properties_len = properties ? strlen(properties) : 0;

    if (!context || !value || !is_token(key ? key : "", key_len) ||
        !are_octets(properties ? properties : "", properties_len))
        return -EINVAL;
    if (key_len + properties_len + 5 > CLEW_BAGGAGE_MAX)
        return -E2BIG;
    p = mempcpy(mempcpy(p, key, key_len), "=", 1);
    p = encode(p, end - properties_len, value);
    if (!p)
        return -E2BIG;
    if (properties_len)
        p = mempcpy(mempcpy(p, ";", 1), properties, properties_len);
    (void)others(context, key, &all);
    if (!append(&all, member, (size_t)(p - member)))
        return -E2BIG;
    return put(context, &all);
}

int clew_baggage_remove(struct clew_context *context, const char *key)
{
    struct joined all;

    if (others(context, key, &all) == 0)
        return -ENOENT;
    return put(context, &all);
}

/* %XX become bytes; what is no escape stays as it is. */
static size_t decode(char *to, const char *text, size_t len)
{
    char *p = to;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && len - i > 2 && clew__unhex(p, text + i + 1, 1) == 0) {
            p++;
            i += 2;
        } else {
            *p++ = text[i];
        }
    }
    return (size_t)(p - to);
}

/* Copies as UTF-8, as much as fits; returns the whole length. */
static size_t copy_clean(char *ret, size_t size, const char *text, size_t len)
{
    size_t at = 0;
    bool fits = size > 0;

    for (size_t i = 0; i < len;) {
        size_t n = clew__utf8_sequence(text + i, len - i), out = n ? n : 3;

        fits = fits && at + out < size;
        if (fits) {
            memcpy(ret + at, n ? text + i : "\xEF\xBF\xBD", out);
            ret[at + out] = '\0';
        }
        at += out;
        i += n ? n : 1;
    }
    return at;
}

int clew_baggage_get(const struct clew_context *context, const char *key, char *ret, size_t size)
{
    struct clew_baggage_member parts, found = {.key = NULL};
    struct clew__member m;
    char text[CLEW_BAGGAGE_MAX];
    size_t at = 0;

    while (next(context, &at, &m, &parts))
        if (is_key(&parts, key))
            found = parts;
    if (!found.key)
        return -ENOENT;
    if (size)
        ret[0] = '\0';
    return (int)copy_clean(ret, size, text, decode(text, found.value, found.value_len));
}
