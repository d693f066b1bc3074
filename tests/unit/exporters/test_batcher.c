/* SPDX-License-Identifier: Apache-2.0
 * The queue in front of delivery, batches and bodies of requests. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <batcher.h>
#include <body.h>

#include <string.h>

#define HOUR_NS UINT64_C(3600000000000)

static void put(struct clew__batcher *b, const char *text)
{
    clew__buf_add(clew__batcher_begin(b), text, strlen(text));
    clew__batcher_commit(b, 0);
}

static size_t take(struct clew__batcher *b, bool force)
{
    uint64_t wait;
    struct clew__batch *batch = clew__batcher_take(b, force, &wait);
    size_t n = batch ? batch->n : 0;

    if (batch)
        clew__batcher_recycle(b, batch);
    return n;
}

static void test_batcher_bounds_bytes_and_counts(void **state)
{
    struct clew__batcher b;
    uint64_t wait;

    (void)state;
    clew__batcher_init(
        &b, &(struct clew__limits){.batch_bytes = 100, .linger_ns = HOUR_NS, .queue_bytes = 250});
    for (int i = 0; i < 50; i++)
        put(&b, "0123456789");
    assert_int_equal(b.dropped, 30);
    assert_int_equal(b.queued, 20);
    put(&b, "x");
    assert_true(clew__batcher_give(&b));
    assert_int_equal(take(&b, false), 10);
    assert_int_equal(take(&b, false), 10);
    assert_null(clew__batcher_take(&b, false, &wait)); /* the open one is not due */
    assert_true(wait > 0 && wait < UINT64_MAX);
    assert_int_equal(take(&b, true), 1);
    assert_int_equal(b.queued, 0);
    assert_int_equal(b.taken, 0);
    assert_int_equal(b.handed, 21);
    clew__batcher_done(&b);
}

static void test_batcher_bounds_records(void **state)
{
    struct clew__batcher b;

    (void)state;
    clew__batcher_init(&b, &(struct clew__limits){.batch_bytes = 1000,
                                                  .batch_records = 4,
                                                  .due_records = 2,
                                                  .linger_ns = HOUR_NS,
                                                  .queue_bytes = 100000,
                                                  .queue_records = 10});
    for (int i = 0; i < 20; i++)
        put(&b, "a");
    (void)clew__batcher_give(&b);
    assert_int_equal(b.dropped, 12);
    for (int i = 0; i < 2; i++)
        assert_int_equal(take(&b, false), 4);
    put(&b, "a");
    assert_true(clew__batcher_give(&b)); /* to look at the clock */
    assert_int_equal(take(&b, false), 0);
    put(&b, "a");
    assert_true(clew__batcher_give(&b)); /* now it is due */
    assert_int_equal(take(&b, false), 2);
    assert_false(clew__batcher_give(&b));
    clew__batcher_done(&b);
}

/* While the collector fills it, nobody takes it; what does not fit into it is
 * dropped, and what was there before stays whole. */
static void test_batcher_keeps_records_whole(void **state)
{
    struct clew__batcher b;
    struct clew__batch *batch;
    uint64_t wait;
    char big[300];

    (void)state;
    memset(big, 'b', sizeof(big));
    clew__batcher_init(
        &b, &(struct clew__limits){.batch_bytes = 100, .linger_ns = 0, .queue_bytes = 1000});
    put(&b, "first");
    assert_null(clew__batcher_take(&b, true, &wait));
    clew__buf_add(clew__batcher_begin(&b), "half", 4);
    clew__buf_add(clew__batcher_begin(&b), big, sizeof(big));
    clew__batcher_commit(&b, 0);
    put(&b, "second");
    (void)clew__batcher_give(&b);
    assert_int_equal(b.dropped, 1);
    batch = clew__batcher_take(&b, true, &wait);
    assert_non_null(batch);
    assert_int_equal(batch->n, 2);
    assert_int_equal(batch->records.len, 11);
    assert_memory_equal(batch->records.data, "firstsecond", 11);
    clew__batcher_recycle(&b, batch);
    clew__batcher_done(&b);
}

static void test_batcher_splits_in_halves(void **state)
{
    struct clew__batcher b;
    struct clew__batch *batch, *second;
    uint64_t wait;

    (void)state;
    clew__batcher_init(&b, &(struct clew__limits){.batch_bytes = 100, .queue_bytes = 1000});
    put(&b, "one");
    put(&b, "two");
    put(&b, "three");
    (void)clew__batcher_give(&b);
    batch = clew__batcher_take(&b, true, &wait);
    assert_true(clew__batch_split(batch));
    second = batch->next;
    assert_int_equal(batch->n, 1);
    assert_int_equal(second->n, 2);
    assert_memory_equal(second->records.data, "twothree", 8);
    assert_int_equal(second->items[0].end, 3);
    assert_int_equal(second->items[1].end, 8);
    assert_false(clew__batch_split(batch)); /* one is the least */
    batch->next = NULL;
    clew__batcher_recycle(&b, batch);
    clew__batcher_recycle(&b, second);
    clew__batcher_done(&b);
}

static void test_body_reads_its_pieces(void **state)
{
    struct clew__body body;
    char text[64];
    size_t n = 0, got;

    (void)state;
    clew__body_init(&body, 1000);
    clew__buf_adds(&body.own, "head ");
    clew__body_add(&body, "one ", 4);
    clew__body_add(&body, "two", 3);
    clew__buf_adds(&body.own, " tail");
    assert_true(clew__body_finish(&body));
    assert_int_equal(body.len, 17);
    while ((got = clew__body_read(&body, text + n, 4)) > 0)
        n += got;
    assert_int_equal(n, 17);
    assert_memory_equal(text, "head one two tail", 17);
    clew__body_rewind(&body);
    assert_int_equal(clew__body_read(&body, text, sizeof(text)), 17);
    clew__body_reset(&body);
    clew__body_add(&body, text, 1001); /* more than there may be */
    assert_false(clew__body_finish(&body));
    clew__body_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batcher_bounds_bytes_and_counts),
        cmocka_unit_test(test_batcher_bounds_records),
        cmocka_unit_test(test_batcher_keeps_records_whole),
        cmocka_unit_test(test_batcher_splits_in_halves),
        cmocka_unit_test(test_body_reads_its_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
