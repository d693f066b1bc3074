/* SPDX-License-Identifier: Apache-2.0
 * Values of labels that should not be any: secrets, ids, raw paths. Said once a
 * metric; never with the value itself. */
#include "lint.h"

#include <string.h>

enum { SAID_SECRET = 1 << 8, SAID_ID = 1 << 9, SAID_PATH = 1 << 10 };

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool begins(struct cli_text text, const char *start)
{
    size_t n = strlen(start);

    return text.len >= n && memcmp(text.at, start, n) == 0;
}

static bool is_secret(struct cli_text value)
{
    return begins(value, "Bearer ") || begins(value, "Basic ") || begins(value, "eyJ") ||
           memmem(value.at, value.len, "password=", 9) || memmem(value.at, value.len, "token=", 6);
}

/* A UUID, or 16 or more hexadecimal digits: a trace, a request. */
static bool is_id(struct cli_text value)
{
    size_t digits = 0, dashes = 0;

    for (size_t i = 0; i < value.len; i++) {
        digits += is_hex(value.at[i]);
        dashes += value.at[i] == '-';
    }
    return digits + dashes == value.len && (digits == 32 || (dashes == 0 && digits >= 16));
}

/* A segment that is a number or an id: "/orders/17", never "/v2/orders". */
static bool is_raw_path(struct cli_text value)
{
    const char *at = value.at, *end = value.at + value.len;

    if (value.len == 0 || *at != '/')
        return false;
    while (at < end) {
        const char *stop = memchr(at + 1, '/', (size_t)(end - at - 1));
        struct cli_text segment = {at + 1, (size_t)((stop ? stop : end) - at - 1)};
        size_t digits = 0;

        while (digits < segment.len && segment.at[digits] >= '0' && segment.at[digits] <= '9')
            digits++;
        if ((digits && digits == segment.len) || is_id(segment))
            return true;
        at = stop ? stop : end;
    }
    return memchr(value.at, '?', value.len) != NULL;
}

static void say(struct cli_lint *lint, enum cli_lint_severity severity, struct cli_family *family,
                size_t line, struct cli_text label, uint64_t bit, const char *what)
{
    if (!(family->said & bit))
        cli_lint_say(lint, severity, line, family->name, "label %.*s: %s",
                     (int)(label.len < 100 ? label.len : 100), label.at, what);
    family->said |= bit;
}

void cli_lint_value(struct cli_lint *lint, struct cli_family *family, size_t line,
                    struct cli_text label, struct cli_text value)
{
    if (is_secret(value))
        say(lint, CLI_LINT_ERROR, family, line, label, SAID_SECRET,
            "a value looks like a secret; everybody who may read metrics reads it");
    else if (is_raw_path(value))
        say(lint, CLI_LINT_WARNING, family, line, label, SAID_PATH,
            "a value is a raw path; use the route's template, /orders/{id}");
    else if (is_id(value))
        say(lint, CLI_LINT_WARNING, family, line, label, SAID_ID,
            "a value is an id; each is a series of its own");
}
