/* SPDX-License-Identifier: Apache-2.0
 *
 * One rule on one event: values as text and as numbers, tests, labels. This is
 * the long way, taken once for each new combination of values. MT-Safe.
 */
#include "rules_priv.h"

#include <json.h>
#include <scan.h>

#include <fnmatch.h>
#include <math.h>
#include <string.h>

/* A text is never longer than what stands for it. Longer ones are left as they are. */
static const char *decode(const struct clew__rule_value *value, char *room, size_t *ret_len)
{
    struct clew__scan_value string = {
        .type = CLEW__SCAN_STRING, .escaped = true, .at = value->as.text, .len = value->len};
    struct clew__buf out = {.data = room, .cap = CLEW_RULE_TEXT_MAX, .max = CLEW_RULE_TEXT_MAX};

    if (value->len > CLEW_RULE_TEXT_MAX) {
        *ret_len = clew__utf8_cut(value->as.text, value->len, CLEW_RULE_TEXT_MAX);
        return value->as.text;
    }
    clew__scan_decode(&out, &string);
    *ret_len = out.len;
    return room;
}

const char *clew__rule_text(const struct clew__rule_value *value, char *room, size_t *ret_len)
{
    char *end = room;

    switch ((enum clew__rule_kind)value->kind) {
    case CLEW__RULE_TEXT:
    case CLEW__RULE_NUMBER:
        *ret_len = value->len <= CLEW_RULE_TEXT_MAX
                       ? value->len
                       : clew__utf8_cut(value->as.text, value->len, CLEW_RULE_TEXT_MAX);
        return value->as.text;
    case CLEW__RULE_ESCAPED:
        return decode(value, room, ret_len);
    case CLEW__RULE_INT:
        end = clew__put_int(room, value->as.i);
        break;
    case CLEW__RULE_UINT:
        end = clew__put_uint(room, value->as.u);
        break;
    case CLEW__RULE_DOUBLE:
        end = clew__put_double(room, value->as.d);
        break;
    case CLEW__RULE_SECONDS:
        end = clew__put_double(room, (double)value->as.i / 1e9);
        break;
    case CLEW__RULE_ABSENT:
    case CLEW__RULE_OTHER:
        break;
    }
    *ret_len = (size_t)(end - room);
    return room;
}

bool clew__rule_number(const struct clew__rule_value *value, double *ret)
{
    switch ((enum clew__rule_kind)value->kind) {
    case CLEW__RULE_INT:
        *ret = (double)value->as.i;
        return true;
    case CLEW__RULE_UINT:
        *ret = (double)value->as.u;
        return true;
    case CLEW__RULE_DOUBLE:
        *ret = value->as.d;
        return true;
    case CLEW__RULE_SECONDS:
        *ret = (double)value->as.i / 1e9;
        return true;
    case CLEW__RULE_NUMBER:
        *ret = clew__scan_double(value->as.text, value->len);
        return true;
    case CLEW__RULE_TEXT: /* "12.5", as some loggers write numbers */
        if (!clew__scan_is_number(value->as.text, value->len))
            return false;
        *ret = clew__scan_double(value->as.text, value->len);
        return true;
    case CLEW__RULE_ABSENT:
    case CLEW__RULE_ESCAPED:
    case CLEW__RULE_OTHER:
        break;
    }
    return false;
}

/* As bytes, or by value where both are numbers: 200 is 2e2. */
static bool equals(const struct clew__rule_value *value, const char *text, size_t len,
                   const char *wanted)
{
    size_t wanted_len = strlen(wanted);

    if (wanted_len == len && memcmp(wanted, text, len) == 0)
        return true;
    return value->kind >= CLEW__RULE_NUMBER && value->kind <= CLEW__RULE_SECONDS &&
           clew__scan_is_number(text, len) && clew__scan_is_number(wanted, wanted_len) &&
           clew__scan_same_number(text, len, wanted, wanted_len);
}

/* A logger and those below it. */
static bool is_below(const char *text, size_t len, const char *wanted)
{
    size_t n = strlen(wanted);

    return len >= n && memcmp(text, wanted, n) == 0 && (len == n || text[n] == '.');
}

static bool fits(const struct clew__rule_test *test, size_t which,
                 const struct clew__rule_value *value, const char *text, size_t len)
{
    const char *wanted = test->texts[which];
    char copy[CLEW_RULE_TEXT_MAX + 1];
    regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)len};

    switch (test->how) {
    case CLEW__RULE_EQUALS:
        return test->subject == CLEW__RULE_LOGGER ? is_below(text, len, wanted)
                                                  : equals(value, text, len, wanted);
    case CLEW__RULE_GLOB:
        if (memchr(text, '\0', len))
            return false;
        memcpy(copy, text, len);
        copy[len] = '\0';
        return fnmatch(wanted, copy, 0) == 0;
    case CLEW__RULE_REGEX:
        return regexec(&test->regexes[which], text, 1, &whole, REG_STARTEND) == 0;
    case CLEW__RULE_EXISTS:
        break;
    }
    return false;
}

static const struct clew__rule_value *subject_of(const struct clew__rule_test *test,
                                                 const struct clew__rule_value *event)
{
    if (test->subject == CLEW__RULE_EVENT && event[CLEW__COLUMN_EVENT].kind == CLEW__RULE_ABSENT)
        return &event[CLEW__COLUMN_MESSAGE];
    return &event[test->column];
}

bool clew__rule_test_holds(const struct clew__rule_test *test, const struct clew__rule_value *event)
{
    const struct clew__rule_value *value = subject_of(test, event);
    char room[CLEW_RULE_TEXT_MAX];
    const char *text;
    bool found = false;
    size_t len;

    if (test->how == CLEW__RULE_EXISTS)
        return (value->kind != CLEW__RULE_ABSENT) != test->negate;
    if (value->kind == CLEW__RULE_ABSENT || value->kind == CLEW__RULE_OTHER)
        return test->negate;
    text = clew__rule_text(value, room, &len);
    for (size_t i = 0; i < test->ntexts && !found; i++)
        found = fits(test, i, value, text, len);
    return found != test->negate;
}

const char *clew__rule_label_text(const struct clew__rule_label *label,
                                  const struct clew__rule_value *event, char *room, size_t *ret_len)
{
    const char *fallback = label->fallback ? label->fallback : "", *text;
    const struct clew__rule_value *value = label->field ? &event[label->column] : NULL;

    if (!value || value->kind == CLEW__RULE_ABSENT || value->kind == CLEW__RULE_OTHER) {
        *ret_len = strlen(fallback);
        return fallback;
    }
    text = clew__rule_text(value, room, ret_len);
    if (!label->map)
        return text;
    for (const struct clew__rule_pair *pair = label->map; pair->from; pair++)
        if (equals(value, text, *ret_len, pair->from)) {
            *ret_len = strlen(pair->to);
            return pair->to;
        }
    if (label->fallback) {
        *ret_len = strlen(fallback);
        return fallback;
    }
    return text;
}
