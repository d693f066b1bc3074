/* SPDX-License-Identifier: Apache-2.0
 * The check of a connection string. */
#ifndef CLEW_ALERTBRIDGE_POSTGRES_CONNINFO_H
#define CLEW_ALERTBRIDGE_POSTGRES_CONNINFO_H

/* Whether libpq takes it, and its parts are what they seem to be. The text of the
 * error has no part of it. returns 0, -EINVAL, -ENOMEM */
int clew__postgres_conninfo_check(const char *conninfo);

#endif
