/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite under one lock. Statements are prepared when they are used and the
 * schema is small: this serves a laptop, not a fleet. Lines are kept once: the
 * same time, labels, metadata and text again is passed over, as Loki does, and
 * a span is known by its id.
 */
#include "store.h"

#include <clew/log.h>
#include <json.h>

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS lines ("
    "  time_ns INTEGER NOT NULL, hash INTEGER NOT NULL, labels TEXT NOT NULL,"
    "  metadata TEXT NOT NULL, text BLOB NOT NULL, request_id TEXT, correlation_id TEXT,"
    "  trace_id TEXT, PRIMARY KEY (time_ns, hash)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS by_request ON lines (request_id) WHERE request_id IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS by_correlation ON lines (correlation_id)"
    "  WHERE correlation_id IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS by_trace ON lines (trace_id) WHERE trace_id IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS spans ("
    "  trace_id BLOB NOT NULL, span_id BLOB NOT NULL, parent_id BLOB, service TEXT, name TEXT,"
    "  start_ns INTEGER, end_ns INTEGER, failed INTEGER, resource BLOB, scope BLOB, span BLOB,"
    "  PRIMARY KEY (trace_id, span_id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS by_start ON spans (start_ns);"
    "CREATE TABLE IF NOT EXISTS slack ("
    "  id INTEGER PRIMARY KEY, time TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),"
    "  path TEXT, payload TEXT);"
    "CREATE TABLE IF NOT EXISTS pagerduty ("
    "  id INTEGER PRIMARY KEY, time TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),"
    "  incident INTEGER, effect TEXT, event TEXT);"
    "CREATE TABLE IF NOT EXISTS incidents ("
    "  id INTEGER PRIMARY KEY, opened TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),"
    "  changed TEXT, routing_key TEXT, dedup_key TEXT, status TEXT, summary TEXT,"
    "  severity TEXT, source TEXT, triggers INTEGER DEFAULT 1);";

static sqlite3 *db;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sqlite3_stmt *add_line, *add_span; /* the frequent two */

static int failed(const char *what)
{
    clew_error("store failed", clew_kv("what", what), clew_kv("reason", sqlite3_errmsg(db)));
    return -EIO;
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        (void)failed("prepare");
    return statement;
}

int store_open(const char *directory)
{
    char path[4096];

    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return clew_set_error(-errno, "%s: %s", directory, strerror(errno));
    if (snprintf(path, sizeof(path), "%s/clew-local.db", directory) >= (int)sizeof(path))
        return clew_set_error(-ENAMETOOLONG, "%s: too long", directory);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return clew_set_error(-EIO, "%s: %s", path, sqlite3_errmsg(db));
    add_line = prepare("INSERT OR IGNORE INTO lines VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    add_span = prepare("INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    return add_line && add_span ? 0 : -EIO;
}

void store_close(void)
{
    sqlite3_finalize(add_line);
    sqlite3_finalize(add_span);
    sqlite3_close(db);
}

void store_begin(void)
{
    pthread_mutex_lock(&lock);
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        (void)failed("begin");
}

int store_commit(bool keep)
{
    int err = 0;

    if (sqlite3_exec(db, keep ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK) {
        err = failed("commit");
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&lock);
    return err;
}

/* FNV-1a, to tell lines of one nanosecond apart. */
static uint64_t hash_more(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ b[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void bind_id(sqlite3_stmt *statement, int at, const json_t *metadata, const char *key)
{
    const char *value = json_string_value(json_object_get(metadata, key));

    if (value && *value)
        sqlite3_bind_text(statement, at, value, -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(statement, at);
}

static int step_once(sqlite3_stmt *statement, const char *what)
{
    int err = sqlite3_step(statement) == SQLITE_DONE ? 0 : failed(what);

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return err;
}

int store_add_line(const struct store_line *line)
{
    char *labels = json_dumps(line->labels, JSON_COMPACT | JSON_SORT_KEYS);
    char *metadata = json_dumps(line->metadata, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    int err = -ENOMEM;

    if (labels && metadata) {
        hash = hash_more(hash, labels, strlen(labels));
        hash = hash_more(hash, metadata, strlen(metadata));
        hash = hash_more(hash, line->text, line->len);
        sqlite3_bind_int64(add_line, 1, line->time_ns);
        sqlite3_bind_int64(add_line, 2, (int64_t)hash);
        sqlite3_bind_text(add_line, 3, labels, -1, SQLITE_STATIC);
        sqlite3_bind_text(add_line, 4, metadata, -1, SQLITE_STATIC);
        sqlite3_bind_blob(add_line, 5, line->text, (int)line->len, SQLITE_STATIC);
        bind_id(add_line, 6, line->metadata, "request_id");
        bind_id(add_line, 7, line->metadata, "correlation_id");
        bind_id(add_line, 8, line->metadata, "trace_id");
        err = step_once(add_line, "add line");
    }
    free(labels);
    free(metadata);
    return err;
}

int store_add_span(const struct clew__otlp_span *span)
{
    sqlite3_bind_blob(add_span, 1, span->trace_id, 16, SQLITE_STATIC);
    sqlite3_bind_blob(add_span, 2, span->span_id, 8, SQLITE_STATIC);
    if (span->parent_id)
        sqlite3_bind_blob(add_span, 3, span->parent_id, 8, SQLITE_STATIC);
    sqlite3_bind_text(add_span, 4, span->service, (int)span->service_len, SQLITE_STATIC);
    sqlite3_bind_text(add_span, 5, span->name, (int)span->name_len, SQLITE_STATIC);
    sqlite3_bind_int64(add_span, 6, (int64_t)span->start_ns);
    sqlite3_bind_int64(add_span, 7, (int64_t)span->end_ns);
    sqlite3_bind_int(add_span, 8, span->status == 2);
    sqlite3_bind_blob(add_span, 9, span->resource, (int)span->resource_len, SQLITE_STATIC);
    sqlite3_bind_blob(add_span, 10, span->scope, (int)span->scope_len, SQLITE_STATIC);
    sqlite3_bind_blob(add_span, 11, span->bytes, (int)span->bytes_len, SQLITE_STATIC);
    return step_once(add_span, "add span");
}

/* ---- reading ------------------------------------------------------------------ */

static json_t *json_column(sqlite3_stmt *statement, int at)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    json_t *value = text ? json_loads(text, 0, NULL) : NULL;

    return value ? value : json_object();
}

int store_each_line(const struct store_range *range,
                    bool (*take)(void *arg, const struct store_line *line), void *arg)
{
    const char *column = range->exact_request_id       ? "request_id"
                         : range->exact_correlation_id ? "correlation_id"
                         : range->exact_trace_id       ? "trace_id"
                                                       : NULL;
    const char *value = range->exact_request_id       ? range->exact_request_id
                        : range->exact_correlation_id ? range->exact_correlation_id
                                                      : range->exact_trace_id;
    char sql[256];
    sqlite3_stmt *statement;
    bool more = true;

    (void)snprintf(sql, sizeof(sql),
                   "SELECT time_ns, labels, metadata, text FROM lines "
                   "WHERE time_ns >= ?1 AND time_ns < ?2 %s%s%s ORDER BY time_ns %s",
                   column ? "AND " : "", column ? column : "", column ? " = ?3" : "",
                   range->backward ? "DESC" : "ASC");
    pthread_mutex_lock(&lock);
    statement = prepare(sql);
    if (!statement) {
        pthread_mutex_unlock(&lock);
        return -EIO;
    }
    sqlite3_bind_int64(statement, 1, range->from_ns);
    sqlite3_bind_int64(statement, 2, range->until_ns);
    if (column)
        sqlite3_bind_text(statement, 3, value, -1, SQLITE_STATIC);
    while (more && sqlite3_step(statement) == SQLITE_ROW) {
        struct store_line line = {.time_ns = sqlite3_column_int64(statement, 0),
                                  .labels = json_column(statement, 1),
                                  .metadata = json_column(statement, 2),
                                  .text = sqlite3_column_blob(statement, 3),
                                  .len = (size_t)sqlite3_column_bytes(statement, 3)};

        more = take(arg, &line);
        json_decref(line.labels);
        json_decref(line.metadata);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&lock);
    return 0;
}

static size_t varint_len(size_t n)
{
    size_t len = 1;

    while (n >>= 7)
        len++;
    return len;
}

static void add_tagged(struct clew__buf *out, unsigned number, size_t len)
{
    clew__buf_addc(out, (char)(number << 3 | 2));
    for (; len >= 0x80; len >>= 7)
        clew__buf_addc(out, (char)(len | 0x80));
    clew__buf_addc(out, (char)len);
}

/* One span as a ResourceSpans of its own. */
static void add_resource_spans(struct clew__buf *out, sqlite3_stmt *statement)
{
    size_t resource = (size_t)sqlite3_column_bytes(statement, 0);
    size_t scope = (size_t)sqlite3_column_bytes(statement, 1);
    size_t span = (size_t)sqlite3_column_bytes(statement, 2);
    size_t scope_spans = 1 + varint_len(scope) + scope + 1 + varint_len(span) + span;
    size_t resource_part = 1 + varint_len(resource) + resource;

    add_tagged(out, 1, resource_part + 1 + varint_len(scope_spans) + scope_spans);
    add_tagged(out, 1, resource);
    clew__buf_add(out, sqlite3_column_blob(statement, 0), resource);
    add_tagged(out, 2, scope_spans);
    add_tagged(out, 1, scope);
    clew__buf_add(out, sqlite3_column_blob(statement, 1), scope);
    add_tagged(out, 2, span);
    clew__buf_add(out, sqlite3_column_blob(statement, 2), span);
}

int store_trace(const uint8_t trace_id[16], char **ret, size_t *ret_len)
{
    struct clew__buf out;
    sqlite3_stmt *statement;

    clew__buf_init(&out, 64u << 20);
    pthread_mutex_lock(&lock);
    statement =
        prepare("SELECT resource, scope, span FROM spans WHERE trace_id = ? ORDER BY start_ns");
    if (statement) {
        sqlite3_bind_blob(statement, 1, trace_id, 16, SQLITE_STATIC);
        while (sqlite3_step(statement) == SQLITE_ROW)
            add_resource_spans(&out, statement);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&lock);
    if (out.len == 0) {
        clew__buf_done(&out);
        return -ENOENT;
    }
    *ret = clew__buf_take(&out, ret_len);
    return *ret ? 0 : -ENOMEM;
}

/* Rows of a query as JSON objects; columns named "json:x" are parsed. */
static json_t *rows(const char *sql, int64_t parameter)
{
    json_t *list = json_array();
    sqlite3_stmt *statement;

    pthread_mutex_lock(&lock);
    statement = prepare(sql);
    if (statement)
        sqlite3_bind_int64(statement, 1, parameter);
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        json_t *row = json_object();

        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *name = sqlite3_column_name(statement, i);

            if (strncmp(name, "json:", 5) == 0)
                json_object_set_new(row, name + 5, json_column(statement, i));
            else if (sqlite3_column_type(statement, i) == SQLITE_INTEGER)
                json_object_set_new(row, name, json_integer(sqlite3_column_int64(statement, i)));
            else if (sqlite3_column_type(statement, i) == SQLITE_TEXT)
                json_object_set_new(row, name,
                                    json_string((const char *)sqlite3_column_text(statement, i)));
        }
        json_array_append_new(list, row);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&lock);
    return list;
}

json_t *store_recent_traces(size_t limit)
{
    return rows("WITH recent AS (SELECT trace_id, max(start_ns) AS newest FROM"
                " (SELECT trace_id, start_ns FROM spans ORDER BY start_ns DESC LIMIT 5000)"
                " GROUP BY trace_id ORDER BY newest DESC LIMIT ?1)"
                "SELECT lower(hex(s.trace_id)) AS traceID,"
                " (SELECT service FROM spans r WHERE r.trace_id = s.trace_id"
                "  ORDER BY parent_id IS NOT NULL, start_ns LIMIT 1) AS rootServiceName,"
                " (SELECT name FROM spans r WHERE r.trace_id = s.trace_id"
                "  ORDER BY parent_id IS NOT NULL, start_ns LIMIT 1) AS rootTraceName,"
                " CAST(min(start_ns) AS TEXT) AS startTimeUnixNano,"
                " (max(end_ns) - min(start_ns)) / 1000000 AS durationMs,"
                " count(*) AS spans, sum(failed) AS errors "
                "FROM spans s JOIN recent USING (trace_id) GROUP BY s.trace_id "
                "ORDER BY min(start_ns) DESC",
                (int64_t)limit);
}

json_t *store_label_values(const char *name)
{
    json_t *list = json_array();
    sqlite3_stmt *statement;

    pthread_mutex_lock(&lock);
    statement = prepare(name ? "SELECT DISTINCT value FROM (SELECT DISTINCT labels FROM lines),"
                               " json_each(labels) WHERE key = ? ORDER BY 1"
                             : "SELECT DISTINCT key FROM (SELECT DISTINCT labels FROM lines),"
                               " json_each(labels) ORDER BY 1");
    if (statement && name)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    while (statement && sqlite3_step(statement) == SQLITE_ROW)
        json_array_append_new(list, json_string((const char *)sqlite3_column_text(statement, 0)));
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&lock);
    return list;
}

/* ---- Slack and PagerDuty --------------------------------------------------------- */

/* Runs sql with text parameters, NULL as null; the lock is held. */
static int run(const char *what, const char *sql, int n, const char *const *values)
{
    sqlite3_stmt *statement = prepare(sql);
    int err;

    if (!statement)
        return -EIO;
    for (int i = 0; i < n; i++)
        sqlite3_bind_text(statement, i + 1, values[i], -1, SQLITE_STATIC);
    err = step_once(statement, what);
    sqlite3_finalize(statement);
    return err;
}

int store_add_slack(const char *path, const json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT);
    int err;

    store_begin();
    err = text ? run("add slack", "INSERT INTO slack (path, payload) VALUES (?, ?)", 2,
                     (const char *const[]){path, text})
               : -ENOMEM;
    if (store_commit(err == 0) < 0)
        err = -EIO;
    free(text);
    return err;
}

int store_update_slack(const json_t *payload)
{
    const char *channel = json_string_value(json_object_get(payload, "channel"));
    const char *ts = json_string_value(json_object_get(payload, "ts"));
    char *text = json_dumps(payload, JSON_COMPACT);
    int err, changed = 0;

    store_begin();
    err = text ? run("update slack",
                     "UPDATE slack SET payload = ? WHERE json_extract(payload, '$.channel') = ?"
                     " AND json_extract(payload, '$.ts') = ?",
                     3, (const char *const[]){text, channel, ts})
               : -ENOMEM;
    if (err == 0)
        changed = sqlite3_changes(db);
    if (store_commit(err == 0) < 0)
        err = -EIO;
    free(text);
    return err < 0 ? err : changed ? 0 : -ENOENT;
}

json_t *store_slack(int64_t since_id)
{
    return rows("SELECT id, time, path, payload AS 'json:payload' FROM slack WHERE id > ? "
                "ORDER BY id",
                since_id);
}

/* The open incident of these keys, 0 for none. */
static int64_t open_incident(const char *routing_key, const char *dedup_key)
{
    sqlite3_stmt *statement = prepare("SELECT id FROM incidents WHERE routing_key = ? AND "
                                      "dedup_key = ? AND status != 'resolved'");
    int64_t id = 0;

    if (!statement)
        return 0;
    sqlite3_bind_text(statement, 1, routing_key, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, dedup_key, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        id = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return id;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Changes the incidents as the event asks; what came of it. */
static const char *apply_event(const json_t *event, int64_t *ret_incident)
{
    const char *keys[] = {text_of(event, "routing_key"), text_of(event, "dedup_key")};
    const char *action = text_of(event, "event_action");
    const json_t *payload = json_object_get(event, "payload");
    int64_t id = open_incident(keys[0], keys[1]);
    char number[32];

    *ret_incident = id;
    (void)snprintf(number, sizeof(number), "%lld", (long long)id);
    if (strcmp(action, "trigger") == 0 && id == 0) {
        const char *values[] = {keys[0], keys[1], text_of(payload, "summary"),
                                text_of(payload, "severity"), text_of(payload, "source")};

        if (run("open incident",
                "INSERT INTO incidents (routing_key, dedup_key, status, summary, severity, source)"
                " VALUES (?, ?, 'triggered', ?, ?, ?)",
                5, values) < 0)
            return NULL;
        *ret_incident = sqlite3_last_insert_rowid(db);
        return "opened";
    }
    if (strcmp(action, "trigger") == 0)
        return run("merge", "UPDATE incidents SET triggers = triggers + 1 WHERE id = ?", 1,
                   (const char *const[]){number}) < 0
                   ? NULL
                   : "merged";
    if (id == 0)
        return "dropped";
    action = strcmp(action, "resolve") == 0 ? "resolved" : "acknowledged";
    return run("change incident",
               "UPDATE incidents SET status = ?, changed = strftime('%Y-%m-%dT%H:%M:%fZ')"
               " WHERE id = ?",
               2, (const char *const[]){action, number}) < 0
               ? NULL
               : action;
}

int store_add_pagerduty(const json_t *event)
{
    char *text = json_dumps(event, JSON_COMPACT), number[32];
    const char *effect;
    int64_t incident;
    int err = -EIO;

    store_begin();
    effect = text ? apply_event(event, &incident) : NULL;
    if (effect) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)incident);
        err = run("add event", "INSERT INTO pagerduty (incident, effect, event) VALUES (?, ?, ?)",
                  3, (const char *const[]){number, effect, text});
    }
    if (store_commit(err == 0) < 0)
        err = -EIO;
    free(text);
    return err;
}

json_t *store_pagerduty_events(int64_t since_id)
{
    return rows("SELECT id, time, CAST(incident AS INTEGER) AS incident, effect,"
                " event AS 'json:event' FROM pagerduty WHERE id > ? ORDER BY id",
                since_id);
}

json_t *store_incidents(void)
{
    return rows("SELECT id, opened, changed, dedup_key, status, summary, severity, source,"
                " triggers FROM incidents WHERE id > ? ORDER BY id",
                0);
}

void store_forget_older(int64_t time_ns)
{
    static const char *const each[] = {"DELETE FROM lines WHERE time_ns < ?",
                                       "DELETE FROM spans WHERE start_ns < ?"};

    store_begin();
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *statement = prepare(each[i]);

        if (statement)
            sqlite3_bind_int64(statement, 1, time_ns);
        if (statement)
            (void)step_once(statement, "forget");
        sqlite3_finalize(statement);
    }
    (void)store_commit(true);
}
