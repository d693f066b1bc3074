/* SPDX-License-Identifier: Apache-2.0
 * Messages of Kafka as spans, with librdkafka's own mock of a cluster. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "print_spans.h"

#include <clew/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int delivered, failed;
static char opaque;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
    (void)rk, (void)arg;
    if (message->err)
        failed++;
    delivered += clew_kafka_delivered(message) == &opaque;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[256];

    if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
        fprintf(stderr, "%s\n", error);
}

static rd_kafka_t *make_producer(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    if (brokers) /* else to make the mock cluster with */
        set(conf, "bootstrap.servers", brokers);
    set(conf, "message.timeout.ms", "10000");
    set(conf, "client.id", "tester");
    set(conf, "log_level", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
}

static rd_kafka_t *make_consumer(const char *brokers)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;

    set(conf, "bootstrap.servers", brokers);
    set(conf, "group.id", "readers");
    set(conf, "log_level", "0");
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    rd_kafka_topic_partition_list_add(list, "orders", 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

static rd_kafka_message_t *next_message(rd_kafka_t *consumer)
{
    for (int i = 0; i < 200; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);

        if (message && !message->err)
            return message;
        if (message)
            rd_kafka_message_destroy(message);
    }
    return NULL;
}

static int produce(rd_kafka_t *rk)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    struct clew_span *outer = clew_span_begin("outer", CLEW_SPAN_INTERNAL);

    CHECK(rd_kafka_header_add(headers, "own", -1, "mine", -1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(rd_kafka_header_add(headers, "traceparent", -1, "stale", -1) ==
          RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(clew_kafka_produce(rk, "orders", 0, "k-secret", 8, "p-secret", 8, headers, &opaque) ==
          RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(clew_kafka_produce(rk, "orders", 0, NULL, 0, "two", 3, NULL, &opaque) ==
          RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(clew_kafka_produce(rk, "orders", 0, NULL, 0, "three", 5, NULL, &opaque) ==
          RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(clew_kafka_produce(rk, "orders", 9, NULL, 0, "nowhere", 7, NULL, &opaque) !=
              RD_KAFKA_RESP_ERR_NO_ERROR ||
          rd_kafka_outq_len(rk) >= 4);
    clew_span_end(outer);
    rd_kafka_headers_destroy(headers);
    CHECK(rd_kafka_flush(rk, 15000) == RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(delivered >= 3);
    return 0;
}

static int consume(rd_kafka_t *consumer)
{
    rd_kafka_message_t *message = next_message(consumer), *batch[2];
    rd_kafka_headers_t *headers;
    struct clew_kafka_work work;
    struct clew_span *span;
    const void *value;
    size_t len;

    CHECK(message != NULL);
    CHECK(rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(rd_kafka_header_get(headers, 0, "own", &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(rd_kafka_header_get(headers, 1, "traceparent", &value, &len) !=
          RD_KAFKA_RESP_ERR_NO_ERROR);
    span = clew_kafka_process_begin(consumer, message);
    clew_info("processing");
    clew_span_end(span);
    CHECK(clew_scope_current().context == NULL);
    clew_kafka_work_begin(&work, consumer, message);
    clew_kafka_work_end(&work, NULL);
    clew_kafka_work_begin(&work, consumer, message);
    clew_kafka_work_end(&work, "timeout");
    CHECK(clew_scope_current().context == NULL);
    rd_kafka_message_destroy(message);
    batch[0] = next_message(consumer);
    batch[1] = next_message(consumer);
    CHECK(batch[0] && batch[1]);
    clew_span_end(clew_kafka_batch_begin(consumer, batch, 2));
    rd_kafka_message_destroy(batch[0]);
    rd_kafka_message_destroy(batch[1]);
    return 0;
}

static int messages(void *arg)
{
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *base, *producer, *consumer;
    const char *brokers;

    (void)arg;
    print_spans();
    base = make_producer(NULL);
    CHECK((cluster = rd_kafka_mock_cluster_new(base, 1)) != NULL);
    CHECK(rd_kafka_mock_topic_create(cluster, "orders", 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    brokers = rd_kafka_mock_cluster_bootstraps(cluster);
    producer = make_producer(brokers);
    CHECK(produce(producer) == 0);
    consumer = make_consumer(brokers);
    CHECK(consume(consumer) == 0);
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(base);
    return 0;
}

static const char *link_id(json_t *span, size_t n, const char *key)
{
    return member(json_array_get(json_object_get(span, "links"), n), key);
}

static json_t *with_error(const char *name)
{
    json_t *span = span_named(name, 0);

    for (size_t n = 0; span && strcmp(span_attribute(span, "error.type"), "(none)") == 0;)
        span = span_named(name, ++n);
    return span;
}

static void check_events(void)
{
    json_t *failed_work = with_error("process orders");
    size_t refused =
        events_like("kafka message sent", "TRACE topic=orders status=_UNKNOWN_PARTITION");

    assert_int_equal(events_like("kafka message sent", "TRACE topic=orders status=ok"), 3);
    assert_int_equal(child_count("kafka message sent"), 3 + refused);
    assert_int_equal(child_count("kafka message processed"), 2);
    /* three are in the partition, this is the first */
    assert_int_equal(
        events_like("kafka message processed",
                    "INFO topic=orders partition=0 status=ok duration_seconds=* lag=2"),
        1);
    assert_int_equal(
        events_like("kafka message processed",
                    "ERROR topic=orders partition=0 status=timeout duration_seconds=*"),
        1);
    assert_string_equal(span_attribute(failed_work, "error.type"), "timeout");
    assert_string_equal(member(child_line("kafka message processed"), "trace_id"),
                        member(failed_work, "trace_id"));
}

static void test_rdkafka_messages(void **state)
{
    json_t *sent, *span;

    (void)state;
    setenv("CLEW_LOG_LEVEL", "trace", 1);
    child_run(messages, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_null(strstr(child.output, "secret"));
    sent = span_named("send orders", 0);
    assert_non_null(sent);
    assert_string_equal(member(sent, "scope"), "clew.rdkafka");
    assert_int_equal(json_integer_value(json_object_get(sent, "kind")), CLEW_SPAN_PRODUCER);
    assert_string_equal(member(sent, "parent_id"), member(span_named("outer", 0), "span_id"));
    assert_string_equal(span_attribute(sent, "messaging.system"), "kafka");
    assert_string_equal(span_attribute(sent, "messaging.operation.name"), "send");
    assert_string_equal(span_attribute(sent, "messaging.operation.type"), "send");
    assert_string_equal(span_attribute(sent, "messaging.destination.name"), "orders");
    span = span_named("process orders", 0);
    assert_non_null(span);
    assert_int_equal(json_integer_value(json_object_get(span, "kind")), CLEW_SPAN_CONSUMER);
    assert_string_equal(member(span, "trace_id"), member(sent, "trace_id"));
    assert_string_equal(link_id(span, 0, "trace_id"), member(sent, "trace_id"));
    assert_string_equal(link_id(span, 0, "span_id"), member(span, "parent_id"));
    assert_string_equal(span_attribute(span, "messaging.destination.partition.id"), "0");
    assert_string_equal(span_attribute(span, "messaging.kafka.offset"), "0");
    assert_string_equal(span_attribute(span, "messaging.consumer.group.name"), "readers");
    assert_string_equal(span_attribute(span, "messaging.message.body.size"), "8");
    assert_string_equal(member(child_line("processing"), "trace_id"), member(sent, "trace_id"));
    assert_string_equal(member(child_line("processing"), "span_id"), member(span, "span_id"));
    span = span_named("receive orders", 0);
    assert_non_null(span);
    assert_string_equal(span_attribute(span, "messaging.batch.message_count"), "2");
    assert_string_equal(link_id(span, 1, "trace_id"), member(sent, "trace_id"));
    /* a partition that is not there */
    assert_non_null(with_error("send orders"));
    check_events();
    assert_true(spans_follow_conventions());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rdkafka_messages, child_setup, child_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
