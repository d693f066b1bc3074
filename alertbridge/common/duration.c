/* SPDX-License-Identifier: Apache-2.0
 * See duration.h. No state. */
#include "duration.h"

#include "instant.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"y", 365 * 86400 * CLEW__SECOND_NS}, {"w", 7 * 86400 * CLEW__SECOND_NS},
    {"d", 86400 * CLEW__SECOND_NS},       {"h", 3600 * CLEW__SECOND_NS},
    {"m", 60 * CLEW__SECOND_NS},          {"s", CLEW__SECOND_NS},
    {"ms", CLEW__SECOND_NS / 1000},
};
#define NUNITS (sizeof(units) / sizeof(units[0]))

/* The letters at text, and how many they are. */
static size_t find_unit(const char *text, size_t *ret_len)
{
    *ret_len = strspn(text, "ywdhms");
    for (size_t i = 0; i < NUNITS; i++)
        if (strlen(units[i].name) == *ret_len && strncmp(units[i].name, text, *ret_len) == 0)
            return i;
    return NUNITS;
}

bool clew__duration_parse(const char *text, int64_t *ret_ns)
{
    int64_t sum = 0;
    size_t next = 0, len;

    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return true;
    }
    if (!*text)
        return false;
    while (*text) {
        size_t digits = strspn(text, "0123456789"), unit;
        int64_t number = 0;

        if (digits == 0 || digits > 9)
            return false;
        for (; digits; digits--)
            number = number * 10 + (*text++ - '0');
        unit = find_unit(text, &len);
        if (unit == NUNITS || unit < next || number > units[0].ns / units[unit].ns)
            return false;
        sum += number * units[unit].ns;
        text += len;
        next = unit + 1;
    }
    if (sum > units[0].ns)
        return false;
    *ret_ns = sum;
    return true;
}

const char *clew__duration_format(int64_t ns, char ret_text[CLEW__DURATION_TEXT])
{
    size_t len = 0;

    if (ns < units[NUNITS - 1].ns)
        len = (size_t)snprintf(ret_text, CLEW__DURATION_TEXT, "0s");
    /* Days are the largest that everybody reads the same. */
    for (size_t i = 2; i < NUNITS && len < CLEW__DURATION_TEXT; i++) {
        if (ns >= units[i].ns)
            len += (size_t)snprintf(ret_text + len, CLEW__DURATION_TEXT - len, "%lld%s",
                                    (long long)(ns / units[i].ns), units[i].name);
        ns %= units[i].ns;
    }
    return ret_text;
}
