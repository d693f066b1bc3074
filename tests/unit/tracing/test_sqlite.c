/* SPDX-License-Identifier: Apache-2.0
 * Statements of SQLite as spans. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "print_spans.h"

#include <clew/sqlite.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int statements(void *arg)
{
    struct clew_span *outer;
    sqlite3_stmt *a, *b;
    sqlite3 *db;

    (void)arg;
    print_spans();
    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
    CHECK(clew_sqlite_trace(db) == SQLITE_OK);
    outer = clew_span_begin("outer", CLEW_SPAN_INTERNAL);
    CHECK(sqlite3_exec(db, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)", NULL, NULL, NULL) ==
          SQLITE_OK);
    CHECK(sqlite3_exec(db,
                       "CREATE TABLE log (b); CREATE TRIGGER r AFTER INSERT ON t BEGIN "
                       "INSERT INTO log VALUES (new.b); END",
                       NULL, NULL, NULL) == SQLITE_OK);
    CHECK(clew_sqlite_exec(db, "INSERT INTO t VALUES (1, 'a-secret')", NULL, NULL, NULL) ==
          SQLITE_OK);
    CHECK(clew_sqlite_exec(db, "INSERT INTO t VALUES (1, 'a-secret')", NULL, NULL, NULL) ==
          SQLITE_CONSTRAINT);
    /* two that take turns; one is given up in the middle */
    CHECK(sqlite3_prepare_v2(db, "SELECT a FROM t WHERE b = ?1", -1, &a, NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, "SELECT t.a FROM log, t", -1, &b, NULL) == SQLITE_OK);
    CHECK(sqlite3_bind_text(a, 1, "a-secret", -1, SQLITE_STATIC) == SQLITE_OK);
    CHECK(clew_sqlite_step(b) == SQLITE_ROW);
    CHECK(clew_sqlite_step(a) == SQLITE_ROW);
    CHECK(sqlite3_reset(b) == SQLITE_OK);
    CHECK(clew_sqlite_step(a) == SQLITE_DONE);
    sqlite3_finalize(a);
    sqlite3_finalize(b);
    clew_span_end(outer);
    CHECK(sqlite3_close(db) == SQLITE_OK);
    return 0;
}

static size_t count(const char *operation, const char *status)
{
    char text[128];

    (void)snprintf(text, sizeof(text),
                   "TRACE system=sqlite operation=%s status=%s duration_seconds=*", operation,
                   status);
    return events_like("database query completed", text);
}

static void test_sqlite_statements(void **state)
{
    json_t *span;

    (void)state;
    setenv("CLEW_LOG_LEVEL", "trace", 1);
    child_run(statements, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_null(strstr(child.output, "a-secret"));
    assert_int_equal(child_count("span"), 8);
    span = span_named("INSERT t", 0);
    assert_non_null(span);
    assert_string_equal(member(span, "scope"), "clew.sqlite");
    assert_int_equal(json_integer_value(json_object_get(span, "kind")), CLEW_SPAN_CLIENT);
    assert_string_equal(member(span, "parent_id"), member(span_named("outer", 0), "span_id"));
    assert_string_equal(span_attribute(span, "db.system.name"), "sqlite");
    assert_string_equal(span_attribute(span, "db.query.text"), "INSERT INTO t VALUES (?, ?)");
    assert_string_equal(span_attribute(span, "db.query.summary"), "INSERT t");
    assert_string_equal(span_attribute(span, "db.operation.name"), "INSERT");
    assert_string_equal(span_attribute(span, "db.collection.name"), "t");
    assert_string_equal(span_attribute(span, "error.type"), "(none)");
    span = span_named("INSERT t", 1);
    assert_string_equal(span_attribute(span, "error.type"),
                        "1555"); /* SQLITE_CONSTRAINT_PRIMARYKEY */
    assert_string_equal(span_attribute(span, "db.response.status_code"), "1555");
    assert_int_equal(json_integer_value(json_object_get(span, "status")), CLEW_SPAN_ERROR);
    assert_non_null(span_named("SELECT t", 0));
    assert_string_equal(span_attribute(span_named("SELECT log t", 0), "error.type"), "(none)");
    assert_int_equal(child_count("database query completed"), 7);
    assert_int_equal(count("CREATE", "ok"), 3);
    assert_int_equal(count("INSERT", "ok"), 1);
    assert_int_equal(count("INSERT", "1555"), 1);
    assert_int_equal(count("SELECT", "ok"), 2); /* one was given up: no failure */
    assert_true(spans_follow_conventions());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sqlite_statements, child_setup, child_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
