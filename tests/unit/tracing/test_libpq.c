/* SPDX-License-Identifier: Apache-2.0
 * Queries of PostgreSQL as spans; the argument is the directory of its socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "print_spans.h"

#include <clew/libpq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *directory;

static ExecStatusType finish(PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    PQclear(result);
    return status;
}

static int queries(void *arg)
{
    const char *values[] = {"a-secret"};
    struct clew_span *outer;
    struct clew_sql_call call;
    char info[256];
    PGresult *result;
    PGconn *conn;

    (void)arg;
    print_spans();
    (void)snprintf(info, sizeof(info), "host=%s user=tester dbname=postgres", directory);
    conn = PQconnectdb(info);
    CHECK(PQstatus(conn) == CONNECTION_OK);
    outer = clew_span_begin("outer", CLEW_SPAN_INTERNAL);
    CHECK(finish(clew_pq_exec(conn, "CREATE TABLE t (a int, b text)")) == PGRES_COMMAND_OK);
    CHECK(finish(clew_pq_exec(conn, "INSERT INTO t VALUES (1, 'a-secret'), (2, $$a-secret$$)")) ==
          PGRES_COMMAND_OK);
    CHECK(finish(clew_pq_exec_params(conn, "SELECT * FROM t WHERE b = $1 AND a IN (1, 2, 3)", 1,
                                     NULL, values, NULL, NULL, 0)) == PGRES_TUPLES_OK);
    CHECK(finish(clew_pq_exec(conn, "SELECT 'a-secret'::int FROM t")) == PGRES_FATAL_ERROR);
    CHECK(finish(clew_pq_prepare(conn, "by_name", "SELECT * FROM t WHERE b = $1", 1, NULL)) ==
          PGRES_COMMAND_OK);
    CHECK(finish(clew_pq_exec_prepared(conn, "by_name", 1, values, NULL, NULL, 0)) ==
          PGRES_TUPLES_OK);
    CHECK(finish(clew_pq_exec(
              conn, "SET standard_conforming_strings = off; SET escape_string_warning = off")) ==
          PGRES_COMMAND_OK);
    CHECK(finish(clew_pq_exec(conn, "SELECT 'it\\'s a-secret' AS old")) == PGRES_TUPLES_OK);
    /* sent now, answered later */
    clew_pq_begin(&call, conn, "DELETE FROM t");
    CHECK(PQsendQuery(conn, "DELETE FROM t"));
    result = PQgetResult(conn);
    clew_pq_end(&call, conn, result);
    CHECK(finish(result) == PGRES_COMMAND_OK);
    CHECK(PQgetResult(conn) == NULL);
    CHECK(finish(clew_pq_exec(conn, "SELECT pg_terminate_backend(pg_backend_pid())")) ==
          PGRES_FATAL_ERROR);
    CHECK(finish(clew_pq_exec(conn, "SELECT 1 AS gone")) == PGRES_FATAL_ERROR);
    clew_span_end(outer);
    PQfinish(conn);
    return 0;
}

static json_t *with_text(const char *text)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        if (strcmp(span_attribute(line, "db.query.text"), text) == 0)
            return line;
    }
    return NULL;
}

static size_t count(const char *operation, const char *status)
{
    char text[128];

    (void)snprintf(text, sizeof(text),
                   "TRACE system=postgresql operation=%s status=%s duration_seconds=*", operation,
                   status);
    return events_like("database query completed", text);
}

static void test_libpq_queries(void **state)
{
    json_t *span;

    (void)state;
    setenv("CLEW_LOG_LEVEL", "trace", 1);
    child_run(queries, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_null(strstr(child.output, "a-secret"));
    assert_int_equal(child_count("span"), 12);
    span = span_named("INSERT t", 0);
    assert_non_null(span);
    assert_string_equal(member(span, "scope"), "clew.libpq");
    assert_string_equal(member(span, "parent_id"), member(span_named("outer", 0), "span_id"));
    assert_string_equal(span_attribute(span, "db.system.name"), "postgresql");
    assert_string_equal(span_attribute(span, "db.namespace"), "postgres");
    assert_string_equal(span_attribute(span, "db.query.text"),
                        "INSERT INTO t VALUES (?, ?), (?, ?)");
    assert_string_equal(span_attribute(span, "server.address"), directory);
    assert_string_equal(span_attribute(span, "server.port"), "(none)");
    assert_non_null(with_text("SELECT * FROM t WHERE b = $1 AND a IN (?)"));
    span = with_text("SELECT ?::int FROM t");
    assert_string_equal(span_attribute(span, "error.type"), "22P02");
    assert_string_equal(span_attribute(span, "db.response.status_code"), "22P02");
    assert_int_equal(json_integer_value(json_object_get(span, "status")), CLEW_SPAN_ERROR);
    assert_non_null(span_named("PREPARE by_name", 0));
    assert_non_null(span_named("EXECUTE by_name", 0));
    assert_non_null(with_text("SELECT ? AS old"));
    assert_string_equal(span_attribute(span_named("DELETE t", 0), "error.type"), "(none)");
    assert_string_equal(span_attribute(with_text("SELECT ? AS gone"), "error.type"), "connection");
    assert_int_equal(child_count("database query completed"), 11);
    assert_int_equal(count("CREATE", "ok"), 1);
    assert_int_equal(count("INSERT", "ok"), 1);
    assert_int_equal(count("SELECT", "ok"), 2);
    assert_int_equal(count("SELECT", "22P02"), 1);
    assert_int_equal(count("DELETE", "ok"), 1);
    assert_int_equal(count("PREPARE", "ok"), 1);
    assert_int_equal(count("EXECUTE", "ok"), 1);
    assert_int_equal(count("SET", "ok"), 1);
    /* the one that ended its server, and the next */
    assert_int_equal(count("SELECT", "connection"), 2);
    assert_true(spans_follow_conventions());
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_libpq_queries, child_setup, child_teardown),
    };

    if (argc != 2)
        return 64;
    directory = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
