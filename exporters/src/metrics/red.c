/* SPDX-License-Identifier: Apache-2.0
 *
 * The built-in rules: rate, errors and duration of requests, calls, messages,
 * queries and transactions. They are rules as those in a file, so any service may
 * log these events itself. The messages and fields are a promise; README, "RED
 * and rules", lists them.
 */
#include "rules_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EVENT(name)                                            \
    {                                                          \
        .subject = CLEW__RULE_EVENT, .how = CLEW__RULE_EQUALS, \
        .texts = (const char *const[]){name}, .ntexts = 1      \
    }
#define HAS(name)                                                            \
    {                                                                        \
        .subject = CLEW__RULE_FIELD, .how = CLEW__RULE_EXISTS, .field = name \
    }
#define IS(name, text)                                                        \
    {                                                                         \
        .subject = CLEW__RULE_FIELD, .how = CLEW__RULE_EQUALS, .field = name, \
        .texts = (const char *const[]){text}, .ntexts = 1                     \
    }
#define IS_NOT(name, text)                                                                    \
    {                                                                                         \
        .subject = CLEW__RULE_FIELD, .how = CLEW__RULE_EQUALS, .negate = true, .field = name, \
        .texts = (const char *const[]){text}, .ntexts = 1                                     \
    }

/* The events. */
#define HTTP_STARTED                            \
    {                                           \
        EVENT("request started"), HAS("method") \
    }
#define HTTP_COMPLETED                                                                    \
    {                                                                                     \
        EVENT("request completed"), HAS("method"), HAS("status"), HAS("duration_seconds") \
    }
#define GRPC_STARTED               \
    {                              \
        EVENT("grpc call started") \
    }
#define GRPC_COMPLETED                                                       \
    {                                                                        \
        EVENT("grpc call completed"), HAS("status"), HAS("duration_seconds") \
    }
#define GRPC_FAILED                                                           \
    {                                                                         \
        EVENT("grpc call completed"), HAS("status"), HAS("duration_seconds"), \
            IS_NOT("status", "OK")                                            \
    }
#define GRPC_CLIENT_COMPLETED                                                       \
    {                                                                               \
        EVENT("grpc client call completed"), HAS("status"), HAS("duration_seconds") \
    }
#define GRPC_CLIENT_FAILED                                                           \
    {                                                                                \
        EVENT("grpc client call completed"), HAS("status"), HAS("duration_seconds"), \
            IS_NOT("status", "OK")                                                   \
    }
#define KAFKA_SENT                                \
    {                                             \
        EVENT("kafka message sent"), HAS("topic") \
    }
#define KAFKA_PROCESSED                                                         \
    {                                                                           \
        EVENT("kafka message processed"), HAS("topic"), HAS("duration_seconds") \
    }
#define DB_COMPLETED                                                              \
    {                                                                             \
        EVENT("database query completed"), HAS("system"), HAS("duration_seconds") \
    }
#define DB_CONNECTIONS                \
    {                                 \
        EVENT("database connections") \
    }
#define TRANSACTION                                                      \
    {                                                                    \
        EVENT("business transaction completed"), HAS("transaction_type") \
    }

/* The methods of RFC 9110 and PATCH; anything else would be a label that
 * strangers can choose. */
static const struct clew__rule_pair methods[] = {{"GET", "GET"},         {"POST", "POST"},
                                                 {"PUT", "PUT"},         {"DELETE", "DELETE"},
                                                 {"HEAD", "HEAD"},       {"OPTIONS", "OPTIONS"},
                                                 {"CONNECT", "CONNECT"}, {"TRACE", "TRACE"},
                                                 {"PATCH", "PATCH"},     {NULL, NULL}};

/* Calls between services are often faster than web pages. */
static const double grpc_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                     0.25,  0.5,    1,     2.5,  5,     10};
static const double db_bounds[] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10};

#define METHOD(name)                         \
    {                                        \
        name, "method", "_OTHER", methods, 0 \
    }
#define ROUTE(name)                         \
    {                                       \
        name, "route", "unmatched", NULL, 0 \
    }
#define FIELD(name, from)         \
    {                             \
        name, from, NULL, NULL, 0 \
    }
#define FIXED(name, text)         \
    {                             \
        name, NULL, text, NULL, 0 \
    }

#define BOUNDS(list) .bounds = list, .nbounds = sizeof(list) / sizeof((list)[0])
#define COUNTER .type = CLEW__RULE_COUNTER
#define UP .type = CLEW__RULE_GAUGE_ADD, .scale = 1
#define DOWN .type = CLEW__RULE_GAUGE_ADD, .scale = -1
#define SET_TO(from) .type = CLEW__RULE_GAUGE_SET, .value = from
#define SECONDS .type = CLEW__RULE_HISTOGRAM, .value = "duration_seconds"

static const struct clew__rule standard[] = {
    {"http_requests_total", "Requests answered, by method, route and status.", COUNTER,
     .tests = HTTP_COMPLETED,
     .labels = {METHOD("method"), ROUTE("path"), FIELD("status", "status")}},
    {"http_request_duration_seconds", "Time from the request's headers to the end of its answer.",
     SECONDS, .tests = HTTP_COMPLETED, .labels = {METHOD("method"), ROUTE("path")}},
    {"active_connections", "Requests being worked on.", UP, .tests = HTTP_STARTED},
    {"active_connections", "Requests being worked on.", DOWN, .tests = HTTP_COMPLETED},

    {"grpc_requests_total", "Total gRPC requests", COUNTER, .tests = GRPC_COMPLETED,
     .labels = {FIELD("service", "service"), FIELD("method", "method"), FIELD("status", "status")}},
    {"grpc_request_duration_seconds", "Time from a call's metadata to its status.", SECONDS,
     BOUNDS(grpc_bounds), .tests = GRPC_COMPLETED,
     .labels = {FIELD("service", "service"), FIELD("method", "method")}},
    {"grpc_errors_total", "gRPC calls whose status was not OK.", COUNTER, .tests = GRPC_FAILED,
     .labels = {FIELD("service", "service"), FIELD("method", "method"),
                FIELD("error_type", "status")}},
    {"grpc_active_connections", "gRPC calls being worked on.", UP, .tests = GRPC_STARTED},
    {"grpc_active_connections", "gRPC calls being worked on.", DOWN, .tests = GRPC_COMPLETED},
    {"grpc_client_requests_total", "gRPC calls made to other services.", COUNTER,
     .tests = GRPC_CLIENT_COMPLETED,
     .labels = {FIELD("service", "service"), FIELD("method", "method"), FIELD("status", "status")}},
    {"grpc_client_request_duration_seconds", "Time until the status of a call was there.", SECONDS,
     BOUNDS(grpc_bounds), .tests = GRPC_CLIENT_COMPLETED,
     .labels = {FIELD("service", "service"), FIELD("method", "method")}},
    {"grpc_client_errors_total", "gRPC calls to other services whose status was not OK.", COUNTER,
     .tests = GRPC_CLIENT_FAILED,
     .labels = {FIELD("service", "service"), FIELD("method", "method"),
                FIELD("error_type", "status")}},

    {"kafka_messages_produced_total", "Messages that Kafka took or refused.", COUNTER,
     .tests = KAFKA_SENT, .labels = {FIELD("topic", "topic"), FIELD("status", "status")}},
    {"kafka_messages_consumed_total", "Messages worked on.", COUNTER, .tests = KAFKA_PROCESSED,
     .labels = {FIELD("topic", "topic"), FIELD("status", "status")}},
    {"kafka_message_processing_duration_seconds", "Time a message was worked on.", SECONDS,
     .tests = KAFKA_PROCESSED, .labels = {FIELD("topic", "topic")}},
    {"kafka_consumer_lag", "Messages of a partition that are not consumed yet.", SET_TO("lag"),
     .tests = KAFKA_PROCESSED,
     .labels = {FIELD("topic", "topic"), FIELD("partition", "partition")}},

    {"db_queries_total", "Queries and commands to databases and caches.", COUNTER,
     .tests = DB_COMPLETED,
     .labels = {FIELD("system", "system"), FIELD("operation", "operation"),
                FIELD("status", "status")}},
    {"db_query_duration_seconds", "Time until a query's last row or a command's answer.", SECONDS,
     BOUNDS(db_bounds), .tests = DB_COMPLETED,
     .labels = {FIELD("system", "system"), FIELD("operation", "operation")}},
    {"db_connections_active", "Connections of the pool in use.", SET_TO("active"),
     .tests = DB_CONNECTIONS},
    {"database_connections_active", "Connections of the pool in use.", SET_TO("active"),
     .tests = DB_CONNECTIONS},
    {"db_connections_idle", "Connections of the pool that wait.", SET_TO("idle"),
     .tests = DB_CONNECTIONS},
    {"cache_hits_total", "Lookups that found what they looked for.", COUNTER,
     .tests = {EVENT("cache lookup"), IS("hit", "true")},
     .labels = {FIELD("cache_type", "cache_type")}},
    {"cache_misses_total", "Lookups that did not.", COUNTER,
     .tests = {EVENT("cache lookup"), IS("hit", "false")},
     .labels = {FIELD("cache_type", "cache_type")}},

    {"business_transactions_total", "Business transactions, by type and outcome.", COUNTER,
     .tests = TRANSACTION,
     .labels = {FIELD("transaction_type", "transaction_type"), FIELD("status", "status")}},
    {"business_transaction_duration_seconds", "Time a business transaction took.", SECONDS,
     .tests = TRANSACTION, .labels = {FIELD("transaction_type", "transaction_type")}},
};

/* OpenTelemetry semantic conventions 1.36 (HTTP, RPC, database, messaging), as
 * its exporter for Prometheus spells them. The event has no scheme. */
static const struct clew__rule opentelemetry[] = {
    {"http_server_request_duration_seconds", "Duration of HTTP server requests.", SECONDS,
     .tests = HTTP_COMPLETED,
     .labels = {METHOD("http_request_method"), ROUTE("http_route"),
                FIELD("http_response_status_code", "status")}},
    {"http_server_active_requests", "Number of active HTTP server requests.", UP,
     .tests = HTTP_STARTED, .labels = {METHOD("http_request_method")}},
    {"http_server_active_requests", "Number of active HTTP server requests.", DOWN,
     .tests = HTTP_COMPLETED, .labels = {METHOD("http_request_method")}},
    {"rpc_server_call_duration_seconds", "Duration of calls to this service.", SECONDS,
     BOUNDS(grpc_bounds), .tests = GRPC_COMPLETED,
     .labels = {FIXED("rpc_system_name", "grpc"), FIELD("rpc_service", "service"),
                FIELD("rpc_method", "method"), FIELD("rpc_response_status_code", "status")}},
    {"rpc_client_call_duration_seconds", "Duration of calls to other services.", SECONDS,
     BOUNDS(grpc_bounds), .tests = GRPC_CLIENT_COMPLETED,
     .labels = {FIXED("rpc_system_name", "grpc"), FIELD("rpc_service", "service"),
                FIELD("rpc_method", "method"), FIELD("rpc_response_status_code", "status")}},
    {"messaging_process_duration_seconds", "Duration of processing operations.", SECONDS,
     .tests = KAFKA_PROCESSED,
     .labels = {FIXED("messaging_system", "kafka"), FIXED("messaging_operation_name", "process"),
                FIELD("messaging_destination_name", "topic")}},
    {"messaging_client_consumed_messages_total", "Messages delivered to the application.", COUNTER,
     .tests = KAFKA_PROCESSED,
     .labels = {FIXED("messaging_system", "kafka"), FIXED("messaging_operation_name", "process"),
                FIELD("messaging_destination_name", "topic")}},
    {"messaging_client_sent_messages_total", "Messages that were sent.", COUNTER,
     .tests = KAFKA_SENT,
     .labels = {FIXED("messaging_system", "kafka"), FIXED("messaging_operation_name", "send"),
                FIELD("messaging_destination_name", "topic")}},
    {"db_client_operation_duration_seconds", "Duration of database client operations.", SECONDS,
     BOUNDS(db_bounds), .tests = DB_COMPLETED,
     .labels = {FIELD("db_system_name", "system"), FIELD("db_operation_name", "operation")}},
    {"db_client_connection_count", "Connections of the pool, by state.", SET_TO("active"),
     .tests = DB_CONNECTIONS, .labels = {FIXED("db_client_connection_state", "used")}},
    {"db_client_connection_count", "Connections of the pool, by state.", SET_TO("idle"),
     .tests = DB_CONNECTIONS, .labels = {FIXED("db_client_connection_state", "idle")}},
};

static int add(struct clew__rules *set, const struct clew__rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct clew__rule rule = rules[i];
        int err;

        while (rule.ntests < CLEW__RULE_TESTS_MAX &&
               (rule.tests[rule.ntests].field || rule.tests[rule.ntests].ntexts))
            rule.ntests++;
        while (rule.nlabels < CLEW_METRIC_LABELS_MAX && rule.labels[rule.nlabels].name)
            rule.nlabels++;
        err = clew__rules_add(set, &rule);
        if (err < 0)
            return err;
    }
    return 0;
}

int clew__red_rules(struct clew__rules *set)
{
    const char *names = getenv("CLEW_METRICS_NAMES");
    bool ours = !names || !*names || strcmp(names, "default") == 0, theirs = false;
    int err = 0;

    if (names && strcmp(names, "both") == 0)
        ours = theirs = true;
    else if (names && strcmp(names, "opentelemetry") == 0)
        theirs = true;
    if (!ours && !theirs)
        return clew_set_error(
            -EINVAL, "CLEW_METRICS_NAMES=%.32s: use default, opentelemetry or both", names);
    if (ours)
        err = add(set, standard, sizeof(standard) / sizeof(standard[0]));
    if (err == 0 && theirs)
        err = add(set, opentelemetry, sizeof(opentelemetry) / sizeof(opentelemetry[0]));
    return err;
}
