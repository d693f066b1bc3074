/* SPDX-License-Identifier: Apache-2.0
 *
 * Emptying rings: records become lines, lines gather in a batch, a batch is
 * written, and only then do the tails move past what is in it.
 */
#ifndef CLEW_EMPTY_PRIV_H
#define CLEW_EMPTY_PRIV_H

#include "core_priv.h"

#include <json.h>

/* Lines on their way out. One is the collector's, a few are for threads that
 * empty their own ring. */
struct clew__batch;

/* The collector's, with all that only it may use; NULL without memory. */
struct clew__batch *clew__batch_of_collector(void);
/* Begins with the clock of now and where the outputs are now. */
void clew__batch_begin(struct clew__batch *batch);
bool clew__batch_is_full(const struct clew__batch *batch);
/* Writes what is in it, then moves the tails of the rings it came from, and
 * lets go of those that are done with. */
void clew__batch_end(struct clew__batch *batch);

/* Takes one record of a ring whose `emptying` is held, read < limit. False when
 * this batch cannot take it: the ring is left to the collector then. */
bool clew__batch_take(struct clew__batch *batch, struct clew__ring *ring);
/* Adds a line to the outputs whose bit is not set in skip, and to the sinks. */
void clew__batch_add(struct clew__batch *batch, struct clew__line *line, unsigned skip);
/* Hands a span to the sinks; arg is not used. Collector thread. */
void clew__deliver_span(void *arg, const struct clew_span_record *span);

/* What was in a parent's batches is the parent's. */
void clew__batches_after_fork(void);

static inline const struct clew__record *clew__ring_record(const struct clew__ring *ring)
{
    return (const struct clew__record *)(const void *)ring->read_at;
}

static inline void clew__ring_advance(struct clew__ring *ring, size_t bytes)
{
    ring->read += bytes;
    ring->read_at += bytes;
    if (ring->read_at >= ring->data + ring->size)
        ring->read_at -= ring->size;
}

bool clew__ring_try_lock(struct clew__ring *ring);
void clew__ring_unlock(struct clew__ring *ring);

/* Whether a thread may empty its own ring: no sink wants lines in the
 * collector's thread, and no output can block. */
bool clew__may_help(void);
/* Empties a part of this thread's own ring; false when nothing could be done. */
bool clew__help(struct clew__ring *ring);
/* From now on none does; false when one was still at it at the deadline. */
bool clew__helpers_stop(uint64_t deadline_ns);

/* Sinks (sinks.c). */
bool clew__sinks_want_lines(void);
bool clew__sinks_want_spans(void);
void clew__sinks_line(const struct clew_line *line);
void clew__sinks_span(const struct clew_span_record *span);
void clew__sinks_batch_end(void);
void clew__sinks_close(uint64_t deadline_ns);

/* The collector's clock, made better once in a while. */
void clew__clock_start(void);
void clew__clock_calibrate(void);
struct clew__clock clew__clock_now(void);

/* Texts that are made once; NULL when there is none yet and it may not be made
 * now, or cannot. */
const struct clew__site_text *clew__text_of_site(const struct clew_site *site, bool may_make);
const struct clew__logger_text *clew__text_of_logger(uint32_t id, bool may_make);

#endif
