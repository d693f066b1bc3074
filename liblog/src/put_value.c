/* SPDX-License-Identifier: Apache-2.0
 * A stored value as JSON text. Lengths inside of arrays and objects are checked:
 * they may come from a damaged file. Stateless. */
#include "format_priv.h"

#include <base64.h>
#include <json.h>

#include <time.h>

static char *put_text(char *p, const char *text)
{
    size_t n = strlen(text);

    memcpy(p, text, n);
    return p + n;
}

/* Days since 1970 to a date in the proleptic Gregorian calendar: years are
 * counted from March, in eras of 400. */
static void civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t era;
    unsigned of_era, year, of_year, month;

    days += 719468; /* 1 March of the year 0 */
    era = (days >= 0 ? days : days - 146096) / 146097;
    of_era = (unsigned)(days - era * 146097);
    year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year + year / 4 - year / 100);
    month = (5 * of_year + 2) / 153;
    *ret_day = of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = (int64_t)year + era * 400 + (*ret_month <= 2);
}

char *clew__put_time(char *p, int64_t ns)
{
    int64_t second = ns / 1000000000, year;
    int64_t fraction = ns % 1000000000;
    int64_t days, of_day;
    unsigned month, day;

    if (fraction < 0) {
        fraction += 1000000000;
        second--;
    }
    days = second / 86400;
    of_day = second % 86400;
    if (of_day < 0) {
        of_day += 86400;
        days--;
    }
    civil(days, &year, &month, &day);
    p = clew__put_digits(p, (uint64_t)year, 4);
    *p++ = '-';
    p = clew__put_digits(p, month, 2);
    *p++ = '-';
    p = clew__put_digits(p, day, 2);
    *p++ = 'T';
    p = clew__put_digits(p, (uint64_t)of_day / 3600, 2);
    *p++ = ':';
    p = clew__put_digits(p, (uint64_t)of_day / 60 % 60, 2);
    *p++ = ':';
    p = clew__put_digits(p, (uint64_t)of_day % 60, 2);
    *p++ = '.';
    p = clew__put_fraction(p, (uint32_t)fraction);
    *p++ = 'Z';
    return p;
}

/* Seconds, exact, at least one digit after the point. */
static char *put_duration(char *p, int64_t ns)
{
    uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

    if (ns < 0)
        *p++ = '-';
    p = clew__put_uint(p, n / 1000000000u);
    *p++ = '.';
    p = clew__put_fraction(p, (uint32_t)(n % 1000000000u));
    while (p[-1] == '0' && p[-2] != '.')
        p--;
    return p;
}

static char *put_errno(char *p, int64_t number)
{
    const char *name = strerrorname_np((int)number), *text = strerrordesc_np((int)number);

    p = put_text(p, "{\"number\":");
    p = clew__put_int(p, number);
    if (name) {
        p = put_text(p, ",\"name\":\"");
        p = put_text(p, name);
        *p++ = '"';
    }
    p = put_text(p, ",\"text\":\"");
    p = put_text(p, text ? text : "unknown error");
    return put_text(p, "\"}");
}

static char *put_string(char *p, const struct clew_value *value, size_t readable)
{
    *p++ = '"';
    p = clew__put_chars(p, value->as.s, value->len, readable);
    *p++ = '"';
    return p;
}

static char *put_ip(char *p, const struct clew_value *value)
{
    if (value->len != 4 && value->len != 16)
        return put_text(p, "null");
    *p++ = '"';
    p = clew__put_ip(p, value->as.s, value->len);
    *p++ = '"';
    return p;
}

static char *put_at(char *p, unsigned type, const struct clew_value *value, size_t readable,
                    unsigned depth);

/* An array or an object. */
static char *put_container(char *p, unsigned type, const struct clew_value *value, unsigned depth)
{
    struct clew_field container = {.key = "", .type = (enum clew_type)type, .value = *value};
    bool object = type == CLEW_TYPE_OBJECT, first = true;
    struct clew_field field;
    size_t at = 0;

    *p++ = object ? '{' : '[';
    while (clew_field_next(&container, &at, &field)) {
        if (!first)
            *p++ = ',';
        first = false;
        if (object) {
            *p++ = '"';
            p = clew__put_chars(p, field.key, field.key_len, field.key_len);
            p = put_text(p, "\":");
        }
        p = put_at(p, field.type, &field.value, field.value.len, depth + 1);
    }
    *p++ = object ? '}' : ']';
    return p;
}

static char *put_at(char *p, unsigned type, const struct clew_value *value, size_t readable,
                    unsigned depth)
{
    char *end;

    switch (type) {
    case CLEW_TYPE_INT:
        return clew__put_int(p, value->as.i);
    case CLEW_TYPE_UINT:
    case CLEW_TYPE_HELD:
        return clew__put_uint(p, value->as.u);
    case CLEW_TYPE_DOUBLE:
        return clew__put_double(p, value->as.d);
    case CLEW_TYPE_BOOL:
        return put_text(p, value->as.u & 0xFF ? "true" : "false");
    case CLEW_TYPE_TIME:
        *p++ = '"';
        p = clew__put_time(p, value->as.i);
        *p++ = '"';
        return p;
    case CLEW_TYPE_DURATION:
        return put_duration(p, value->as.i);
    case CLEW_TYPE_ERRNO:
        return put_errno(p, value->as.i);
    default:
        break;
    }
    if (clew__type_is_fixed(type) || !value->as.s)
        return put_text(p, "null");
    switch (type) {
    case CLEW_TYPE_HEX:
        *p++ = '"';
        clew__hex(p, value->as.s, value->len);
        p += 2 * value->len;
        *p++ = '"';
        return p;
    case CLEW_TYPE_BASE64:
        *p++ = '"';
        p = clew__put_base64(p, value->as.s, value->len);
        *p++ = '"';
        return p;
    case CLEW_TYPE_IP:
        return put_ip(p, value);
    case CLEW_TYPE_JSON:
        end = clew__put_json(p, value->as.s, value->len);
        return end ? end : put_string(p, value, readable);
    case CLEW_TYPE_ARRAY:
        return put_container(p, type, value, depth);
    case CLEW_TYPE_OBJECT:
        return depth < CLEW_FIELD_DEPTH_MAX ? put_container(p, type, value, depth)
                                            : put_text(p, "null");
    default:
        return put_string(p, value, readable);
    }
}

char *clew__put_value(char *p, unsigned type, const struct clew_value *value, size_t readable)
{
    return put_at(p, type, value, readable, 0);
}

void clew__json_value(struct clew__buf *out, unsigned type, const struct clew_value *value)
{
    char fixed[160], *p;

    if (type == CLEW_TYPE_STRING && value->as.s) {
        clew__json_string(out, value->as.s, value->len);
    } else if (clew__type_is_fixed(type) || !value->as.s) {
        clew__buf_add(out, fixed, (size_t)(clew__put_value(fixed, type, value, 0) - fixed));
    } else {
        p = clew__buf_room(out, clew__put_value_bound(type, value));
        if (p)
            out->len = (size_t)(clew__put_value(p, type, value, value->len) - out->data);
    }
}

size_t clew_field_text(const struct clew_field *field, char *buf, size_t size)
{
    char small[512]; /* addresses, times, numbers */
    struct clew__buf text;
    const char *from;
    size_t len;

    if (field->type == CLEW_TYPE_STRING && field->value.as.s) {
        memcpy(buf, field->value.as.s, field->value.len < size ? field->value.len : size);
        return field->value.len;
    }
    clew__buf_init(&text, 16u * 65536u);
    if (clew__put_value_bound(field->type, &field->value) <= sizeof(small)) {
        from = small;
        len =
            (size_t)(clew__put_value(small, field->type, &field->value, field->value.len) - small);
    } else {
        clew__json_value(&text, field->type, &field->value);
        from = text.failed ? "" : text.data;
        len = text.failed ? 0 : text.len;
    }
    if (len >= 2 && from[0] == '"') { /* times, addresses, bytes: nothing in them is escaped */
        from++;
        len -= 2;
    }
    memcpy(buf, from, len < size ? len : size);
    clew__buf_done(&text);
    return len;
}
