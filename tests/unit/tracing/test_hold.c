/* SPDX-License-Identifier: Apache-2.0
 * References that open spans have of their context, in whatever thread and order
 * they end: the context is released with the last, and not before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <context_priv.h>

#include <clew/trace.h>

#include <pthread.h>
#include <stdlib.h>

#define MANY 40u

static uint64_t misused(void)
{
    struct clew_stats stats;

    clew_stats_read(&stats);
    return stats.misused;
}

static struct clew_span *start_in(struct clew_context *context)
{
    const struct clew_span_options options = {.parent = {context, 0}};

    return clew_span_start_with("work", &options);
}

/* A context that a test may still look at when it is released. */
static struct clew_context *new_context(void)
{
    struct clew_context *context = clew_context_new();

    assert_non_null(context);
    return context;
}

static void *end_all(void *arg)
{
    struct clew_span **spans = arg;

    for (unsigned i = 0; spans[i]; i++)
        clew_span_end(spans[i]);
    return NULL;
}

static void in_another_thread(void *(*call)(void *), void *arg)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, call, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_nested_spans(void **state)
{
    struct clew_context *context = new_context();
    struct clew_span *outer = start_in(context), *inner;
    (void)state;

    for (unsigned i = 0; i < MANY; i++) {
        inner = start_in(context);
        clew_span_end(inner);
    }
    inner = start_in(context);
    clew_span_end(outer); /* before its child */
    (void)clew_context_unref(context);
    assert_true(clew__context_is_live(context));
    clew_span_end(inner);
    assert_false(clew__context_is_live(context));
}

/* The span is the last to know the context. */
static void test_span_outlives_the_request(void **state)
{
    struct clew_context *context = new_context();
    struct clew_span *span = start_in(context);
    (void)state;

    (void)clew_context_unref(context);
    assert_true(clew__context_is_live(context));
    assert_ptr_equal(clew_span_scope(span).context, context);
    clew_span_end(span);
    assert_false(clew__context_is_live(context));
}

/* They end where they did not begin; this thread learns of it when it has turned
 * to other requests. */
static void test_spans_end_in_another_thread(void **state)
{
    struct clew_context *context = new_context(), *others[MANY];
    struct clew_span *spans[MANY + 1] = {NULL};
    (void)state;

    for (unsigned i = 0; i < MANY; i++) {
        others[i] = new_context();
        spans[i] = start_in(context);
    }
    in_another_thread(end_all, spans);
    (void)clew_context_unref(context);
    for (unsigned i = 0; i < MANY; i++)
        clew_span_end(start_in(others[i]));
    assert_false(clew__context_is_live(context));
    for (unsigned i = 0; i < MANY; i++) {
        (void)clew_context_unref(others[i]);
        assert_false(clew__context_is_live(others[i]));
    }
}

struct job {
    struct clew_context *context;
    struct clew_span *spans[MANY + 1];
};

static void *start_job(void *arg)
{
    struct job *job = arg;

    for (unsigned i = 0; i < MANY; i++)
        job->spans[i] = start_in(job->context);
    return NULL;
}

/* The thread that began them is gone when they end. */
static void test_thread_ends_before_its_spans(void **state)
{
    struct job job = {.context = new_context()};
    (void)state;

    in_another_thread(start_job, &job);
    (void)clew_context_unref(job.context);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(clew__context_is_live(job.context));
        clew_span_end(job.spans[i]);
    }
    assert_false(clew__context_is_live(job.context));
}

/* An event loop: many requests with open spans at once. */
static void test_requests_in_turns(void **state)
{
    struct clew_context *contexts[MANY];
    struct clew_span *spans[MANY][3];
    (void)state;

    for (unsigned i = 0; i < MANY; i++)
        contexts[i] = new_context();
    for (unsigned j = 0; j < 3; j++)
        for (unsigned i = 0; i < MANY; i++)
            spans[i][j] = start_in(contexts[i]);
    for (unsigned i = 0; i < MANY; i++)
        (void)clew_context_unref(contexts[i]);
    for (unsigned j = 0; j < 3; j++)
        for (unsigned i = 0; i < MANY; i++) {
            assert_true(clew__context_is_live(contexts[i]));
            clew_span_end(spans[i][j]);
        }
    for (unsigned i = 0; i < MANY; i++)
        assert_false(clew__context_is_live(contexts[i]));
}

static void *take_turns(void *arg)
{
    struct clew_context *context = arg;
    struct clew_span *span, *kept = NULL;

    for (unsigned i = 0; i < 20000; i++) {
        span = start_in(context);
        clew_span_end(kept);
        kept = i % 3 ? NULL : span;
        if (!kept)
            clew_span_end(span);
    }
    clew_span_end(kept);
    return NULL;
}

static void test_threads_share_a_context(void **state)
{
    struct clew_context *context = new_context();
    pthread_t threads[4];
    (void)state;

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_turns, context), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(clew__context_is_live(context));
    (void)clew_context_unref(context);
    assert_false(clew__context_is_live(context));
}

static void test_released_too_often(void **state)
{
    struct clew_context *context = new_context();
    struct clew_span *span = start_in(context);
    uint64_t before = misused();
    (void)state;

    (void)clew_context_unref(context);
    (void)clew_context_unref(context);
    clew_span_end(span);
    assert_int_equal(misused(), before + 1);
    assert_false(clew__context_is_live(context));
    assert_null(start_in(context));
    assert_int_equal(misused(), before + 2);
}

static int start_log(void **state)
{
    (void)state;
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    return clew_log_start("hold", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_spans),
        cmocka_unit_test(test_span_outlives_the_request),
        cmocka_unit_test(test_spans_end_in_another_thread),
        cmocka_unit_test(test_thread_ends_before_its_spans),
        cmocka_unit_test(test_requests_in_turns),
        cmocka_unit_test(test_threads_share_a_context),
        cmocka_unit_test(test_released_too_often),
    };

    return cmocka_run_group_tests(tests, start_log, NULL);
}
