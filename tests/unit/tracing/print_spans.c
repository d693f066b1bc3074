/* SPDX-License-Identifier: Apache-2.0
 * See print_spans.h. */
#include "print_spans.h"

#include <json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_fields(json_t *object, const char *key, const struct clew_field *fields, size_t n)
{
    json_t *attributes = json_object();

    for (size_t i = 0; i < n; i++) {
        char text[4096];
        size_t len = clew_field_text(&fields[i], text, sizeof(text));

        json_object_set_new(attributes, fields[i].key,
                            json_stringn(text, len < sizeof(text) ? len : sizeof(text)));
    }
    json_object_set_new(object, key, attributes);
}

static void set_id(json_t *object, const char *key, const void *id, size_t bytes)
{
    char text[33] = "";

    clew__hex(text, id, bytes);
    text[2 * bytes] = '\0';
    json_object_set_new(object, key, json_string(text));
}

static json_t *events_of(const struct clew_span_record *span)
{
    json_t *list = json_array();

    for (size_t i = 0; i < span->nevents; i++) {
        json_t *event = json_pack("{s:s, s:I}", "name", span->events[i].name, "time_ns",
                                  (json_int_t)span->events[i].time_ns);

        set_fields(event, "attributes", span->events[i].attributes, span->events[i].nattributes);
        json_array_append_new(list, event);
    }
    return list;
}

static json_t *links_of(const struct clew_span_record *span)
{
    json_t *list = json_array();

    for (size_t i = 0; i < span->nlinks; i++) {
        json_t *link = json_object();

        set_id(link, "trace_id", span->links[i].trace_id, 16);
        set_id(link, "span_id", &span->links[i].span_id, 8);
        json_array_append_new(list, link);
    }
    return list;
}

static void print(void *self, const struct clew_span_record *span)
{
    json_t *line =
        json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:I, s:I}", "message", "span", "name", span->name,
                  "kind", (int)span->kind, "status", (int)span->status, "status_message",
                  span->status_message, "scope", span->scope, "start_ns",
                  (json_int_t)span->start_ns, "end_ns", (json_int_t)span->end_ns);
    char *text;

    (void)self;
    set_id(line, "trace_id", span->trace_id, 16);
    set_id(line, "span_id", &span->span_id, 8);
    set_id(line, "parent_id", &span->parent_span_id, 8);
    set_fields(line, "attributes", span->attributes, span->nattributes);
    json_object_set_new(line, "events", events_of(span));
    json_object_set_new(line, "links", links_of(span));
    text = json_dumps(line, JSON_COMPACT);
    printf("%s\n", text);
    fflush(stdout);
    free(text);
    json_decref(line);
}

void print_spans(void)
{
    static const struct clew_sink_ops sink = {"print_spans", NULL, print,
                                              NULL,          NULL, CLEW_LEVEL_TRACE};

    (void)clew_sink_add(&sink, NULL);
}

const char *member(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "(none)";
}

json_t *span_named(const char *name, size_t n)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        if (strcmp(member(line, "message"), "span") == 0 &&
            strcmp(member(line, "name"), name) == 0 && n-- == 0)
            return line;
    }
    return NULL;
}

const char *span_attribute(json_t *span, const char *key)
{
    return member(json_object_get(span, "attributes"), key);
}

json_t *span_event(json_t *span, const char *name)
{
    size_t i;
    json_t *event;

    json_array_foreach(json_object_get(span, "events"), i, event)
    {
        if (strcmp(member(event, "name"), name) == 0)
            return event;
    }
    return NULL;
}

static bool is_duration(const char *key, json_t *value)
{
    return strcmp(key, "duration_seconds") == 0 && json_is_number(value) &&
           json_number_value(value) >= 0 && json_number_value(value) < 60;
}

static void put_event(json_t *line, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "%s", member(line, "level"));
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(line, "context"), key, value)
    {
        char *json = json_dumps(value, JSON_ENCODE_ANY);
        const char *shown = is_duration(key, value) ? "*"
                            : json_is_string(value) ? json_string_value(value)
                                                    : json;

        if (len < size)
            len += (size_t)snprintf(text + len, size - len, " %s=%s", key, shown);
        free(json);
    }
}

size_t events_like(const char *message, const char *text)
{
    size_t n = 0;

    for (int pass = 0; pass < 2 && n == 0; pass++) {
        size_t i;
        json_t *line;

        json_array_foreach(child.lines, i, line)
        {
            char has[1024];

            if (strcmp(member(line, "message"), message) != 0)
                continue;
            put_event(line, has, sizeof(has));
            n += strcmp(has, text) == 0;
            if (pass == 1)
                fprintf(stderr, "%s: %s, not %s\n", message, has, text);
        }
    }
    return n;
}

/* OpenTelemetry's semantic conventions for HTTP, databases, RPC, messaging and
 * exceptions, as far as spans have them; request_id is ours. */
static const char *const conventions[] = {"http.request.method",
                                          "http.request.method_original",
                                          "http.request.resend_count",
                                          "http.response.status_code",
                                          "http.route",
                                          "url.full",
                                          "url.path",
                                          "url.query",
                                          "url.scheme",
                                          "user_agent.original",
                                          "client.address",
                                          "client.port",
                                          "server.address",
                                          "server.port",
                                          "network.peer.address",
                                          "network.peer.port",
                                          "network.protocol.name",
                                          "network.protocol.version",
                                          "error.type",
                                          "db.system.name",
                                          "db.namespace",
                                          "db.collection.name",
                                          "db.operation.name",
                                          "db.operation.batch.size",
                                          "db.query.text",
                                          "db.query.summary",
                                          "db.response.status_code",
                                          "db.stored_procedure.name",
                                          "rpc.system.name",
                                          "rpc.method",
                                          "rpc.method_original",
                                          "rpc.status_code",
                                          "messaging.system",
                                          "messaging.operation.name",
                                          "messaging.operation.type",
                                          "messaging.destination.name",
                                          "messaging.destination.partition.id",
                                          "messaging.message.id",
                                          "messaging.message.body.size",
                                          "messaging.batch.message_count",
                                          "messaging.client.id",
                                          "messaging.consumer.group.name",

                                          "messaging.kafka.offset",

                                          "exception.type",
                                          "exception.message",
                                          "http.request.header.x-request-id",
                                          "rpc.request.metadata.x-request-id"};

static bool is_convention(const char *key)
{
    for (size_t i = 0; i < sizeof(conventions) / sizeof(conventions[0]); i++)
        if (strcmp(key, conventions[i]) == 0)
            return true;
    return false;
}

bool spans_follow_conventions(void)
{
    bool all = true;
    size_t i;
    json_t *line, *value;
    const char *key;

    json_array_foreach(child.lines, i, line)
    {
        if (strcmp(member(line, "message"), "span") != 0 ||
            strncmp(member(line, "scope"), "clew.", 5) != 0)
            continue;
        json_object_foreach(json_object_get(line, "attributes"), key, value)
        {
            if (!is_convention(key)) {
                fprintf(stderr, "%s of %s: no convention\n", key, member(line, "name"));
                all = false;
            }
        }
    }
    return all;
}
