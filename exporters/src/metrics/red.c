/* SPDX-License-Identifier: Apache-2.0
 *
 * Rate, errors, duration, derived from two log events at the call site: before
 * the level or a full ring can take the line away, so the numbers are exact.
 *
 *   "request started"                                    active_connections + 1
 *   "request completed" method route status duration_seconds
 *                       http_requests_total, http_request_duration_seconds,
 *                       active_connections - 1
 *
 * Any service may log the same events itself; keys and types are checked when
 * the call site is first passed. The caller's thread runs all of this.
 */
#include "metrics_priv.h"

#include <clew/metrics.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { METHOD, ROUTE, STATUS, DURATION, COLUMNS };

/* What a matching call site means; column[] says where its values are. */
struct event {
    bool completed;
    unsigned column[COLUMNS];
};

static const struct {
    const char *key;
    enum clew_type type;
} columns[COLUMNS] = {
    [METHOD] = {"method", CLEW_TYPE_STRING},
    [ROUTE] = {"route", CLEW_TYPE_STRING},
    [STATUS] = {"status", CLEW_TYPE_UINT},
    [DURATION] = {"duration_seconds", CLEW_TYPE_DOUBLE},
};

static struct clew_metric *requests, *durations;
static struct clew_series *active;

static bool find_column(const struct clew_site *site, int which, unsigned *ret)
{
    for (unsigned i = 0; i < site->nfields; i++) {
        enum clew_type type = (enum clew_type)site->types[i];

        if (strcmp(site->keys[i], columns[which].key) != 0)
            continue;
        *ret = i;
        return type == columns[which].type ||
               (which == STATUS && type == CLEW_TYPE_INT); /* either integer will do */
    }
    return false;
}

static void *match(void *self, const struct clew_site *site)
{
    bool completed = strcmp(site->message, "request completed") == 0;
    struct event *event;

    (void)self;
    if (!completed && strcmp(site->message, "request started") != 0)
        return NULL;
    event = calloc(1, sizeof(*event));
    if (!event)
        return NULL;
    event->completed = completed;
    for (int i = 0; completed && i < COLUMNS; i++)
        if (!find_column(site, i, &event->column[i])) {
            free(event);
            return NULL;
        }
    return event;
}

/* The methods of RFC 9110 and PATCH; anything else would be a label that
 * strangers can choose. */
static const char *known_method(const struct clew_value *value)
{
    static const char *const known[] = {"GET",     "POST",    "PUT",   "DELETE", "HEAD",
                                        "OPTIONS", "CONNECT", "TRACE", "PATCH"};

    for (size_t i = 0; value->as.s && i < sizeof(known) / sizeof(known[0]); i++)
        if (value->len == CLEW_LENGTH_UNKNOWN
                ? strcmp(value->as.s, known[i]) == 0
                : strlen(known[i]) == value->len && memcmp(value->as.s, known[i], value->len) == 0)
            return known[i];
    return "_OTHER";
}

static void copy_route(char *to, size_t size, const struct clew_value *value)
{
    const char *s = value->as.s ? value->as.s : "unmatched";
    size_t len = value->as.s && value->len != CLEW_LENGTH_UNKNOWN ? strnlen(s, value->len)
                                                                  : strnlen(s, size);

    if (len >= size)
        len = size - 1;
    memcpy(to, s, len);
    to[len] = '\0';
}

static void observe(void *state, const struct clew_site *site, const struct clew_logger *logger,
                    const struct clew_value *values, const struct clew_scope *scope)
{
    const struct event *event = state;
    const uint8_t *trace_id = NULL;
    char route[160], status[24];
    const char *labels[4];
    (void)site, (void)logger;

    if (!event->completed) {
        clew_series_add(active, 1);
        return;
    }
    copy_route(route, sizeof(route), &values[event->column[ROUTE]]);
    (void)snprintf(status, sizeof(status), "%llu",
                   (unsigned long long)values[event->column[STATUS]].as.u);
    labels[0] = known_method(&values[event->column[METHOD]]);
    labels[1] = route;
    labels[2] = status;
    labels[3] = NULL;
    clew_series_add(clew_metric_series(requests, labels), 1);
    if (clew_context_trace_flags(scope->context) & CLEW_TRACE_SAMPLED)
        trace_id = clew_context_trace_id(scope->context);
    clew_series_observe(clew_metric_series(durations, labels), values[event->column[DURATION]].as.d,
                        trace_id, scope->span_id);
    clew_series_add(active, -1);
}

int clew__red_start(void)
{
    static const struct clew_observer_ops ops = {"red", match, observe};
    static const char *const labels[] = {"method", "path", "status", NULL};
    static const char *const duration_labels[] = {"method", "path", NULL};
    struct clew_metric *gauge;

    requests = clew_counter("http_requests_total",
                            "Requests answered, by method, route and status.", labels);
    durations = clew_histogram("http_request_duration_seconds",
                               "Time from the request's headers to the end of its answer.",
                               duration_labels, NULL, 0);
    gauge = clew_gauge("active_connections", "Requests being worked on.", NULL);
    active = clew_metric_series(gauge, NULL);
    if (!requests || !durations || !active)
        return -EINVAL;
    return clew_observer_add(&ops, NULL);
}
