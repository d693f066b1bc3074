/* SPDX-License-Identifier: Apache-2.0
 * In place of db_postgres.c, in a build without libpq. */
#include "db_priv.h"

#include <clew/log.h>

#include <errno.h>

static int check(const char *where)
{
    (void)where;
    return clew_set_error(-ENOTSUP, "built without PostgreSQL (libpq): storage takes a file only");
}

static int open_own(struct clew__db *db, const char *where)
{
    (void)db;
    return check(where);
}

static int open_beside(struct clew__db *db, const char *where, bool write)
{
    (void)db, (void)write;
    return check(where);
}

const struct clew__db_ops clew__db_postgres = {.shared = true,
                                               .check = check,
                                               .open = open_own,
                                               .open_beside = open_beside,
                                               .open_session = open_own};
