/* SPDX-License-Identifier: Apache-2.0
 * What clew-local keeps: log lines, spans, Slack messages, PagerDuty events and
 * incidents, in one SQLite file. One connection, one lock: every call is
 * MT-Safe and may wait for the disk. Strings are copied. Errors are -EIO, the
 * text is logged. */
#ifndef CLEW_LOCAL_STORE_H
#define CLEW_LOCAL_STORE_H

#include <jansson.h>
#include <otlp_read.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int store_open(const char *directory);
void store_close(void);

/* A batch: everything between begin and commit is one transaction, and other
 * threads wait. */
void store_begin(void);
int store_commit(bool keep);

struct store_line {
    int64_t time_ns;
    const char *text;
    size_t len;
    json_t *labels;   /* of the stream */
    json_t *metadata; /* structured metadata, strings */
};
int store_add_line(const struct store_line *line); /* inside a batch */
int store_add_span(const struct clew__otlp_span *span);

/* Calls take for the lines of [from, until) in time order; take returns false
 * to stop. The exact_ strings narrow it down by index; NULL: all. */
struct store_range {
    int64_t from_ns, until_ns;
    bool backward;
    const char *exact_request_id, *exact_correlation_id, *exact_trace_id;
};
int store_each_line(const struct store_range *range,
                    bool (*take)(void *arg, const struct store_line *line), void *arg);

/* The trace as encoded ResourceSpans, each with its tag: a TracesData message.
 * *ret is free()d by the caller. 0; -ENOENT */
int store_trace(const uint8_t trace_id[16], char **ret, size_t *ret_len);

/* Newest first: [{traceID, rootServiceName, rootTraceName, startTimeUnixNano,
 * durationMs, spans, errors}] */
json_t *store_recent_traces(size_t limit);
/* The values of a label over all lines, sorted; all label names for NULL. */
json_t *store_label_values(const char *name);

int store_add_slack(const char *path, const json_t *payload);
/* Puts it in the place of the message with the same channel and ts. 0; -ENOENT */
int store_update_slack(const json_t *payload);
/* [{id, time, path, payload}] */
json_t *store_slack(int64_t since_id);
/* PagerDuty's rules: trigger opens or merges, acknowledge and resolve without
 * an open incident are dropped. */
int store_add_pagerduty(const json_t *event);
json_t *store_pagerduty_events(int64_t since_id);
json_t *store_incidents(void);

void store_forget_older(int64_t time_ns);

#endif
