/* SPDX-License-Identifier: Apache-2.0
 * Statements, and what of them is kept. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <clew/sql.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LITE CLEW_SQL_SQLITE
#define PG CLEW_SQL_POSTGRESQL
#define BACK CLEW_SQL_POSTGRESQL_BACKSLASH

static const struct {
    enum clew_sql_dialect dialect;
    const char *sql, *text, *summary, *operation, *collection;
} statements[] = {
    {PG, "SELECT * FROM orders WHERE id = 17", "SELECT * FROM orders WHERE id = ?", "SELECT orders",
     "SELECT", "orders"},
    {PG, "select name\n\tfrom  users -- all of them\nwhere name='O''Brien';",
     "select name from users where name=?;", "select users", "select", "users"},
    {PG, "SELECT a.x, b.y FROM a, \"b c\" AS q, s.\"T\" WHERE a.id = 1e-5",
     "SELECT a.x, b.y FROM a, \"b c\" AS q, s.\"T\" WHERE a.id = ?", "SELECT a \"b c\" s.\"T\"",
     "SELECT", ""},
    {PG, "SELECT * FROM orders o JOIN customers c ON o.c = c.id LEFT JOIN x USING (id)",
     "SELECT * FROM orders o JOIN customers c ON o.c = c.id LEFT JOIN x USING (id)",
     "SELECT orders customers x", "SELECT", ""},
    {PG, "SELECT d FROM (SELECT * FROM orders o JOIN customers c ON o.c = c.id)",
     "SELECT d FROM (SELECT * FROM orders o JOIN customers c ON o.c = c.id)",
     "SELECT SELECT orders customers", "", ""},
    {PG, "INSERT INTO shipping (a, b) SELECT a, 'x' FROM orders",
     "INSERT INTO shipping (a, b) SELECT a, ? FROM orders", "INSERT shipping SELECT orders", "",
     ""},
    {PG, "INSERT INTO t(a,b) VALUES (-1, 'two'), ($1, null) ON CONFLICT (a) DO UPDATE SET b = 3",
     "INSERT INTO t(a,b) VALUES (-?, ?), ($1, null) ON CONFLICT (a) DO UPDATE SET b = ?",
     "INSERT t", "INSERT", "t"},
    {PG, "UPDATE ONLY accounts SET balance = balance + 100.50 WHERE id IN (1, -2,3 , 'x')",
     "UPDATE ONLY accounts SET balance = balance + ? WHERE id IN (?)", "UPDATE accounts", "UPDATE",
     "accounts"},
    {PG, "DELETE FROM t WHERE a IN ($1, $2, $3) AND b NOT IN (SELECT b FROM u)",
     "DELETE FROM t WHERE a IN ($1) AND b NOT IN (SELECT b FROM u)", "DELETE t SELECT u", "", ""},
    {PG, "SELECT 1 WHERE a IN (1, b, 2)", "SELECT ? WHERE a IN (?, b, ?)", "SELECT", "SELECT", ""},
    {PG, "SELECT x IN (1), y IN (2,3)", "SELECT x IN (?), y IN (?)", "SELECT", "SELECT", ""},
    {PG, "SELECT extract(year FROM born), a IS DISTINCT FROM b FROM people FOR UPDATE",
     "SELECT extract(year FROM born), a IS DISTINCT FROM b FROM people FOR UPDATE", "SELECT people",
     "SELECT", "people"},
    {PG, "WITH x AS (SELECT 1 FROM a) UPDATE t SET v = 2 FROM x RETURNING *",
     "WITH x AS (SELECT ? FROM a) UPDATE t SET v = ? FROM x RETURNING *", "SELECT a UPDATE t x", "",
     ""},
    {PG, "SELECT $$it's$$, $a$ $$ $b$ $a$, $1, a$b$c FROM t", "SELECT ?, ?, $1, a$b$c FROM t",
     "SELECT t", "SELECT", "t"},
    {PG, "SELECT E'a\\'b', U&'\\0041', B'101', X'1F', N'n', e'\\\\' FROM t",
     "SELECT ?, ?, ?, ?, ?, ? FROM t", "SELECT t", "SELECT", "t"},
    {PG, "SELECT 'a\\' , b", "SELECT ? , b", "SELECT", "SELECT", ""},
    {BACK, "SELECT 'a\\' , b' , c", "SELECT ? , c", "SELECT", "SELECT", ""},
    {PG, "/* a /* nested */ 'secret' */ SELECT /**/ 1--x", "SELECT ?", "SELECT", "SELECT", ""},
    {LITE, "/* a /* not nested */ SELECT 1", "SELECT ?", "SELECT", "SELECT", ""},
    {PG, "SELECT a::int4[1], '5'::text, x->>'k', 0x1F, .5, 1_000, t1.c2, 5e10",
     "SELECT a::int4[?], ?::text, x->>?, ?, ?, ?, t1.c2, ?", "SELECT", "SELECT", ""},
    {PG, "CREATE TEMP TABLE IF NOT EXISTS s.t (a int DEFAULT 7)",
     "CREATE TEMP TABLE IF NOT EXISTS s.t (a int DEFAULT ?)", "CREATE TABLE s.t", "CREATE", "s.t"},
    {PG, "DROP INDEX i", "DROP INDEX i", "DROP INDEX i", "DROP", "i"},
    {PG, "ALTER USER joe PASSWORD 'secret'", "ALTER USER joe PASSWORD ?", "ALTER USER joe", "ALTER",
     "joe"},
    {PG, "TRUNCATE a", "TRUNCATE a", "TRUNCATE a", "TRUNCATE", "a"},
    {PG, "BEGIN", "BEGIN", "BEGIN", "BEGIN", ""},
    {PG, "CALL pay(17, 'x')", "CALL pay(?, ?)", "CALL pay", "CALL", "pay"},
    {PG, "EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN ANALYZE DELETE FROM t", "DELETE t", "DELETE",
     "t"},
    {PG, "BEGIN; INSERT INTO a VALUES (1); COMMIT", "BEGIN; INSERT INTO a VALUES (?); COMMIT",
     "BEGIN INSERT a COMMIT", "", ""},
    {PG, "COPY t FROM stdin", "COPY t FROM stdin", "COPY t", "COPY", "t"},
    {LITE, "SELECT \"alice\", [a b], `c` FROM \"my table\" WHERE \"t\".\"x\" = \"bob\" AND y = ?2",
     "SELECT ?, [a b], `c` FROM \"my table\" WHERE \"t\".\"x\" = ? AND y = ?2",
     "SELECT \"my table\"", "SELECT", "\"my table\""},
    {LITE, "INSERT OR REPLACE INTO t VALUES (:name, @at, $v, ?, x'00')",
     "INSERT OR REPLACE INTO t VALUES (:name, @at, $v, ?, ?)", "INSERT t", "INSERT", "t"},
    {LITE, "UPDATE OR IGNORE t SET a = replace(a, 'x', 'y')",
     "UPDATE OR IGNORE t SET a = replace(a, ?, ?)", "UPDATE t", "UPDATE", "t"},
    {LITE, "PRAGMA journal_mode = WAL", "PRAGMA journal_mode = WAL", "PRAGMA journal_mode",
     "PRAGMA", "journal_mode"},
    {LITE, "SELECT a FROM main.t UNION SELECT b FROM u, v ORDER BY 1, 2",
     "SELECT a FROM main.t UNION SELECT b FROM u, v ORDER BY ?, ?", "SELECT main.t SELECT u v", "",
     ""},
    /* not well formed */
    {PG, "SELECT 'secret", "SELECT ?", "SELECT", "SELECT", ""},
    {PG, "SELECT \"secret", "SELECT ?", "SELECT", "SELECT", ""},
    {PG, "SELECT * FROM a.\"secret", "SELECT * FROM a.?", "SELECT a", "SELECT", "a"},
    {PG, "SELECT $x$secret$X$", "SELECT ?", "SELECT", "SELECT", ""},
    {PG, "/* secret", "", "", "", ""},
    {PG, "", "", "", "", ""},
    {PG, ")))) ,,, 1 ((", ")))) ,,, ? ((", "", "", ""},
    {PG, "12abc 'x''", "? ?", "", "", ""},
    {LITE, "SELECT [secret", "SELECT ?", "SELECT", "SELECT", ""},
};

static void test_sql_statements(void **state)
{
    static struct clew_sql got;
    size_t bad = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        size_t len = strlen(statements[i].sql);
        char *exact = malloc(len ? len : 1); /* not NUL-terminated */

        memcpy(exact, statements[i].sql, len);
        clew_sql_normalise(exact, len, statements[i].dialect, &got);
        free(exact);
        if (strcmp(got.text, statements[i].text) != 0 ||
            strcmp(got.summary, statements[i].summary) != 0 ||
            strcmp(got.operation, statements[i].operation) != 0 ||
            strcmp(got.collection, statements[i].collection) != 0 || got.cut) {
            print_message("%s\n  %s\n  %s | %s | %s\n", statements[i].sql, got.text, got.summary,
                          got.operation, got.collection);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void test_sql_is_bounded(void **state)
{
    size_t len = 3 * CLEW_SQL_READ_MAX;
    char *sql = malloc(len + 1);
    static struct clew_sql got;
    int n;

    (void)state;
    /* a list as long as it wants */
    n = snprintf(sql, len, "SELECT a FROM t WHERE x IN (");
    memset(sql + n, '1', len - (size_t)n);
    for (size_t i = (size_t)n + 7; i < len; i += 8)
        sql[i] = ',';
    clew_sql_normalise(sql, len, PG, &got);
    assert_string_equal(got.text, "SELECT a FROM t WHERE x IN (?");
    assert_string_equal(got.summary, "SELECT t");
    assert_true(got.cut);
    /* a string over the end of what is read */
    sql[n] = '\'';
    memset(sql + n + 1, 's', len - (size_t)n - 1);
    clew_sql_normalise(sql, len, PG, &got);
    assert_string_equal(got.text, "SELECT a FROM t WHERE x IN (?");
    /* names */
    n = snprintf(sql, len, "SELECT * FROM ");
    for (size_t i = (size_t)n; i < len; i += 8)
        memcpy(sql + i, "abcdefg,", len - i < 8 ? len - i : 8);
    clew_sql_normalise(sql, len, PG, &got);
    assert_true(got.cut && strlen(got.text) < CLEW_SQL_TEXT_MAX);
    assert_true(strlen(got.summary) < CLEW_SQL_SUMMARY_MAX);
    assert_string_equal(got.summary + strlen(got.summary) - 7, "abcdefg");
    memset(sql, '(', len);
    clew_sql_normalise(sql, len, LITE, &got);
    assert_true(got.cut);
    free(sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sql_statements),
        cmocka_unit_test(test_sql_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
