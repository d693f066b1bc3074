/* SPDX-License-Identifier: Apache-2.0
 * Loki's query API, as far as finding lines goes: query_range, query, labels. */
#include "logql.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LIMIT_MAX 5000
#define HOUR_NS (INT64_C(3600) * 1000000000)

struct search {
    const struct logql *query;
    json_t *streams; /* labels as text -> {stream, values} */
    long left;
};

/* Unix nanoseconds, float seconds or RFC 3339. */
static bool parse_time(const char *text, int64_t *ret)
{
    struct tm tm = {0};
    char *end;
    double seconds;

    end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end) {
        *ret = (int64_t)timegm(&tm) * 1000000000;
        if (*end == '.')
            *ret += (int64_t)(strtod(end, &end) * 1e9);
        return strcmp(end, "Z") == 0;
    }
    errno = 0;
    if (strlen(text) > 11 && !strchr(text, '.')) {
        *ret = strtoll(text, &end, 10);
        return *end == '\0' && errno == 0;
    }
    seconds = strtod(text, &end);
    *ret = (int64_t)(seconds * 1e9);
    return end != text && *end == '\0' && seconds > 0 && seconds < 9e9;
}

static json_t *labels_of(const struct store_line *line)
{
    json_t *labels = json_copy(line->labels);

    json_object_update(labels, line->metadata);
    return labels;
}

static bool take(void *arg, const struct store_line *line)
{
    struct search *search = arg;
    json_t *labels, *stream, *value;
    char *key, time[32];

    if (!logql_matches(search->query, line))
        return true;
    labels = labels_of(line);
    key = json_dumps(labels, JSON_COMPACT | JSON_SORT_KEYS);
    stream = key ? json_object_get(search->streams, key) : NULL;
    if (key && !stream) {
        stream = json_pack("{s:O, s:[]}", "stream", labels, "values");
        json_object_set_new(search->streams, key, stream);
    }
    (void)snprintf(time, sizeof(time), "%lld", (long long)line->time_ns);
    value = json_stringn(line->text, line->len);
    if (!value) /* not UTF-8 */
        value = json_string("\xEF\xBF\xBD");
    json_array_append_new(json_object_get(stream, "values"), json_pack("[s, o]", time, value));
    json_decref(labels);
    free(key);
    return --search->left > 0;
}

static bool read_range(struct request *request, struct store_range *range)
{
    const char *start = request_argument(request, "start"), *end = request_argument(request, "end");
    const char *direction = request_argument(request, "direction");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    range->until_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + 1;
    range->from_ns = range->until_ns - HOUR_NS;
    range->backward = !direction || strcasecmp(direction, "forward") != 0;
    if ((end && !parse_time(end, &range->until_ns)) ||
        (start && !parse_time(start, &range->from_ns))) {
        answer_text(request, 400, "could not parse start or end\n");
        return false;
    }
    if (end && !start)
        range->from_ns = range->until_ns - HOUR_NS;
    if (range->from_ns > range->until_ns) {
        answer_text(request, 400, "end timestamp must not be before or equal to start time\n");
        return false;
    }
    return true;
}

void handle_loki_query(struct request *request)
{
    const char *text = request_argument(request, "query"), *name;
    const char *limit = request_argument(request, "limit");
    struct search search = {.left = limit ? strtol(limit, NULL, 10) : 100};
    struct store_range range = {0};
    struct logql *query;
    json_t *streams, *stream;
    char error[256];

    if (search.left < 1 || search.left > LIMIT_MAX) {
        answer_text(request, 400, "limit must be from 1 to %d\n", LIMIT_MAX);
        return;
    }
    if (!read_range(request, &range))
        return;
    query = logql_parse(text ? text : "", error);
    if (!query) {
        answer_text(request, 400, "%s\n", error);
        return;
    }
    range.exact_request_id = logql_exact(query, "request_id");
    range.exact_correlation_id = logql_exact(query, "correlation_id");
    range.exact_trace_id = logql_exact(query, "trace_id");
    search.query = query;
    search.streams = json_object();
    streams = json_array();
    if (store_each_line(&range, take, &search) == 0) {
        json_object_foreach(search.streams, name, stream) json_array_append(streams, stream);
        answer_json(request, 200,
                    json_pack("{s:s, s:{s:s, s:O, s:{}}}", "status", "success", "data",
                              "resultType", "streams", "result", streams, "stats"));
    } else {
        answer_text(request, 500, "store failed\n");
    }
    json_decref(streams);
    json_decref(search.streams);
    logql_free(query);
}

static void answer_list(struct request *request, json_t *list)
{
    answer_json(request, 200, json_pack("{s:s, s:o}", "status", "success", "data", list));
}

void handle_loki_labels(struct request *request)
{
    answer_list(request, store_label_values(NULL));
}

void handle_loki_label_values(struct request *request)
{
    const char *slash = strchr(request->rest, '/');
    char name[128];

    if (!slash || strcmp(slash, "/values") != 0 ||
        (size_t)(slash - request->rest) >= sizeof(name)) {
        answer_text(request, 404, "no such page\n");
        return;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)(slash - request->rest), request->rest);
    answer_list(request, store_label_values(name));
}
