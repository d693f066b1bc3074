/* SPDX-License-Identifier: Apache-2.0
 * A sink for scenarios of child.h: prints each span as a line whose message is
 * "span", and what tests ask of such lines and of logged events afterwards. */
#ifndef CLEW_TEST_PRINT_SPANS_H
#define CLEW_TEST_PRINT_SPANS_H

#include <child.h>
#include <clew/trace.h>
#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In a scenario, before anything is logged. */
void print_spans(void);

/* The n-th span of this name, borrowed; NULL when there is none. */
json_t *span_named(const char *name, size_t n);
/* An attribute as text, "(none)" when it is not there. */
const char *span_attribute(json_t *span, const char *key);
/* A member of a span or line as text ("trace_id", "scope"), "(none)" likewise. */
const char *member(json_t *object, const char *key);
/* The first event of this name; NULL. */
json_t *span_event(json_t *span, const char *name);
/* The lines of this message whose level and fields are these, in their order:
 * "INFO topic=orders status=ok duration_seconds=*". The star stands for what a
 * duration can be. Says what such lines have when there is none. */
size_t events_like(const char *message, const char *text);
/* Whether every attribute of every span is one of the conventions' or ours; says
 * which are not. */
bool spans_follow_conventions(void);

#ifdef __cplusplus
}
#endif

#endif
