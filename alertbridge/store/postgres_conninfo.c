/* SPDX-License-Identifier: Apache-2.0
 * libpq's own words about a text that it cannot read quote it, password included, so
 * they are not used. A password whose @ or / is not escaped ends up in the host, the
 * port or the name of the database, and would be in the words about a connection
 * that fails: such a text is refused. No state; MT-Safe. */
#include "postgres_conninfo.h"

#include <clew/log.h>

#include <errno.h>
#include <libpq-fe.h>
#include <string.h>

#define ESCAPE                                                                     \
    "; in a URI the password's own @ : / ? and % are written %40 %3A %2F %3F and " \
    "%25"

/* What is wrong with one option, NULL: nothing. */
static const char *problem_of(const PQconninfoOption *option)
{
    const char *value = option->val;

    if (!value)
        return NULL;
    if (strcmp(option->keyword, "port") == 0 && strspn(value, "0123456789,") != strlen(value))
        return "the port of the connection string is no number" ESCAPE;
    if ((strcmp(option->keyword, "host") == 0 || strcmp(option->keyword, "hostaddr") == 0 ||
         strcmp(option->keyword, "dbname") == 0) &&
        strchr(value, '@'))
        return "there is an @ in the connection string's host or database" ESCAPE;
    return NULL;
}

int clew__postgres_conninfo_check(const char *conninfo)
{
    char *words = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &words);
    const char *problem = NULL;
    bool no_memory = !options && !words;

    PQfreemem(words);
    if (!options)
        return no_memory ? clew_set_error(-ENOMEM, "out of memory")
                         : clew_set_error(-EINVAL, "%s",
                                          "libpq cannot read the connection string" ESCAPE);
    for (const PQconninfoOption *option = options; option->keyword && !problem; option++)
        problem = problem_of(option);
    PQconninfoFree(options);
    return problem ? clew_set_error(-EINVAL, "%s", problem) : 0;
}
