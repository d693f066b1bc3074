/* SPDX-License-Identifier: Apache-2.0
 * Bodies as Alertmanager writes them are recognised in one pass, without a tree.
 * Whatever is unusual (an escaped name, a surrogate, a number with a fraction, a
 * structure that is not known) makes it give up: the parser decides then, and has
 * the words for what is wrong. So this says less than it could, and never says yes
 * to what the parser refuses; the fuzz target of webhooks holds it to that.
 *
 * A function that reads something leaves *at behind it, or returns false. */
#include "check.h"

#include "notification.h"

#include <common/instant.h>

#include <json.h>

#include <string.h>

#define NAMES_MAX 64u /* of one object; more are unusual */
#define UNKNOWN_MAX 8u

struct text {
    const char *at;
    size_t len;
    bool escaped;
};

struct input {
    const char *at, *end;
};

static void skip_space(struct input *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r'))
        in->at++;
}

/* The character, with white space around it. */
static bool take(struct input *in, char c)
{
    skip_space(in);
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    skip_space(in);
    return true;
}

static bool take_word(struct input *in, const char *word)
{
    size_t len = strlen(word);

    skip_space(in);
    if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0)
        return false;
    in->at += len;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* After the backslash. */
static bool take_escape(struct input *in)
{
    int code = 0;

    if (in->at == in->end)
        return false;
    if (*in->at != 'u')
        return *in->at && strchr("\"\\/bfnrt", *in->at++);
    if (in->end - in->at < 5)
        return false;
    for (int i = 1; i <= 4; i++) {
        int digit = hex_digit(in->at[i]);

        if (digit < 0)
            return false;
        code = code << 4 | digit;
    }
    in->at += 5;
    return code != 0 && (code < 0xD800 || code > 0xDFFF);
}

static bool take_string(struct input *in, struct text *ret)
{
    skip_space(in);
    if (in->at == in->end || *in->at++ != '"')
        return false;
    ret->at = in->at;
    ret->escaped = false;
    for (; in->at < in->end; in->at++) {
        unsigned char c = (unsigned char)*in->at;

        if (c == '"') {
            ret->len = (size_t)(in->at++ - ret->at);
            return true;
        }
        if (c >= 0x80) {
            size_t n = clew__utf8_sequence(in->at, (size_t)(in->end - in->at));

            if (n == 0)
                return false;
            in->at += n - 1;
        }
        if (c < 0x20)
            return false;
        if (c != '\\')
            continue;
        ret->escaped = true;
        in->at++;
        if (!take_escape(in))
            return false;
        in->at--;
    }
    return false;
}

static bool is(const struct text *text, const char *word)
{
    return text->len == strlen(word) && memcmp(text->at, word, text->len) == 0;
}

/* A name and its colon. It is plain, not empty, and none of those before it. */
static bool take_name(struct input *in, struct text *names, size_t max, size_t *n)
{
    struct text *name = &names[*n];

    if (*n == max || !take_string(in, name) || name->escaped || name->len == 0 || !take(in, ':'))
        return false;
    for (size_t i = 0; i < *n; i++)
        if (names[i].len == name->len && memcmp(names[i].at, name->at, name->len) == 0)
            return false;
    ++*n;
    return true;
}

/* An object of strings, or null. */
static bool take_map(struct input *in, size_t *ret_n)
{
    struct text names[NAMES_MAX], value;

    *ret_n = 0;
    if (take_word(in, "null"))
        return true;
    if (!take(in, '{'))
        return false;
    if (take(in, '}'))
        return true;
    do {
        if (!take_name(in, names, NAMES_MAX, ret_n) || !take_string(in, &value))
            return false;
    } while (take(in, ','));
    return take(in, '}');
}

static bool take_text(struct input *in, bool required)
{
    struct text text;

    if (!required && take_word(in, "null"))
        return true;
    return take_string(in, &text) && (!required || text.len > 0);
}

static bool take_time(struct input *in, bool required)
{
    struct text text;
    char copy[48];
    int64_t instant;

    if (!required && take_word(in, "null"))
        return true;
    if (!take_string(in, &text) || text.escaped || text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return clew__instant_parse(copy, &instant);
}

static bool take_fingerprint(struct input *in)
{
    struct text text;

    if (!take_string(in, &text) || text.len == 0 || text.len > CLEW__FINGERPRINT_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (hex_digit(text.at[i]) < 0)
            return false;
    return true;
}

static bool take_status(struct input *in)
{
    struct text text;

    return take_string(in, &text) && (is(&text, "firing") || is(&text, "resolved"));
}

/* A number without sign, fraction and exponent. */
static bool take_number(struct input *in)
{
    const char *start;

    skip_space(in);
    start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > start && in->at - start <= 18 && (*start != '0' || in->at == start + 1) &&
           in->at < in->end && !strchr(".eE", *in->at);
}

/* Of a name that is not known: a text, a word, or an object of texts. */
static bool take_unknown(struct input *in)
{
    size_t n;

    skip_space(in);
    if (in->at == in->end)
        return false;
    if (*in->at == '"')
        return take_text(in, false);
    return take_word(in, "true") || take_word(in, "false") || take_map(in, &n);
}

static bool take_alert(struct input *in)
{
    struct text names[7 + UNKNOWN_MAX];
    bool status = false, fingerprint = false, starts_at = false, right = true;
    size_t n = 0, nlabels = 0, nannotations;

    if (!take(in, '{'))
        return false;
    do {
        if (!take_name(in, names, 7 + UNKNOWN_MAX, &n))
            return false;
        if (is(&names[n - 1], "status"))
            right = status = take_status(in);
        else if (is(&names[n - 1], "labels"))
            right = take_map(in, &nlabels);
        else if (is(&names[n - 1], "annotations"))
            right = take_map(in, &nannotations);
        else if (is(&names[n - 1], "startsAt"))
            right = starts_at = take_time(in, true);
        else if (is(&names[n - 1], "endsAt"))
            right = take_time(in, false);
        else if (is(&names[n - 1], "generatorURL"))
            right = take_text(in, false);
        else if (is(&names[n - 1], "fingerprint"))
            right = fingerprint = take_fingerprint(in);
        else
            right = take_unknown(in);
    } while (right && take(in, ','));
    return right && status && fingerprint && starts_at && nlabels > 0 && take(in, '}');
}

/* ret_slices may be NULL. */
static bool take_list(struct input *in, size_t *ret_n, struct clew__slice *ret_slices)
{
    const char *start;

    *ret_n = 0;
    if (!take(in, '['))
        return false;
    if (take(in, ']'))
        return true;
    do {
        start = in->at;
        if (!take_alert(in))
            return false;
        if (ret_slices)
            ret_slices[*ret_n] = (struct clew__slice){start, (size_t)(in->at - start)};
        ++*ret_n;
    } while (take(in, ','));
    return take(in, ']');
}

static bool take_alerts(struct input *in, struct clew__shape *shape)
{
    skip_space(in);
    shape->list.at = in->at;
    if (!take_list(in, &shape->nalerts, NULL))
        return false;
    shape->list.len = (size_t)(in->at - shape->list.at); /* and what space follows */
    return true;
}

static bool take_member(struct input *in, const struct text *name, bool *version, bool *group,
                        bool *alerts, struct clew__shape *shape)
{
    struct text text;
    size_t n;

    if (is(name, "version"))
        return *version = take_string(in, &text) && is(&text, "4");
    if (is(name, "groupKey"))
        return *group = take_text(in, true);
    if (is(name, "alerts"))
        return *alerts = take_alerts(in, shape);
    if (is(name, "receiver") || is(name, "externalURL"))
        return take_text(in, false);
    if (is(name, "groupLabels") || is(name, "commonLabels") || is(name, "commonAnnotations"))
        return take_map(in, &n);
    if (is(name, "truncatedAlerts"))
        return take_number(in);
    return take_unknown(in);
}

bool clew__notification_check(const char *body, size_t len, struct clew__shape *ret_shape)
{
    struct input in = {body, body + len};
    struct text names[10 + UNKNOWN_MAX];
    bool version = false, group = false, alerts = false;
    size_t n = 0;

    if (!take(&in, '{'))
        return false;
    do {
        if (!take_name(&in, names, 10 + UNKNOWN_MAX, &n) ||
            !take_member(&in, &names[n - 1], &version, &group, &alerts, ret_shape))
            return false;
    } while (take(&in, ','));
    return version && group && alerts && take(&in, '}') && in.at == in.end;
}

void clew__notification_slices(const struct clew__shape *shape, struct clew__slice *ret_alerts)
{
    struct input in = {shape->list.at, shape->list.at + shape->list.len};
    size_t n;

    (void)take_list(&in, &n, ret_alerts);
}
