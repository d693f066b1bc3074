/* SPDX-License-Identifier: Apache-2.0
 *
 * A line as a syslog message (RFC 5424). What hostile values could do with
 * control characters on the way (a relay that frames by newlines, a terminal)
 * they cannot: those are written as in a JSON string. When all of it is too
 * large, parameters that do not fit are left out whole, last the message is
 * cut between characters. Collector thread.
 */
#include "sinks_priv.h"

#include <json.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SD_ID "clewline@32473"
#define BOM "\xEF\xBB\xBF"
#define PARAM_NAME_MAX 32u
#define HOST_MAX 255u
#define APP_MAX 48u

void clew__syslog_format_init(struct clew__syslog_format *format, unsigned facility,
                              size_t max_bytes)
{
    format->facility = facility;
    format->max_bytes = max_bytes;
    clew__buf_init(&format->prefix, 1024);
    clew__buf_init(&format->value, 8 * max_bytes);
    clew__buf_init(&format->message, 8 * max_bytes);
    clew__syslog_format_prefix(format);
}

void clew__syslog_format_done(struct clew__syslog_format *format)
{
    clew__buf_done(&format->prefix);
    clew__buf_done(&format->value);
    clew__buf_done(&format->message);
}

/* A header field: printable, no space, "-" for none. */
static void add_header_field(struct clew__buf *out, const char *text, size_t max)
{
    size_t len = strnlen(text, max);

    if (len == 0)
        clew__buf_addc(out, '-');
    for (size_t i = 0; i < len; i++)
        clew__buf_addc(out, text[i] > 0x20 && text[i] < 0x7F ? text[i] : '_');
    clew__buf_addc(out, ' ');
}

void clew__syslog_format_prefix(struct clew__syslog_format *format)
{
    struct clew__buf *out = &format->prefix;
    char host[HOST_MAX + 1] = "";

    (void)gethostname(host, sizeof(host) - 1);
    clew__buf_reset(out);
    clew__buf_addc(out, ' ');
    add_header_field(out, host, HOST_MAX);
    add_header_field(out, clew_service_name(), APP_MAX);
    clew__buf_addf(out, "%ld - ", (long)getpid());
}

/* Valid UTF-8 without control characters; in a parameter's value quote,
 * backslash and bracket get a backslash (section 6.3.3). */
static void add_clean(struct clew__buf *out, const char *s, size_t len, bool is_value)
{
    for (size_t i = 0, n; i < len; i += n) {
        unsigned char c = (unsigned char)s[i];

        n = clew__utf8_sequence(s + i, len - i);
        if (n == 0) {
            clew__buf_adds(out, "\xEF\xBF\xBD");
            n = 1;
        } else if (c < 0x20 || c == 0x7F) {
            if (is_value) /* the backslash of the JSON escape */
                clew__buf_addc(out, '\\');
            clew__json_chars(out, s + i, 1);
        } else {
            if (is_value && (c == '"' || c == '\\' || c == ']'))
                clew__buf_addc(out, '\\');
            clew__buf_add(out, s + i, n);
        }
    }
}

struct params {
    struct clew__syslog_format *format;
    struct clew__buf *out;
    size_t end; /* out->len may not pass this, the closing bracket included */
    bool open;
};

/* Takes a name as it may stand there; leaves the parameter out when there is
 * no room for all of it. */
static void add_param(struct params *params, const char *name, const char *s, size_t len)
{
    struct clew__buf *out = params->out;
    size_t before = out->len;

    if (!params->open)
        clew__buf_adds(out, "[" SD_ID);
    clew__buf_addc(out, ' ');
    clew__buf_adds(out, name);
    clew__buf_adds(out, "=\"");
    if (len <= params->format->max_bytes)
        add_clean(out, s, len, true);
    clew__buf_addc(out, '"');
    if (len > params->format->max_bytes || out->len + 1 > params->end)
        out->len = before;
    else
        params->open = true;
}

static void make_name(const char *key, char ret[PARAM_NAME_MAX + 1])
{
    static const char *const own[] = {"request_id", "correlation_id", "trace_id", "span_id"};
    size_t len = 0;

    for (; key[len] && len < PARAM_NAME_MAX; len++) {
        char c = key[len];

        ret[len] = c > 0x20 && c < 0x7F && !strchr("=]\"", c) ? c : '_';
    }
    if (len == 0)
        ret[len++] = '_';
    ret[len] = '\0';
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(ret, own[i]) == 0) /* a field must not pass for the id */
            (void)snprintf(ret, PARAM_NAME_MAX + 1, "f_%s", own[i]);
}

static void add_fields(struct params *params, const struct clew_field *fields, size_t n)
{
    struct clew__buf *value = &params->format->value;

    for (size_t i = 0; i < n; i++) {
        char name[PARAM_NAME_MAX + 1];

        make_name(fields[i].key, name);
        clew__buf_reset(value);
        clew__value_text(value, fields[i].type, &fields[i].value);
        if (!value->failed)
            add_param(params, name, value->data, value->len);
    }
}

static void add_structured_data(struct params *params, const struct clew_line *line)
{
    char hex[32];

    if (line->request_id[0])
        add_param(params, "request_id", line->request_id, strlen(line->request_id));
    if (line->correlation_id[0])
        add_param(params, "correlation_id", line->correlation_id, strlen(line->correlation_id));
    if (clew__is_set(line->trace_id, 16)) {
        clew__hex(hex, line->trace_id, 16);
        add_param(params, "trace_id", hex, 32);
    }
    if (line->span_id) {
        clew__hex(hex, &line->span_id, 8);
        add_param(params, "span_id", hex, 16);
    }
    add_fields(params, line->bound, line->nbound);
    add_fields(params, line->fields, line->nfields);
    clew__buf_addc(params->out, params->open ? ']' : '-');
}

void clew__syslog_format_line(struct clew__syslog_format *format, const struct clew_line *line,
                              struct clew__buf *out)
{
    struct clew__buf *message = &format->message;
    time_t seconds = (time_t)(line->time_ns / CLEW__SECOND_NS);
    size_t start = out->len, end = start + format->max_bytes, behind, len;
    struct params params = {.format = format, .out = out};
    struct tm tm;
    char when[24];

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    clew__buf_addf(out, "<%u>1 %s.%06uZ", format->facility * 8 + clew__severity(line->level), when,
                   (unsigned)(line->time_ns % CLEW__SECOND_NS / 1000));
    clew__buf_add(out, format->prefix.data, format->prefix.len);

    len = line->message_len < format->max_bytes ? line->message_len : format->max_bytes;
    clew__buf_reset(message);
    add_clean(message, line->message, len, false);
    behind = strlen(" " BOM) + message->len;
    params.end = end - start > behind ? end - behind : start;
    add_structured_data(&params, line);
    clew__buf_adds(out, " " BOM);
    if (out->failed || message->failed)
        return;
    clew__buf_add(out, message->data, clew__utf8_cut(message->data, message->len, end - out->len));
}
