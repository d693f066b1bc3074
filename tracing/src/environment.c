/* SPDX-License-Identifier: Apache-2.0
 *
 * The request in environment variables, for child processes: the header's name
 * in capitals, '-' as '_' (OpenTelemetry, "Environment Variables as Context
 * Propagation Carriers"), and names of our own for what is ours. Stateless.
 */
#include "propagate_priv.h"
#include "tracing_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const struct {
    const char *header;
    const char *variable;
} table[] = {
#define X(propagators, member, header, variable) {header, variable},
    CLEW__HEADERS(X)
#undef X
};
#define NTABLE (sizeof(table) / sizeof(table[0]))

/* The entry of a "NAME=value", NTABLE when it is none of ours. */
static size_t find_variable(const char *entry)
{
    size_t len = strcspn(entry, "="), i = 0;

    while (i < NTABLE &&
           (strlen(table[i].variable) != len || memcmp(table[i].variable, entry, len) != 0))
        i++;
    return i;
}

void clew_extract_environment(struct clew_extract *extract, char *const *environment)
{
    char *const *entry = environment ? environment : environ;

    for (; entry && *entry; entry++) {
        size_t i = find_variable(*entry);
        const char *equals = i < NTABLE ? strchr(*entry, '=') : NULL;

        if (equals && equals[1])
            clew_extract_header(extract, table[i].header, strlen(table[i].header), equals + 1,
                                strlen(equals + 1));
    }
}

/* Pointers, then the text that is new; first it is only measured. */
struct build {
    char **at;
    char *text;
    size_t pointers, bytes;
};

static void add_variable(void *arg, const char *name, const char *value)
{
    struct build *b = arg;
    size_t i = 0, len = strlen(value) + 1;

    while (i < NTABLE && strcasecmp(table[i].header, name) != 0)
        i++;
    if (i == NTABLE)
        return;
    b->pointers++;
    b->bytes += strlen(table[i].variable) + 1 + len;
    if (b->at) {
        *b->at++ = b->text;
        b->text = stpcpy(stpcpy(b->text, table[i].variable), "=");
        b->text = (char *)memcpy(b->text, value, len) + len;
    }
}

static void add_all(struct build *b, struct clew_scope scope, char *const *environment)
{
    for (; environment && *environment; environment++)
        if (find_variable(*environment) == NTABLE) {
            b->pointers++;
            if (b->at)
                *b->at++ = *environment;
        }
    clew_inject(scope, add_variable, b);
}

char **clew_environment_make(struct clew_scope scope, char *const *environment)
{
    struct build build = {.at = NULL};
    char **all;

    environment = environment ? environment : environ;
    add_all(&build, scope, environment);
    /* The time that is left may be shorter by a digit then, not longer. */
    all = malloc((build.pointers + 1) * sizeof(*all) + build.bytes);
    if (!all)
        return NULL;
    build.at = all;
    build.text = (char *)(all + build.pointers + 1);
    add_all(&build, scope, environment);
    *build.at = NULL;
    return all;
}
