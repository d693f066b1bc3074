/* SPDX-License-Identifier: Apache-2.0
 * The store's SQL as PostgreSQL takes it. */
#ifndef CLEW_ALERTBRIDGE_POSTGRES_SQL_H
#define CLEW_ALERTBRIDGE_POSTGRES_SQL_H

#include <stdbool.h>

/* ?1 becomes $1, and SQLite's choice of an index is left out. schema: types and
 * keys of tables too.
 * owner    free()       returns  NULL without memory */
char *clew__postgres_sql(const char *sql, bool schema);

#endif
