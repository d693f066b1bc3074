/* SPDX-License-Identifier: Apache-2.0
 * What is wrong with a page of metrics. */
#ifndef CLEW_CLI_LINT_H
#define CLEW_CLI_LINT_H

#include "exposition.h"

#include <stdint.h>
#include <stdio.h>

enum cli_lint_severity {
    CLI_LINT_NOTE,    /* a name that is fixed, and its twin is there */
    CLI_LINT_WARNING, /* against the conventions */
    CLI_LINT_ERROR    /* Prometheus refuses or mangles it */
};

enum cli_metric_type {
    CLI_METRIC_UNKNOWN,
    CLI_METRIC_COUNTER,
    CLI_METRIC_GAUGE,
    CLI_METRIC_HISTOGRAM,
    CLI_METRIC_SUMMARY,
    CLI_METRIC_INFO,
    CLI_METRIC_OTHER /* stateset, gaugehistogram */
};

struct cli_family {
    struct cli_text name; /* as TYPE or HELP gives it, or a sample */
    size_t line;
    enum cli_metric_type type;
    bool has_type, has_help, closed;
    bool has_total; /* a sample that ends in _total */
    size_t series;
    uint64_t said; /* which findings were, one bit each */
    size_t nlabels;
    struct cli_label {
        struct cli_text name;
        size_t values; /* distinct ones */
    } labels[CLI_LABELS_MAX];
    /* the histogram at hand */
    uint64_t group;
    double below, infinite;
    bool has_infinite;
};

struct cli_lint {
    const char *source; /* for findings */
    FILE *out;
    bool quiet;        /* no notes */
    size_t series_max; /* a metric */
    size_t values_max; /* a label */
    /* results */
    size_t count[CLI_LINT_ERROR + 1];
    size_t nfamilies;
    struct cli_family *families;
    /* internal */
    size_t capacity, nslots, nseen, seen_slots;
    uint32_t *slots;
    uint64_t *seen;
    struct cli_family *current;
    bool ended, no_memory;
};

/* Reads the page, which must stay, and writes a line for each finding. false
 * without memory. */
bool cli_lint_page(struct cli_lint *lint, const char *page, size_t len);
void cli_lint_done(struct cli_lint *lint);

/* ---- for the rules ---------------------------------------------------------------- */

void cli_lint_say(struct cli_lint *lint, enum cli_lint_severity severity, size_t line,
                  struct cli_text name, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* NULL: there is none. */
struct cli_family *cli_lint_find(struct cli_lint *lint, const char *name, size_t len);
bool cli_text_is(struct cli_text text, const char *word);
bool cli_text_ends(struct cli_text text, const char *end);

/* lint_names.c: the names of a family and of its labels, how many it has. */
void cli_lint_family(struct cli_lint *lint, struct cli_family *family);
/* lint_values.c: a label's value, the first time it is seen. */
void cli_lint_value(struct cli_lint *lint, struct cli_family *family, size_t line,
                    struct cli_text label, struct cli_text value);

#endif
