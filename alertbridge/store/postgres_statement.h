/* SPDX-License-Identifier: Apache-2.0
 * PostgreSQL's statements, as db_priv.h has them. */
#ifndef CLEW_ALERTBRIDGE_POSTGRES_STATEMENT_H
#define CLEW_ALERTBRIDGE_POSTGRES_STATEMENT_H

#include "db_priv.h"

struct clew__row *clew__postgres_prepare(struct clew__db *db, const char *sql);
int clew__postgres_bind(struct clew__db *db, struct clew__row *row,
                        const struct clew__db_value *values, size_t n);
int clew__postgres_step(struct clew__db *db, struct clew__row *row);
void clew__postgres_reset(struct clew__row *row);
void clew__postgres_finalize(struct clew__row *row);
bool clew__postgres_is_null(struct clew__row *row, int column);
int64_t clew__postgres_number(struct clew__row *row, int column);
const char *clew__postgres_text(struct clew__row *row, int column);

#endif
