/* SPDX-License-Identifier: Apache-2.0
 * Spans as a sink gets them: what is kept, what wins, limits, misuse, fork, a
 * violent end, and requests that are kept because of how they ended. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/trace.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a sink that prints each span as one JSON line -------------------------------------- */

static json_t *value_of(const struct clew_field *field)
{
    char text[8192];
    size_t len = clew_field_text(field, text, sizeof(text));
    json_t *value;

    if (field->type == CLEW_TYPE_STRING)
        return json_stringn(text, len < sizeof(text) ? len : sizeof(text));
    value = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    return value ? value : json_stringn(text, len);
}

static json_t *object_of(const struct clew_field *fields, size_t n)
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++) {
        char key[256];

        (void)snprintf(key, sizeof(key), "%.*s", (int)fields[i].key_len, fields[i].key);
        if (json_object_get(object, key))
            (void)strcpy(key, "TWICE");
        json_object_set_new(object, key, value_of(&fields[i]));
    }
    return object;
}

static json_t *events_of(const struct clew_span_record *span)
{
    json_t *events = json_array();

    for (size_t i = 0; i < span->nevents; i++) {
        const struct clew_span_event *event = &span->events[i];

        json_array_append_new(events, json_pack("{s:s,s:I,s:o,s:i}", "name", event->name, "time",
                                                (json_int_t)event->time_ns, "attributes",
                                                object_of(event->attributes, event->nattributes),
                                                "dropped", (int)event->dropped_attributes));
    }
    return events;
}

static json_t *links_of(const struct clew_span_record *span)
{
    json_t *links = json_array();

    for (size_t i = 0; i < span->nlinks; i++) {
        const struct clew_span_link *link = &span->links[i];

        json_array_append_new(
            links, json_pack("{s:I,s:i,s:s,s:b,s:i,s:o}", "span_id", (json_int_t)link->span_id,
                             "trace", link->trace_id[0], "state", link->trace_state, "remote",
                             link->is_remote, "flags", link->trace_flags, "attributes",
                             object_of(link->attributes, link->nattributes)));
    }
    return links;
}

static void print_span(void *self, const struct clew_span_record *span)
{
    json_t *line = json_pack(
        "{s:s,s:s,s:I,s:I,s:i,s:i,s:s,s:b,s:b,s:s,s:s,s:I,s:I,s:o,s:o,s:o,s:i,s:i,s:i}", "message",
        "span", "name", span->name, "id", (json_int_t)(span->span_id >> 1), "parent",
        (json_int_t)(span->parent_span_id >> 1), "kind", span->kind, "status", span->status,
        "status_message", span->status_message, "interrupted", span->interrupted, "remote",
        span->parent_is_remote, "scope", span->scope, "state", span->trace_state, "start",
        (json_int_t)span->start_ns, "end", (json_int_t)span->end_ns, "attributes",
        object_of(span->attributes, span->nattributes), "events", events_of(span), "links",
        links_of(span), "dropped_attributes", (int)span->dropped_attributes, "dropped_events",
        (int)span->dropped_events, "dropped_links", (int)span->dropped_links);
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

    (void)self;
    if (text)
        dprintf(STDOUT_FILENO, "%s\n", text);
    free(text);
    json_decref(line);
}

static const struct clew_sink_ops sink = {"test", NULL, print_span, NULL, NULL, CLEW_LEVEL_TRACE};

static void run(int (*scenario)(void *arg))
{
    child_run(scenario, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
}

/* The nth span of that name. */
static json_t *span_named(const char *name, size_t n)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        if (json_object_get(line, "events") &&
            strcmp(json_string_value(json_object_get(line, "name")), name) == 0 && n-- == 0)
            return line;
    }
    return NULL;
}

static json_t *attribute(json_t *owner, const char *key)
{
    return json_object_get(json_object_get(owner, "attributes"), key);
}

static long long number(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "(none)";
}

/* ---- what is kept ------------------------------------------------------------------------- */

static int everything(void *arg)
{
    static const int64_t numbers[] = {1, -2, INT64_MAX};
    static const char *const names[] = {"a", "b\xff"};
    const char *key = "run.time.key";
    struct clew_value value = clew_value_int(7);
    const uint8_t type = CLEW_TYPE_INT;
    struct clew_link link = {
        .trace_id = {9}, .span_id = 5, .trace_flags = 1, .is_remote = true, .trace_state = "k=v"};
    struct clew_span *span;

    (void)arg;
    clew_sink_add(&sink, NULL);
    span = clew_span_begin("first name", CLEW_SPAN_PRODUCER);
    CHECK(clew_span_current() == span);
    clew_span_set(span, clew_kv("s", "text"), clew_kv("i", -1), clew_kv("u", UINT64_MAX),
                  clew_kv("d", 0.5), clew_kv("b", (bool)true));
    clew_span_set(span, clew_array("numbers", numbers, 3), clew_array("names", names, 2),
                  clew_object("object", clew_kv("x", 1), clew_kv("y", "z")),
                  clew_hex("bytes", "\x01\x02", 2));
    clew_span_set(span, clew_kv("i", -2));
    clew_span_set_fields(span, 1, &key, &type, &value);
    clew_span_set(span, clew_kv("bad", "\xff"), clew_kv("password", "hunter2"));
    clew_span_event(span, "plain");
    clew_span_event(span, "with", clew_kv("n", 1));
    clew_span_event_at(span, 1000, "then", clew_kv("n", 2));
    clew_span_event_fields(span, 0, "named", 1, &key, &type, &value);
    clew_span_link(span, &link);
    clew_span_link(span, &link, clew_kv("why", "because"));
    clew_span_set_name(span, "last name");
    clew_span_end(span);
    CHECK(clew_span_current() == NULL);
    return 0;
}

static void test_span_keeps_everything(void **state)
{
    json_t *span, *events, *links;

    (void)state;
    run(everything);
    span = span_named("last name", 0);
    assert_non_null(span);
    assert_int_equal(number(span, "kind"), CLEW_SPAN_PRODUCER);
    assert_int_equal(json_object_size(json_object_get(span, "attributes")), 12);
    assert_string_equal(json_string_value(attribute(span, "s")), "text");
    assert_int_equal(json_integer_value(attribute(span, "i")), -2);
    assert_true(json_real_value(attribute(span, "d")) == 0.5);
    assert_true(json_is_true(attribute(span, "b")));
    assert_int_equal(json_integer_value(json_array_get(attribute(span, "numbers"), 2)), INT64_MAX);
    assert_string_equal(json_string_value(json_array_get(attribute(span, "names"), 1)),
                        "b\xEF\xBF\xBD");
    assert_string_equal(text(attribute(span, "object"), "y"), "z");
    assert_int_equal(json_integer_value(attribute(span, "run.time.key")), 7);
    assert_string_equal(json_string_value(attribute(span, "bad")), "\xEF\xBF\xBD");
    assert_memory_equal(json_string_value(attribute(span, "password")), "tok_", 4);
    events = json_object_get(span, "events");
    assert_int_equal(json_array_size(events), 4);
    assert_string_equal(text(json_array_get(events, 0), "name"), "plain");
    assert_true(number(json_array_get(events, 0), "time") >= number(span, "start"));
    assert_true(number(json_array_get(events, 0), "time") <= number(span, "end"));
    assert_int_equal(json_integer_value(attribute(json_array_get(events, 1), "n")), 1);
    assert_int_equal(number(json_array_get(events, 2), "time"), 1000);
    assert_string_equal(text(json_array_get(events, 3), "name"), "named");
    links = json_object_get(span, "links");
    assert_int_equal(json_array_size(links), 2);
    assert_string_equal(text(json_array_get(links, 0), "state"), "k=v");
    assert_int_equal(number(json_array_get(links, 1), "trace"), 9);
    assert_string_equal(json_string_value(attribute(json_array_get(links, 1), "why")), "because");
}

static int options(void *arg)
{
    struct clew_span *parent, *span;

    (void)arg;
    clew_sink_add(&sink, NULL);
    parent = clew_span_start("parent", CLEW_SPAN_INTERNAL);
    span =
        clew_span_start_with("child", &(struct clew_span_options){.parent = clew_span_scope(parent),
                                                                  .remote = true,
                                                                  .kind = CLEW_SPAN_CONSUMER,
                                                                  .start_ns = 1000,
                                                                  .scope = "clew.test"});
    clew_span_end_at(span, 3000);
    span = clew_span_start_with(
        "root", &(struct clew_span_options){.parent = clew_span_scope(parent), .root = true});
    CHECK(memcmp(clew_context_trace_id(clew_span_scope(span).context),
                 clew_context_trace_id(clew_span_scope(parent).context), 16) != 0);
    clew_span_end_at(span, 1); /* before its start */
    clew_span_end(parent);
    return 0;
}

static void test_span_options(void **state)
{
    (void)state;
    run(options);
    assert_int_equal(number(span_named("child", 0), "parent"),
                     number(span_named("parent", 0), "id"));
    assert_true(json_is_true(json_object_get(span_named("child", 0), "remote")));
    assert_int_equal(number(span_named("child", 0), "start"), 1000);
    assert_int_equal(number(span_named("child", 0), "end"), 3000);
    assert_int_equal(number(span_named("child", 0), "kind"), CLEW_SPAN_CONSUMER);
    assert_string_equal(text(span_named("child", 0), "scope"), "clew.test");
    assert_int_equal(number(span_named("root", 0), "parent"), 0);
    assert_int_equal(number(span_named("root", 0), "end"), number(span_named("root", 0), "start"));
}

static int errors(void *arg)
{
    struct clew_span *span = NULL;

    (void)arg;
    clew_sink_add(&sink, NULL);
    {
        CLEW_SPAN_SCOPE(block, "block", CLEW_SPAN_INTERNAL);
        clew_span_errno(block, ENOENT);
        span = block;
    }
    CHECK(clew_scope_current().context == NULL);
    CHECK(!clew_span_is_recording(span));
    span = clew_span_start("error", CLEW_SPAN_INTERNAL);
    clew_span_error(span, "Overflow", NULL);
    clew_span_set_status(span, CLEW_SPAN_UNSET, NULL);
    clew_span_end(span);
    span = clew_span_start("fine", CLEW_SPAN_INTERNAL);
    clew_span_error(span, "Overflow", "it was too much");
    clew_span_set_status(span, CLEW_SPAN_OK, "not kept");
    clew_span_set_status(span, CLEW_SPAN_ERROR, "too late");
    clew_span_end(span);
    return 0;
}

static void test_span_errors_and_status(void **state)
{
    json_t *span, *event;

    (void)state;
    run(errors);
    span = span_named("block", 0);
    assert_int_equal(number(span, "status"), CLEW_SPAN_ERROR);
    assert_string_equal(text(span, "status_message"), "No such file or directory");
    assert_string_equal(json_string_value(attribute(span, "error.type")), "ENOENT");
    event = json_array_get(json_object_get(span, "events"), 0);
    assert_string_equal(text(event, "name"), "exception");
    assert_string_equal(json_string_value(attribute(event, "exception.message")),
                        "No such file or directory");
    assert_int_equal(number(span_named("error", 0), "status"), CLEW_SPAN_ERROR);
    assert_int_equal(number(span_named("fine", 0), "status"), CLEW_SPAN_OK);
    assert_string_equal(text(span_named("fine", 0), "status_message"), "");
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int over_limits(void *arg)
{
    struct clew_span *span;

    (void)arg;
    clew_sink_add(&sink, NULL);
    span = clew_span_start("limited", CLEW_SPAN_INTERNAL);
    clew_span_set(span, clew_kv("a", "1234567"), clew_kv("b", "\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F"),
                  clew_kv("c", 3));
    clew_span_set(span, clew_kv("a", "new"));
    for (int i = 0; i < 5; i++)
        clew_span_event(span, "event", clew_kv("x", i), clew_kv("y", i));
    for (int i = 0; i < 3; i++)
        clew_span_link(span, &(struct clew_link){.span_id = 1});
    clew_span_end(span);
    return 0;
}

static void test_span_limits_of_the_environment(void **state)
{
    json_t *span, *events;

    (void)state;
    setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2", 1);
    setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3", 1);
    setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "4", 1);
    setenv("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "1", 1);
    setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "nonsense", 1);
    run(over_limits);
    span = span_named("limited", 0);
    assert_int_equal(json_object_size(json_object_get(span, "attributes")), 2);
    assert_string_equal(json_string_value(attribute(span, "a")), "new");
    assert_string_equal(json_string_value(attribute(span, "b")), "\xC3\xA4\xC3\xB6\xC3\xBC");
    assert_int_equal(number(span, "dropped_attributes"), 1);
    events = json_object_get(span, "events");
    assert_int_equal(json_array_size(events), 4);
    assert_int_equal(number(span, "dropped_events"), 1);
    assert_int_equal(number(json_array_get(events, 0), "dropped"), 1);
    assert_int_equal(json_array_size(json_object_get(span, "links")), 3);
    assert_int_equal(child_count("a limit of spans is not a number, using the default"), 1);
}

/* More than a slot holds, more than anything holds. */
static int large(void *arg)
{
    char big[3000];
    struct clew_span *span;

    (void)arg;
    memset(big, 'x', sizeof(big));
    clew_sink_add(&sink, NULL);
    span = clew_span_start("large", CLEW_SPAN_INTERNAL);
    for (int i = 0; i < 20; i++)
        clew_span_event(span, "event", clew_kvn("big", big, sizeof(big)), clew_kv("i", i));
    clew_span_set(span, clew_kv("small", 1), clew_kvn("big", big, sizeof(big)),
                  clew_kv("last", "l"));
    clew_span_end(span);
    return 0;
}

static void test_span_larger_than_its_slot(void **state)
{
    json_t *span, *events;
    size_t n;

    (void)state;
    run(large);
    span = span_named("large", 0);
    events = json_object_get(span, "events");
    n = json_array_size(events);
    assert_true(n >= 9);
    assert_int_equal(n + (size_t)number(span, "dropped_events"), 20);
    assert_true(number(span, "dropped_attributes") >= 1);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(json_integer_value(attribute(json_array_get(events, i), "i")), (int)i);
    assert_int_equal(json_integer_value(attribute(span, "small")), 1);
    assert_string_equal(json_string_value(attribute(span, "last")), "l");
    assert_null(attribute(span, "big"));
}

/* ---- misuse ------------------------------------------------------------------------------------
 */

static int misuse(void *arg)
{
    struct clew_span *outer, *inner, *stale;
    struct clew_stats stats;

    (void)arg;
    clew_sink_add(&sink, NULL);
    stale = clew_span_start("once", CLEW_SPAN_INTERNAL);
    clew_span_end(stale);
    clew_span_set(stale, clew_kv("late", 1));
    clew_span_end(stale);
    outer = clew_span_begin("outer", CLEW_SPAN_INTERNAL); /* perhaps in the same slot */
    clew_span_set_name(stale, "never");
    clew_span_event(stale, "never");
    inner = clew_span_begin("inner", CLEW_SPAN_INTERNAL);
    clew_span_end(outer);
    CHECK(clew_scope_current().span_id == clew_span_scope(inner).span_id);
    clew_span_end(inner);
    clew_span_set(NULL, clew_kv("x", 1));
    clew_span_end(NULL);
    clew_stats_read(&stats);
    if (stats.misused < 5)
        fprintf(stderr, "%llu\n", (unsigned long long)stats.misused);
    CHECK(stats.misused >= 5 && stats.spans_live == 0 && stats.spans_started_sampled == 3);
    return 0;
}

static void test_span_misuse_is_counted(void **state)
{
    (void)state;
    run(misuse);
    assert_non_null(span_named("once", 0));
    assert_null(span_named("once", 1));
    assert_null(attribute(span_named("once", 0), "late"));
    assert_non_null(span_named("outer", 0));
    assert_non_null(span_named("inner", 0));
    assert_null(span_named("never", 0));
}

/* ---- threads, fork, death -----------------------------------------------------------------------
 */

static void *end_there(void *arg)
{
    clew_span_event(arg, "other thread");
    clew_span_end(arg);
    return NULL;
}

static int other_threads(void *arg)
{
    (void)arg;
    clew_sink_add(&sink, NULL);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        struct clew_span *spans[8];

        for (int k = 0; k < 8; k++)
            spans[k] = clew_span_start("moved", CLEW_SPAN_INTERNAL);
        CHECK(pthread_create(&thread, NULL, end_there, spans[0]) == 0);
        for (int k = 1; k < 8; k++)
            clew_span_end(spans[k]);
        pthread_join(thread, NULL);
    }
    return 0;
}

static void test_span_ends_in_another_thread(void **state)
{
    (void)state;
    run(other_threads);
    assert_non_null(span_named("moved", 1599));
    assert_null(span_named("moved", 1600));
}

static int forks(void *arg)
{
    struct clew_span *parents;
    int status;
    pid_t pid;

    (void)arg;
    clew_sink_add(&sink, NULL);
    parents = clew_span_begin("parent's", CLEW_SPAN_INTERNAL);
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0) {
        struct clew_span *own;

        clew_span_set(parents, clew_kv("child", 1)); /* does nothing here */
        clew_span_end(parents);
        own = clew_span_begin("child's", CLEW_SPAN_INTERNAL);
        clew_span_end(own);
        exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    clew_span_set(parents, clew_kv("parent", 1));
    clew_span_end(parents);
    return 0;
}

static void test_span_and_fork(void **state)
{
    (void)state;
    run(forks);
    assert_non_null(span_named("child's", 0));
    assert_non_null(span_named("parent's", 0));
    assert_null(span_named("parent's", 1));
    assert_non_null(attribute(span_named("parent's", 0), "parent"));
    assert_null(attribute(span_named("parent's", 0), "child"));
}

static int dies(void *arg)
{
    struct clew_span *open, *more;

    (void)arg;
    if (clew_log_start("mortal", NULL) != 0)
        return 1;
    open = clew_span_begin("open", CLEW_SPAN_SERVER);
    clew_span_set(open, clew_kv("i", 1));
    clew_span_event(open, "so far");
    more = clew_span_begin("ended", CLEW_SPAN_INTERNAL);
    clew_span_end(more);
    more = clew_span_start("given up", CLEW_SPAN_INTERNAL);
    clew_span_end(more);
    (void)kill(getpid(), SIGKILL);
    return 0;
}

static int heir(void *arg)
{
    (void)arg;
    clew_sink_add(&sink, NULL);
    return clew_log_start("mortal", NULL) == 0 && clew_log_flush(5000) == 0 ? 0 : 1;
}

static void test_span_open_at_death_is_told(void **state)
{
    json_t *span;

    (void)state;
    for (int i = 0; i < 30; i++) {
        child_run(dies, NULL);
        assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGKILL);
        run(heir);
        span = span_named("open", 0);
        assert_non_null(span);
        assert_null(span_named("open", 1));
        assert_true(json_is_true(json_object_get(span, "interrupted")));
        assert_int_equal(json_integer_value(attribute(span, "i")), 1);
        assert_string_equal(text(json_array_get(json_object_get(span, "events"), 0), "name"),
                            "so far");
        assert_true(number(span, "end") >= number(span, "start"));
        assert_true(number(span, "end") - number(span, "start") < INT64_C(60000000000));
    }
}

/* ---- processors
 * ------------------------------------------------------------------------------------ */

static void on_start(void *self, struct clew_span *span)
{
    (void)self;
    clew_span_set(span, clew_kv("started", (bool)true));
}

static void on_end(void *self, struct clew_span *span)
{
    (*(int *)self)++;
    clew_span_set(span, clew_kv("ended", (bool)true));
}

static int processed(void *arg)
{
    static const struct clew_span_processor_ops ops = {"test", on_start, on_end};
    int ends = 0;

    (void)arg;
    clew_sink_add(&sink, NULL);
    CHECK(clew_span_processor_add(&ops, &ends) == 0);
    CHECK(clew_span_processor_add(NULL, NULL) == -EINVAL);
    clew_span_end(clew_span_start("processed", CLEW_SPAN_INTERNAL));
    CHECK(ends == 1);
    return 0;
}

static void test_span_processors(void **state)
{
    (void)state;
    run(processed);
    assert_true(json_is_true(attribute(span_named("processed", 0), "started")));
    assert_true(json_is_true(attribute(span_named("processed", 0), "ended")));
}

/* ---- requests that are kept by their end
 * -------------------------------------------------------------- */

static void request(const char *name, bool fails, unsigned sleep_us)
{
    struct clew_span *root = clew_span_begin(name, CLEW_SPAN_SERVER), *inner;

    inner = clew_span_begin("inner", CLEW_SPAN_INTERNAL);
    if (fails)
        clew_span_error(inner, "Broken", NULL);
    clew_span_end(inner);
    if (sleep_us)
        usleep(sleep_us);
    clew_span_end(root);
}

static int tail(void *arg)
{
    (void)arg;
    clew_sink_add(&sink, NULL);
    for (int i = 0; i < 100; i++)
        request("ordinary", false, 0);
    request("failed", true, 0);
    request("slow", false, 60000);
    return 0;
}

static void test_span_errors_and_slow_requests_are_kept(void **state)
{
    (void)state;
    setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
    setenv("CLEW_TRACES_KEEP", "errors,slower=50", 1);
    run(tail);
    assert_null(span_named("ordinary", 0));
    assert_non_null(span_named("failed", 0));
    assert_non_null(span_named("slow", 0));
    assert_non_null(span_named("inner", 1));
    assert_null(span_named("inner", 2));
    setenv("CLEW_TRACES_KEEP", "", 1);
    run(tail);
    assert_null(span_named("failed", 0));
    assert_null(span_named("inner", 0));
}

static int dies_held(void *arg)
{
    struct clew_span *root;

    (void)arg;
    if (clew_log_start("mortal", NULL) != 0)
        return 1;
    (void)clew_log_flush(5000); /* the collector sleeps from here on */
    request("ordinary", false, 0);
    root = clew_span_begin("unfinished", CLEW_SPAN_SERVER);
    clew_span_end(clew_span_begin("within", CLEW_SPAN_INTERNAL));
    (void)root;
    (void)kill(getpid(), SIGKILL);
    return 0;
}

/* A request that was going on goes out; one that was over and not wanted stays away. */
static void test_span_held_at_death(void **state)
{
    (void)state;
    setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
    setenv("CLEW_TRACES_KEEP", "errors", 1);
    child_run(dies_held, NULL);
    assert_true(WIFSIGNALED(child.status));
    run(heir);
    assert_null(span_named("ordinary", 0));
    assert_non_null(span_named("unfinished", 0));
    assert_null(span_named("inner", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_setup, child_teardown)
        TEST(test_span_keeps_everything),
        TEST(test_span_options),
        TEST(test_span_errors_and_status),
        TEST(test_span_limits_of_the_environment),
        TEST(test_span_larger_than_its_slot),
        TEST(test_span_misuse_is_counted),
        TEST(test_span_ends_in_another_thread),
        TEST(test_span_and_fork),
        TEST(test_span_open_at_death_is_told),
        TEST(test_span_processors),
        TEST(test_span_errors_and_slow_requests_are_kept),
        TEST(test_span_held_at_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
