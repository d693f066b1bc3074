/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/rdkafka.h: Kafka's messages as spans, with librdkafka (1.4 and later).
 *
 * Header-only, so that libclew needs no librdkafka. A message carries the
 * request in its headers, and who consumes it goes on with it:
 *
 *     // the producer
 *     clew_kafka_produce(rk, "orders", RD_KAFKA_PARTITION_UA, key, key_len,
 *                        payload, len, NULL, opaque);
 *     void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
 *     {
 *         void *opaque = clew_kafka_delivered(message);      // ends the span
 *     }
 *     // the consumer
 *     struct clew_kafka_work work;
 *     clew_kafka_work_begin(&work, rk, message);
 *     ...                                    // lines and spans belong to the request
 *     clew_kafka_work_end(&work, NULL);
 *
 * The ends are the events "kafka message sent" (level trace; topic, status) and
 * "kafka message processed" (info, with an error error; topic, partition, status,
 * duration_seconds, and lag where it is known); metrics are derived from them.
 */
#ifndef CLEW_RDKAFKA_H
#define CLEW_RDKAFKA_H

#include <clew/trace.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLEW_KAFKA_NAME_MAX_ 300u /* a topic has 249 bytes */

static inline struct clew_span *clew_kafka_start_(const char *operation, const char *type,
                                                  const char *topic,
                                                  const struct clew_span_options *options)
{
    char name[CLEW_KAFKA_NAME_MAX_];
    struct clew_span *span;

    (void)snprintf(name, sizeof(name), "%s %s", operation, topic);
    span = clew_span_start_with(name, options);
    clew_span_set(
        span, clew_kv("messaging.system", "kafka"), clew_kv("messaging.operation.name", operation),
        clew_kv("messaging.operation.type", type), clew_kv("messaging.destination.name", topic));
    return span;
}

static inline void clew_kafka_set_partition_(struct clew_span *span, int32_t partition)
{
    char text[16];

    if (partition < 0)
        return;
    (void)snprintf(text, sizeof(text), "%d", (int)partition);
    clew_span_set(span, clew_kv("messaging.destination.partition.id", (const char *)text));
}

static inline void clew_kafka_set_error_(struct clew_span *span, rd_kafka_resp_err_t error)
{
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    clew_span_set(span, clew_kv("error.type", rd_kafka_err2name(error)));
    clew_span_set_status(span, CLEW_SPAN_ERROR, rd_kafka_err2str(error));
}

static inline const char *clew_kafka_status_(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ? "ok" : rd_kafka_err2name(error);
}

/* ---- produce --------------------------------------------------------------------- */

/* What a message is on its way with. */
struct clew_kafka_sent_ {
    struct clew_span *span;
    void *opaque;
};

static inline void clew_kafka_add_header_(void *arg, const char *name, const char *value)
{
    rd_kafka_headers_t *headers = (rd_kafka_headers_t *)arg;

    (void)rd_kafka_header_remove(headers, name);
    (void)rd_kafka_header_add(headers, name, -1, value, -1);
}

/* rd_kafka_producev() as a span "send TOPIC", which ends with the delivery
 * report; key and payload are copied, the program is told if the queue is full.
 *
 * args     key, payload: may be NULL. headers: may be NULL; borrowed
 *          opaque: what clew_kafka_delivered() gives back
 * owner    every message sent so has to come to clew_kafka_delivered(), in the
 *          dr_msg_cb of the producer
 * returns  as rd_kafka_producev(); on an error the span has ended and no report
 *          will come */
static inline rd_kafka_resp_err_t clew_kafka_produce(rd_kafka_t *rk, const char *topic,
                                                     int32_t partition, const void *key,
                                                     size_t key_len, const void *payload,
                                                     size_t len, const rd_kafka_headers_t *headers,
                                                     void *opaque)
{
    struct clew_kafka_sent_ *sent = (struct clew_kafka_sent_ *)malloc(sizeof(*sent));
    rd_kafka_headers_t *all = headers ? rd_kafka_headers_copy(headers) : rd_kafka_headers_new(8);
    struct clew_span_options options;
    rd_kafka_resp_err_t error;

    if (!sent || !all) {
        free(sent);
        if (all)
            rd_kafka_headers_destroy(all);
        return RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
    }
    memset(&options, 0, sizeof(options));
    options.kind = CLEW_SPAN_PRODUCER;
    options.scope = "clew.rdkafka";
    sent->opaque = opaque;
    sent->span = clew_kafka_start_("send", "send", topic, &options);
    clew_span_set(sent->span, clew_kv("messaging.client.id", rd_kafka_name(rk)),
                  clew_kv("messaging.message.body.size", len));
    clew_inject(clew_span_scope(sent->span), clew_kafka_add_header_, all);
    error = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_len),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)payload, len),
                              RD_KAFKA_V_HEADERS(all), RD_KAFKA_V_OPAQUE(sent), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(all);
        clew_kafka_set_error_(sent->span, error);
        clew_span_end(sent->span);
        free(sent);
    }
    return error;
}

/* For the dr_msg_cb: ends the span of a message that clew_kafka_produce() sent.
 * Returns its opaque. Once a message. */
static inline void *clew_kafka_delivered(const rd_kafka_message_t *message)
{
    struct clew_kafka_sent_ *sent = (struct clew_kafka_sent_ *)message->_private;
    void *opaque;

    if (!sent)
        return NULL;
    opaque = sent->opaque;
    clew_kafka_set_partition_(sent->span, message->partition);
    if (message->offset >= 0)
        clew_span_set(sent->span, clew_kv("messaging.kafka.offset", message->offset));
    clew_kafka_set_error_(sent->span, message->err);
    clew_trace("kafka message sent", clew_kv("topic", rd_kafka_topic_name(message->rkt)),
               clew_kv("status", clew_kafka_status_(message->err)));
    clew_span_end(sent->span);
    free(sent);
    return opaque;
}

/* ---- consume ---------------------------------------------------------------------- */

/* The context that a message carries. owner clew_scope_release(); context NULL
 * when there is no memory. */
static inline struct clew_scope clew_kafka_extract(const rd_kafka_message_t *message,
                                                   bool *ret_remote)
{
    rd_kafka_headers_t *headers = NULL;
    struct clew_extract extract;
    const char *name;
    const void *value;
    size_t len;

    clew_extract_init(&extract);
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        for (size_t i = 0;
             rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR;
             i++)
            if (value)
                clew_extract_header(&extract, name, strlen(name), (const char *)value, len);
    return clew_extract_context(&extract, ret_remote);
}

static inline void clew_kafka_set_consumer_(struct clew_span *span, rd_kafka_t *rk)
{
    char group[256];
    size_t size = sizeof(group);

    if (!clew_span_is_recording(span))
        return;
    clew_span_set(span, clew_kv("messaging.client.id", rd_kafka_name(rk)));
    if (rd_kafka_conf_get(rd_kafka_conf(rk), "group.id", group, &size) == RD_KAFKA_CONF_OK &&
        group[0])
        clew_span_set(span, clew_kv("messaging.consumer.group.name", (const char *)group));
}

static inline void clew_kafka_link_(struct clew_span *span, struct clew_scope scope)
{
    struct clew_link link = clew_link_of(scope);

    link.is_remote = true;
    clew_span_link(span, &link);
}

/* Begins the span "process TOPIC" of a message as the child of the one that sent
 * it, and linked to it; it is current in this thread until clew_span_end().
 *
 * args     message: without an error, borrowed. rk: the consumer */
static inline struct clew_span *clew_kafka_process_begin(rd_kafka_t *rk,
                                                         const rd_kafka_message_t *message)
{
    struct clew_span_options options;
    struct clew_span *span;
    bool remote = false;

    memset(&options, 0, sizeof(options));
    options.parent = clew_kafka_extract(message, &remote);
    options.remote = remote;
    options.enter = true;
    options.kind = CLEW_SPAN_CONSUMER;
    options.scope = "clew.rdkafka";
    span = clew_kafka_start_("process", "process", rd_kafka_topic_name(message->rkt), &options);
    if (remote)
        clew_kafka_link_(span, options.parent);
    clew_scope_release(options.parent);
    clew_kafka_set_consumer_(span, rk);
    clew_kafka_set_partition_(span, message->partition);
    clew_span_set(span, clew_kv("messaging.message.body.size", message->len),
                  clew_kv("messaging.kafka.offset", message->offset));
    return span;
}

/* A message being worked on. Caller's storage; the members are the library's own. */
struct clew_kafka_work {
    struct clew_span *span;
    rd_kafka_t *rk;
    const rd_kafka_message_t *message;
    struct timespec started;
};

/* clew_kafka_process_begin(), and its end is counted. message stays until then. */
static inline void clew_kafka_work_begin(struct clew_kafka_work *work, rd_kafka_t *rk,
                                         const rd_kafka_message_t *message)
{
    work->rk = rk;
    work->message = message;
    (void)clock_gettime(CLOCK_MONOTONIC, &work->started);
    work->span = clew_kafka_process_begin(rk, message);
}

/* What is behind the message in its partition, as of the last fetch; -1: unknown. */
static inline int64_t clew_kafka_lag_(const struct clew_kafka_work *work)
{
    int64_t low = 0, high = -1;

    if (rd_kafka_get_watermark_offsets(work->rk, rd_kafka_topic_name(work->message->rkt),
                                       work->message->partition, &low,
                                       &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        high <= work->message->offset)
        return -1;
    return high - work->message->offset - 1;
}

/* args     error: NULL, or a word for what went wrong ("timeout"): it becomes a
 *          label, so no text that differs from one message to the next */
static inline void clew_kafka_work_end(struct clew_kafka_work *work, const char *error)
{
    const char *topic = rd_kafka_topic_name(work->message->rkt), *status = error ? error : "ok";
    int64_t lag = clew_kafka_lag_(work);
    struct timespec now;
    double seconds;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    seconds = (double)(now.tv_sec - work->started.tv_sec) +
              (double)(now.tv_nsec - work->started.tv_nsec) / 1e9;
#define CLEW_KAFKA_FIELDS_                                                   \
    clew_kv("topic", topic), clew_kv("partition", work->message->partition), \
        clew_kv("status", status), clew_kv("duration_seconds", seconds)
    if (error) {
        clew_error("kafka message processed", CLEW_KAFKA_FIELDS_);
        clew_span_set(work->span, clew_kv("error.type", error));
        clew_span_set_status(work->span, CLEW_SPAN_ERROR, NULL);
    } else if (lag >= 0) {
        clew_info("kafka message processed", CLEW_KAFKA_FIELDS_, clew_kv("lag", lag));
    } else {
        clew_info("kafka message processed", CLEW_KAFKA_FIELDS_);
    }
#undef CLEW_KAFKA_FIELDS_
    clew_span_end(work->span);
    work->span = NULL;
}

/* Begins the span "receive TOPIC" of several messages under the current scope,
 * linked to each one's sender; current in this thread until clew_span_end().
 *
 * args     messages: n of one topic, n > 0, borrowed */
static inline struct clew_span *
clew_kafka_batch_begin(rd_kafka_t *rk, rd_kafka_message_t *const *messages, size_t n)
{
    struct clew_span_options options;
    struct clew_span *span;

    memset(&options, 0, sizeof(options));
    options.enter = true;
    options.kind = CLEW_SPAN_CLIENT;
    options.scope = "clew.rdkafka";
    span = clew_kafka_start_("receive", "receive", rd_kafka_topic_name(messages[0]->rkt), &options);
    clew_kafka_set_consumer_(span, rk);
    clew_span_set(span, clew_kv("messaging.batch.message_count", n));
    for (size_t i = 0; i < n; i++) {
        bool remote = false;
        struct clew_scope scope = clew_kafka_extract(messages[i], &remote);

        if (remote)
            clew_kafka_link_(span, scope);
        clew_scope_release(scope);
    }
    return span;
}

#endif
