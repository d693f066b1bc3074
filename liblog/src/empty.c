/* SPDX-License-Identifier: Apache-2.0
 *
 * Emptying rings. Whoever holds `emptying` of a ring may take records from it:
 * the collector, who merges all rings, or the ring's own thread when it is full.
 *
 * A batch begins with a clock and with the lengths of the output files. Before a
 * ring's first record is taken into it, both are put into the ring's checkpoint
 * in force; after the batch was written the ring's tail moves past what was
 * taken. So at every moment the checkpoint tells recovery how the records after
 * the tail were formatted, and from where on their lines can be in the file:
 * those that are there are not written a second time.
 */
#include "empty_priv.h"
#include "logger_priv.h"
#include "pressure_priv.h"
#include "target_priv.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#define OUT_BYTES (2u << 20)
#define HELPERS 8u
#define TOUCHED_MAX CLEW__CHUNKS_MAX

struct clew__batch {
    struct clew__clock clock;
    struct clew__position position[CLEW__TARGETS_MAX];
    struct clew__date date;
    struct {
        char *data;
        size_t len;
    } out[CLEW__TARGETS_MAX];
    char *scratch; /* for lines that only sinks get */
    size_t full_at;
    uint64_t lines;
    bool is_collectors;
    size_t ntouched;
    struct clew__ring *touched[TOUCHED_MAX];
    struct clew__buf text;
};

const struct clew__span_hooks *clew__span_hooks;

static pthread_mutex_t clock_lock = PTHREAD_MUTEX_INITIALIZER;
static struct clew__clock clock_now;

static struct clew__batch *collectors;
static uint64_t spans_delivered; /* by the collector, since its last batch */
/* Batches for threads that help themselves. Made when first needed. */
static struct clew__batch *_Atomic helpers[HELPERS];
static _Atomic bool helper_is_busy[HELPERS];
static _Atomic bool helpers_stopped;

/* ---- clock --------------------------------------------------------------------------- */

void clew__clock_start(void)
{
    pthread_mutex_init(&clock_lock, NULL); /* in a fork's child it may have been held */
    clew__ticks_init(&clock_now);
}

void clew__clock_calibrate(void)
{
    struct clew__clock clock = clew__clock_now();

    clew__ticks_calibrate(&clock);
    pthread_mutex_lock(&clock_lock);
    clock_now = clock;
    pthread_mutex_unlock(&clock_lock);
}

struct clew__clock clew__clock_now(void)
{
    struct clew__clock clock;

    pthread_mutex_lock(&clock_lock);
    clock = clock_now;
    pthread_mutex_unlock(&clock_lock);
    return clock;
}

/* ---- rings --------------------------------------------------------------------------- */

bool clew__ring_try_lock(struct clew__ring *ring)
{
    int nobody = 0;

    return atomic_compare_exchange_strong_explicit(&ring->emptying, &nobody, 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

void clew__ring_unlock(struct clew__ring *ring)
{
    atomic_store_explicit(&ring->emptying, 0, memory_order_release);
}

/* Fills the checkpoint that is not in force, then moves the tail, which puts it
 * in force. */
static void checkpoint(struct clew__ring *ring, const struct clew__batch *batch)
{
    struct clew__checkpoint *point;

    ring->slot = 1 - ring->slot;
    point = &ring->control->checkpoint[ring->slot];
    point->clock = ring->clock;
    memcpy(point->position, batch->position, sizeof(point->position));
    point->context_len = ring->context ? (uint32_t)ring->context->raw_len : 0;
    if (point->context_len)
        memcpy(point->context, ring->context->raw, point->context_len);
    ring->context_dirty = false;
    atomic_store_explicit(&ring->control->tail, ring->read | ring->slot, memory_order_release);
}

/* The ring's first record of this batch comes next. */
static bool touch(struct clew__batch *batch, struct clew__ring *ring)
{
    if (!ring->context && !(ring->context = clew__line_context_new()))
        return false;
    ring->clock = batch->clock;
    checkpoint(ring, batch);
    ring->in_batch = true;
    batch->touched[batch->ntouched++] = ring;
    return true;
}

static void commit(struct clew__batch *batch)
{
    for (size_t i = 0; i < batch->ntouched; i++) {
        struct clew__ring *ring = batch->touched[i];

        if (ring->context_dirty)
            checkpoint(ring, batch);
        else
            atomic_store_explicit(&ring->control->tail, ring->read | ring->slot,
                                  memory_order_release);
        ring->in_batch = false;
        if (ring->read == ring->limit)
            clew__ring_unlock(ring);
        clew__ring_moved(ring);
    }
    batch->ntouched = 0;
}

/* ---- batches --------------------------------------------------------------------------- */

static struct clew__batch *batch_new(bool is_collectors)
{
    struct clew__batch *batch = clew__map_memory(sizeof(*batch));

    if (!batch)
        return NULL;
    batch->is_collectors = is_collectors;
    batch->text =
        (struct clew__buf){.data = clew__map_memory(OUT_BYTES), .cap = OUT_BYTES, .max = OUT_BYTES};
    if (!batch->text.data)
        return NULL;
    for (unsigned i = 0; i < clew__targets_count(); i++)
        if (!(batch->out[i].data = clew__map_memory(OUT_BYTES)))
            return NULL;
    if (is_collectors && !(batch->scratch = clew__map_memory(OUT_BYTES)))
        return NULL;
    return batch;
}

struct clew__batch *clew__batch_of_collector(void)
{
    if (!collectors)
        collectors = batch_new(true);
    return collectors;
}

void clew__batch_begin(struct clew__batch *batch)
{
    batch->clock = clew__clock_now();
    batch->full_at = clew__targets_batch_bytes();
    clew__targets_positions(batch->position);
}

bool clew__batch_is_full(const struct clew__batch *batch)
{
    for (unsigned i = 0; i < clew__targets_count(); i++)
        if (batch->out[i].len >= batch->full_at)
            return true;
    return false;
}

static void write_out(struct clew__batch *batch)
{
    for (unsigned i = 0; i < clew__targets_count(); i++) {
        if (batch->out[i].len)
            clew__target_write(i, batch->out[i].data, batch->out[i].len);
        batch->out[i].len = 0;
    }
}

void clew__batch_end(struct clew__batch *batch)
{
    write_out(batch);
    if (batch->is_collectors) {
        clew__sinks_batch_end();
        CLEW__COUNT_MANY(spans, spans_delivered);
        spans_delivered = 0;
    }
    CLEW__COUNT_MANY(lines, batch->lines);
    batch->lines = 0;
    commit(batch);
}

static void forget(struct clew__batch *batch)
{
    for (unsigned i = 0; batch && i < CLEW__TARGETS_MAX; i++)
        batch->out[i].len = 0;
    if (batch)
        batch->ntouched = 0;
}

void clew__batches_after_fork(void)
{
    forget(collectors);
    for (unsigned i = 0; i < HELPERS; i++) {
        forget(atomic_load(&helpers[i]));
        atomic_store(&helper_is_busy[i], false);
    }
    atomic_store(&helpers_stopped, false);
}

/* ---- lines ------------------------------------------------------------------------------ */

/* Room for the line in an output's buffer; a batch that is nearly full by lines
 * of extraordinary length is written early. */
static char *room_in(struct clew__batch *batch, unsigned i, size_t need)
{
    if (need > OUT_BYTES)
        return NULL;
    if (OUT_BYTES - batch->out[i].len < need) {
        clew__target_write(i, batch->out[i].data, batch->out[i].len);
        batch->out[i].len = 0;
    }
    return batch->out[i].data + batch->out[i].len;
}

/* The JSON of the line for this output: formatted there, or a copy. */
static bool add_json(struct clew__batch *batch, unsigned i, const struct clew__line *line,
                     const char **json, size_t *len)
{
    size_t need = *json ? *len + 1 : clew__format_json_bound(line) + 1;
    char *at = room_in(batch, i, need), *end;

    if (!at)
        return false;
    if (*json) {
        memcpy(at, *json, *len);
        end = at + *len;
    } else {
        end = clew__format_json(at, line, &batch->date);
        if (!end)
            return false;
        *json = at;
        *len = (size_t)(end - at);
    }
    *end++ = '\n';
    batch->out[i].len = (size_t)(end - batch->out[i].data);
    return true;
}

static bool add_text(struct clew__batch *batch, unsigned i, const struct clew__line *line)
{
    char *at;

    clew__buf_reset(&batch->text);
    clew__format_text(&batch->text, line, clew__target_has_colour(i));
    clew__buf_addc(&batch->text, '\n');
    at = batch->text.failed ? NULL : room_in(batch, i, batch->text.len);
    if (!at)
        return false;
    memcpy(at, batch->text.data, batch->text.len);
    batch->out[i].len += batch->text.len;
    return true;
}

static void add_to_sinks(struct clew__batch *batch, const struct clew__line *line, const char *json,
                         size_t len)
{
    struct clew_field fields[CLEW__LINE_FIELDS_MAX];
    struct clew_line view = {.time_ns = line->time_ns,
                             .level = (enum clew_level)line->site->level,
                             .site = line->site,
                             .logger = line->logger ? line->logger->plain : line->site->logger,
                             .request_id = line->context->request_id,
                             .correlation_id = line->context->correlation_id,
                             .trace_id = line->context->trace_id,
                             .span_id = line->span_id,
                             .fields = fields,
                             .bound = line->context->bound,
                             .nbound = line->context->nbound};
    int n = clew__line_fields(line, fields, &view.message, &view.message_len);

    if (!json && clew__format_json_bound(line) <= OUT_BYTES) {
        char *end = clew__format_json(batch->scratch, line, &batch->date);

        json = batch->scratch;
        len = end ? (size_t)(end - json) : 0;
    }
    if (!json || n < 0)
        return;
    view.json = json;
    view.json_len = len;
    view.nfields = (size_t)n;
    clew__sinks_line(&view);
}

void clew__batch_add(struct clew__batch *batch, struct clew__line *line, unsigned skip)
{
    const char *json = NULL;
    size_t len = 0;

    for (unsigned i = 0; i < clew__targets_count(); i++) {
        if ((skip & (1u << i)) || !clew__target_wants(i, line->site->level))
            continue;
        if (!(clew__target_is_text(i) ? add_text(batch, i, line)
                                      : add_json(batch, i, line, &json, &len)))
            CLEW__COUNT_ONE(output);
    }
    if (batch->is_collectors && clew__sinks_want_lines())
        add_to_sinks(batch, line, json, len);
    batch->lines++;
}

void clew__deliver_span(void *arg, const struct clew_span_record *span)
{
    (void)arg;
    clew__sinks_span(span);
    spans_delivered++;
}

/* ---- records ------------------------------------------------------------------------------ */

static bool take_line(struct clew__batch *batch, struct clew__ring *ring,
                      const struct clew__record *record)
{
    const struct clew_site *site = clew__site_by_id(record->what);
    struct clew__line line = {.time_ns = clew__ticks_to_ns(&ring->clock, record->ticks),
                              .site = site,
                              .context = ring->context,
                              .span_id = record->span_id,
                              .payload = (const char *)(record + 1),
                              .payload_len = clew__record_size(record) - sizeof(*record)};

    line.text = site ? clew__text_of_site(site, batch->is_collectors) : NULL;
    if (record->logger)
        line.logger = clew__text_of_logger(record->logger, batch->is_collectors);
    if (!line.text || (record->logger && !line.logger)) {
        if (!batch->is_collectors)
            return false;
        CLEW__COUNT_ONE(output);
        return true;
    }
    clew__batch_add(batch, &line, 0);
    return true;
}

static const struct clew_site *known_site(const void *sites, uint32_t id)
{
    (void)sites;
    return clew__site_by_id(id);
}

static void take_span(const struct clew__ring *ring, const char *payload, size_t len)
{
    struct clew__span_reader reader = {
        .clock = &ring->clock, .site = known_site, .deliver = clew__deliver_span};

    if (clew__span_hooks)
        clew__span_hooks->read(&reader, payload, len);
}

/* The next records are in the cache of the core that wrote them: asked for some
 * records before, they are here in time. */
static inline void ask_early(const struct clew__ring *ring)
{
    for (unsigned ahead = 512; ahead < 704; ahead += 64)
        __builtin_prefetch(ring->read_at + ahead);
}

bool clew__batch_take(struct clew__batch *batch, struct clew__ring *ring)
{
    const struct clew__record *record;
    const char *payload;

    if (!ring->in_batch && !touch(batch, ring))
        return false;
    record = clew__ring_record(ring);
    payload = (const char *)(record + 1);
    ask_early(ring);
    if (record->what == CLEW__WHAT_CONTEXT) {
        (void)clew__line_context_set(ring->context, payload,
                                     clew__record_size(record) - sizeof(*record));
        ring->context_dirty = true;
    } else if (record->what == CLEW__WHAT_SPAN) {
        if (!batch->is_collectors && clew__sinks_want_spans())
            return false;
        if (clew__sinks_want_spans())
            take_span(ring, payload, clew__record_size(record) - sizeof(*record));
    } else if (!take_line(batch, ring, record)) {
        return false;
    }
    clew__ring_advance(ring, clew__record_size(record));
    return true;
}

/* ---- threads that help themselves ------------------------------------------------------------ */

bool clew__may_help(void)
{
    return !clew__recovering() && !atomic_load(&helpers_stopped) && !clew__sinks_want_lines() &&
           clew__targets_never_block();
}

static struct clew__batch *borrow_batch(unsigned *ret_slot)
{
    for (unsigned i = 0; i < HELPERS; i++) {
        bool idle = false;

        if (!atomic_compare_exchange_strong(&helper_is_busy[i], &idle, true))
            continue;
        if (!atomic_load(&helpers[i]))
            atomic_store(&helpers[i], batch_new(false));
        /* Busy first, then the look: clew__helpers_stop() does both the other
         * way round, so one of the two sees the other. */
        if (atomic_load(&helpers[i]) && !atomic_load(&helpers_stopped)) {
            *ret_slot = i;
            return atomic_load(&helpers[i]);
        }
        atomic_store(&helper_is_busy[i], false);
    }
    return NULL;
}

bool clew__helpers_stop(uint64_t deadline_ns)
{
    atomic_store(&helpers_stopped, true);
    for (unsigned i = 0; i < HELPERS; i++)
        while (atomic_load(&helper_is_busy[i])) {
            if (clew__monotonic_ns() >= deadline_ns)
                return false;
            sched_yield();
        }
    return true;
}

bool clew__help(struct clew__ring *ring)
{
    struct clew__batch *batch;
    uint64_t before;
    bool progress;
    unsigned slot;

    if (!clew__ring_try_lock(ring))
        return false;
    batch = borrow_batch(&slot);
    if (!batch) {
        clew__ring_unlock(ring);
        return false;
    }
    before = ring->read;
    ring->limit = __atomic_load_n(&ring->control->head, __ATOMIC_ACQUIRE);
    clew__batch_begin(batch);
    while (ring->read != ring->limit && !clew__batch_is_full(batch))
        if (!clew__batch_take(batch, ring))
            break;
    progress = ring->read != before;
    ring->limit = ring->read; /* so that the end lets go of it */
    if (batch->ntouched == 0)
        clew__ring_unlock(ring);
    clew__batch_end(batch);
    if (!progress) {
        atomic_store(&ring->crowded_ns, 0); /* the collector has to */
        clew__collector_wake();
    }
    atomic_store(&helper_is_busy[slot], false);
    return progress;
}
