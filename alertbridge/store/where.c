/* SPDX-License-Identifier: Apache-2.0
 * Both forms of libpq's connection strings take a password at their end: a URI as a
 * parameter with percent signs, the other in quotes. No state; MT-Safe. */
#include "where.h"

#include <buf.h>

#include <ctype.h>
#include <string.h>

#define WHERE_MAX (64u << 10)

static bool is_uri(const char *where)
{
    return strncmp(where, "postgresql://", 13) == 0 || strncmp(where, "postgres://", 11) == 0;
}

bool clew__where_is_postgres(const char *where)
{
    size_t word = strspn(where, "abcdefghijklmnopqrstuvwxyz_");

    return is_uri(where) || (word && where[word + strspn(where + word, " ")] == '=');
}

char *clew__where_with_password(const char *where, const char *password)
{
    bool uri = is_uri(where);
    struct clew__buf text;
    size_t len;

    clew__buf_init(&text, WHERE_MAX);
    clew__buf_addf(&text, "%s%s", where,
                   !uri                 ? " password='"
                   : strchr(where, '?') ? "&password="
                                        : "?password=");
    for (const unsigned char *c = (const unsigned char *)password; *c; c++) {
        if (uri && !isalnum(*c)) {
            clew__buf_addf(&text, "%%%02X", *c);
            continue;
        }
        if (!uri && (*c == '\'' || *c == '\\'))
            clew__buf_addc(&text, '\\');
        clew__buf_addc(&text, (char)*c);
    }
    if (!uri)
        clew__buf_addc(&text, '\'');
    return clew__buf_take(&text, &len);
}
