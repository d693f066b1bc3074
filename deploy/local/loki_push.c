/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /loki/api/v1/push, as strict as Loki with its default limits: JSON, or
 * the protobuf PushRequest in a snappy block. A label that does not parse
 * refuses the whole request; a line that breaks a limit is left out alone, and
 * the answer is 400 although the others are stored.
 */
#include "server.h"
#include "store.h"

#include <buf.h>
#include <json.h>
#include <protobuf_read.h>

#include <ctype.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DECODED_MAX (64u << 20)
#define LABELS_MAX 15
#define LABEL_NAME_MAX 1024
#define LABEL_VALUE_MAX 2048
#define LINE_MAX_BYTES 262144
#define METADATA_MAX_BYTES 65536
#define METADATA_MAX 128
#define TOO_OLD_NS (INT64_C(7) * 86400 * 1000000000)
#define TOO_NEW_NS (INT64_C(600) * 1000000000)

struct push {
    int64_t now_ns;
    unsigned status; /* 0: so far so good; 400, 422, 500 */
    bool refused;    /* the whole request */
    char text[512];
};

static void refuse(struct push *push, unsigned status, const char *why, const char *where)
{
    push->status = status;
    push->refused = true;
    (void)snprintf(push->text, sizeof(push->text), "%s%.64s", why, where);
}

static void reject_line(struct push *push, const char *why)
{
    if (!push->status)
        (void)snprintf(push->text, sizeof(push->text), "%s", why);
    push->status = 400;
}

/* Labels as Loki keeps them: with service_name. Takes labels. */
static json_t *check_labels(struct push *push, json_t *labels)
{
    static const char *const sources[] = {"service",   "app",      "application",
                                          "app_name",  "name",     "container",
                                          "component", "workload", "job"};
    const char *name;
    json_t *value;

    if (json_object_size(labels) - (json_object_get(labels, "service_name") != NULL) > LABELS_MAX)
        refuse(push, 400, "stream has more than 15 label names", "");
    json_object_foreach(labels, name, value)
    {
        if (strlen(name) > LABEL_NAME_MAX)
            refuse(push, 400, "label name too long: ", name);
        if (json_string_length(value) > LABEL_VALUE_MAX)
            refuse(push, 400, "label value too long: ", name);
        for (const char *p = name; *p || p == name; p++)
            if (!(isalpha((unsigned char)*p) || *p == '_' ||
                  (p > name && isdigit((unsigned char)*p)))) {
                refuse(push, 400, "couldn't parse labels: parse error near ", name);
                break;
            }
    }
    for (size_t i = 0; !json_object_get(labels, "service_name"); i++) {
        if (i == sizeof(sources) / sizeof(sources[0]))
            json_object_set_new(labels, "service_name", json_string("unknown_service"));
        else if (json_object_get(labels, sources[i]))
            json_object_set(labels, "service_name", json_object_get(labels, sources[i]));
    }
    return labels;
}

static void add_line(struct push *push, const struct store_line *line)
{
    size_t bytes = 0;
    const char *name;
    json_t *value;

    if (line->len > LINE_MAX_BYTES) {
        reject_line(push, "max entry size '262144' bytes exceeded");
        return;
    }
    /* Loki finds it in more places. */
    value = json_object_get(line->metadata, "level");
    if (value && !json_object_get(line->metadata, "detected_level"))
        json_object_set(line->metadata, "detected_level", value);
    json_object_foreach(line->metadata, name, value)
    {
        if (!*name) {
            refuse(push, 500, "label name is empty", "");
            return;
        }
        bytes += strlen(name) + json_string_length(value);
    }
    if (bytes > METADATA_MAX_BYTES || json_object_size(line->metadata) > METADATA_MAX)
        reject_line(push, "stream has structured metadata too large");
    else if (line->time_ns < push->now_ns - TOO_OLD_NS)
        reject_line(push, "entry has timestamp too old");
    else if (line->time_ns > push->now_ns + TOO_NEW_NS)
        reject_line(push, "entry has timestamp too new");
    else if (store_add_line(line) < 0)
        refuse(push, 500, "store failed", "");
}

/* ---- protobuf -------------------------------------------------------------------- */

static json_t *clean_string(const uint8_t *bytes, size_t len)
{
    struct clew__buf clean;
    json_t *string;

    clew__buf_init(&clean, 3 * len + 1);
    clew__utf8_clean(&clean, (const char *)bytes, len);
    string = json_stringn(clean.data ? clean.data : "", clean.len);
    clew__buf_done(&clean);
    return string;
}

/* {a="b", c="d"} with Go's string escapes; NULL when it does not parse. */
static json_t *parse_label_text(const char *text, size_t len)
{
    json_t *labels = json_object();
    const char *end = text + len;

#define SKIP_SPACE                                        \
    while (text < end && (*text == ' ' || *text == '\t')) \
    text++
    SKIP_SPACE;
    if (text == end || *text++ != '{')
        goto bad;
    for (;;) {
        char value[LABEL_VALUE_MAX + 2], name[LABEL_NAME_MAX + 2];
        size_t n = 0;

        SKIP_SPACE;
        if (text < end && *text == '}')
            return labels;
        while (text < end && (isalnum((unsigned char)*text) || *text == '_') &&
               n < sizeof(name) - 1)
            name[n++] = *text++;
        name[n] = '\0';
        SKIP_SPACE;
        if (n == 0 || isdigit((unsigned char)name[0]) || end - text < 2 || *text++ != '=' ||
            *text++ != '"')
            goto bad;
        for (n = 0; text < end && *text != '"' && n < sizeof(value) - 1; text++) {
            if (*text == '\\' && ++text == end)
                goto bad;
            value[n++] = text[-1] == '\\' && *text == 'n' ? '\n' : *text;
        }
        if (text == end || *text++ != '"')
            goto bad;
        json_object_set_new(labels, name, clean_string((const uint8_t *)value, n));
        SKIP_SPACE;
        if (text < end && *text == ',')
            text++;
    }
#undef SKIP_SPACE
bad:
    json_decref(labels);
    return NULL;
}

static bool read_pair(const struct clew__pb_field *field, json_t *metadata)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct clew__pb_field f, name = {.bytes = NULL}, value = {.bytes = NULL};
    char key[256];

    while (clew__pb_next(&pb, &f)) {
        if (f.number == 1)
            name = f;
        else if (f.number == 2)
            value = f;
    }
    if (pb.bad || name.len >= sizeof(key))
        return false;
    memcpy(key, name.bytes ? (const char *)name.bytes : "", name.len);
    key[name.len] = '\0';
    json_object_set_new(metadata, key, clean_string(value.bytes, value.len));
    return true;
}

static bool read_timestamp(const struct clew__pb_field *field, int64_t *ret)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct clew__pb_field f;
    int64_t seconds = 0, nanos = 0;

    while (clew__pb_next(&pb, &f)) {
        if (f.number == 1)
            seconds = (int64_t)f.value;
        else if (f.number == 2)
            nanos = (int64_t)f.value;
    }
    if (seconds < 0 || seconds > INT64_C(9000000000) || nanos < 0 || nanos > 999999999)
        return false;
    *ret = seconds * 1000000000 + nanos;
    return !pb.bad;
}

static void read_entry(struct push *push, const struct clew__pb_field *field, json_t *labels)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct store_line line = {.text = "", .labels = labels, .metadata = json_object()};
    struct clew__pb_field f;
    bool good = true;

    while (good && clew__pb_next(&pb, &f)) {
        if (f.number == 1) {
            good = read_timestamp(&f, &line.time_ns);
        } else if (f.number == 2) {
            line.text = (const char *)f.bytes;
            line.len = f.len;
        } else if (f.number == 3) {
            good = read_pair(&f, line.metadata);
        }
    }
    if (!good || pb.bad)
        refuse(push, 400, "proto: malformed entry", "");
    else
        add_line(push, &line);
    json_decref(line.metadata);
}

static void read_stream(struct push *push, const struct clew__pb_field *field)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct clew__pb_field f;
    json_t *labels = NULL;

    while (!push->refused && clew__pb_next(&pb, &f)) {
        if (f.number == 1 && f.wire == CLEW__PB_BYTES) {
            json_decref(labels);
            labels = parse_label_text((const char *)f.bytes, f.len);
            if (!labels)
                refuse(push, 400, "couldn't parse labels", "");
            else
                labels = check_labels(push, labels);
        } else if (f.number == 2 && f.wire == CLEW__PB_BYTES) {
            if (!labels)
                labels = check_labels(push, json_object());
            read_entry(push, &f, labels);
        }
    }
    if (pb.bad)
        refuse(push, 400, "proto: malformed stream", "");
    json_decref(labels);
}

static void read_protobuf(struct push *push, const struct request *request)
{
    struct clew__pb_field f;
    struct clew__pb pb;
    size_t len, streams = 0;
    char *bytes;

    if (snappy_uncompressed_length(request->body, request->body_len, &len) != SNAPPY_OK ||
        len > DECODED_MAX || !(bytes = malloc(len ? len : 1))) {
        refuse(push, 400, "snappy: corrupt input", "");
        return;
    }
    if (snappy_uncompress(request->body, request->body_len, bytes, &len) != SNAPPY_OK) {
        refuse(push, 400, "snappy: corrupt input", "");
    } else {
        pb = clew__pb_of(bytes, len);
        for (; !push->refused && clew__pb_next(&pb, &f); streams++)
            if (f.number == 1 && f.wire == CLEW__PB_BYTES)
                read_stream(push, &f);
        if (pb.bad)
            refuse(push, 400, "proto: malformed request", "");
        else if (streams == 0)
            refuse(push, 422, "error at least one valid stream is required for ingestion", "");
    }
    free(bytes);
}

/* ---- JSON -------------------------------------------------------------------------- */

static bool all_strings(const json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        if (!json_is_string(value))
            return false;
    }
    return json_is_object(object);
}

static void read_json_value(struct push *push, const json_t *value, json_t *labels)
{
    const char *time = json_string_value(json_array_get(value, 0));
    const json_t *text = json_array_get(value, 1);
    json_t *metadata = json_array_get(value, 2);
    json_t *none = json_object();
    struct store_line line = {.text = json_string_value(text),
                              .len = json_string_length(text),
                              .labels = labels,
                              .metadata = metadata ? metadata : none};
    char *end = NULL;

    if (time)
        line.time_ns = strtoll(time, &end, 10);
    if (!end || *end || end == time || !line.text)
        refuse(push, 400, "a value is [\"<unix nanoseconds>\", \"<line>\", {metadata}]", "");
    else if (metadata && !all_strings(metadata))
        refuse(push, 400, "structured metadata must be strings", "");
    else
        add_line(push, &line);
    json_decref(none);
}

static void read_json(struct push *push, const struct request *request)
{
    json_error_t error;
    json_t *root = json_loadb(request->body, request->body_len, JSON_ALLOW_NUL, &error);
    json_t *streams = json_object_get(root, "streams"), *stream, *value;
    size_t i, j;

    if (!root)
        refuse(push, 400, "loghttp.PushRequest: ", error.text);
    else if (json_array_size(streams) == 0)
        refuse(push, 422, "error at least one valid stream is required for ingestion", "");
    json_array_foreach(streams, i, stream)
    {
        json_t *labels = json_deep_copy(json_object_get(stream, "stream"));

        if (!all_strings(labels)) {
            json_decref(labels);
            refuse(push, 400, "a stream needs labels that are strings", "");
            break;
        }
        labels = check_labels(push, labels);
        json_array_foreach(json_object_get(stream, "values"), j, value)
        {
            if (!push->refused)
                read_json_value(push, value, labels);
        }
        json_decref(labels);
    }
    json_decref(root);
}

void handle_loki_push(struct request *request)
{
    const char *type = request_header(request, "Content-Type");
    struct push push = {0};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    push.now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (!type || !*type) {
        answer_text(request, 400, "mime: no media type\n");
        return;
    }
    store_begin();
    if (strncasecmp(type, "application/json", 16) == 0)
        read_json(&push, request);
    else
        read_protobuf(&push, request);
    if (store_commit(!push.refused) < 0)
        refuse(&push, 500, "store failed", "");
    if (push.status)
        answer_text(request, push.status, "%s\n", push.text);
    else
        request->status = 204;
}
