/* SPDX-License-Identifier: Apache-2.0
 * The text that says where the store is: a file's path, or how PostgreSQL is reached
 * ("postgresql://…", "host=… dbname=…"). */
#ifndef CLEW_ALERTBRIDGE_WHERE_H
#define CLEW_ALERTBRIDGE_WHERE_H

#include <stdbool.h>

/* "keyword=…" is PostgreSQL's too: a path like that is written "./a=b". */
bool clew__where_is_postgres(const char *where);

/* The same with the password, which may have any characters.
 * owner    free()       returns  NULL without memory */
char *clew__where_with_password(const char *where, const char *password);

#endif
