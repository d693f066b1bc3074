/* SPDX-License-Identifier: Apache-2.0
 * SQL as hostile as it gets. The first byte is the dialect. A value that was
 * put into well-formed quotes changes nothing of what comes out, and that is
 * bounded. */
#include <clew/sql.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void check(const struct clew_sql *sql)
{
    must(strlen(sql->text) < sizeof(sql->text), "text");
    must(strlen(sql->summary) < sizeof(sql->summary), "summary");
    must(strlen(sql->operation) < sizeof(sql->operation), "operation");
    must(strlen(sql->collection) < sizeof(sql->collection), "collection");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static struct clew_sql sql;
    enum clew_sql_dialect dialect = size > 0 ? (enum clew_sql_dialect)(data[0] % 3) : 0;
    char *text;
    size_t len;

    if (size == 0)
        return 0;
    clew_sql_normalise((const char *)data + 1, size - 1, dialect, &sql);
    check(&sql);
    /* The same bytes as a value. */
    text = malloc(2 * size + 32);
    if (!text)
        return 0;
    len = (size_t)sprintf(text, "SELECT 'SENTINEL");
    for (size_t i = 1; i < size; i++) {
        if (data[i] == '\'' || (data[i] == '\\' && dialect == CLEW_SQL_POSTGRESQL_BACKSLASH))
            text[len++] = (char)data[i];
        text[len++] = (char)data[i];
    }
    memcpy(text + len, "' FROM t", 8);
    if (len + 8 < CLEW_SQL_READ_MAX) {
        clew_sql_normalise(text, len + 8, dialect, &sql);
        must(strcmp(sql.text, "SELECT ? FROM t") == 0, "a value changed the statement");
        must(strcmp(sql.summary, "SELECT t") == 0, "a value changed the summary");
    }
    free(text);
    return 0;
}
