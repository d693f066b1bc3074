/* SPDX-License-Identifier: Apache-2.0
 * Pages: what render.c shares with the formats. */
#ifndef CLEW_RENDER_H
#define CLEW_RENDER_H

#include "config.h"
#include "scrape.h"

#include <buf.h>

#include <zlib.h>

/* A page on its way: out is emptied into the compressor from time to time. */
struct clew__page {
    struct clew__scrape scrape;
    struct clew__buf out;
    const struct clew_page_format *format;
    /* The labels that every sample has, but those its metric has itself. */
    size_t nlabels;
    const char *label[CLEW__CONSTANT_LABELS_MAX];
    const char *value[CLEW__CONSTANT_LABELS_MAX];
    uint32_t version; /* of these, for the series' texts */
    /* With format->gzip. */
    z_stream z;
    struct clew__buf compressed;
};

/* To be called once in a while, with a whole line at least in page->out. */
void clew__page_pass_on(struct clew__page *page);

void clew__render_text_metric(struct clew__page *page, const struct clew_metric *metric);
void clew__render_protobuf_metric(struct clew__page *page, const struct clew_metric *metric);
/* Whether a constant label stands at the metric's samples. */
bool clew__page_has_label(const struct clew_metric *metric, const char *label);

#endif
