/* SPDX-License-Identifier: Apache-2.0
 * A dead process's file taken apart: dictionary, rings, and the way through a
 * ring's records. Nothing in the file is trusted. */
#include "recover_priv.h"

#include "fields_priv.h"

#include <stdlib.h>
#include <string.h>

#define RING_BYTES_MAX (UINT64_C(64) << 20)

/* ---- dictionary --------------------------------------------------------------------- */

static const char *take_string(const char **at, const char *end)
{
    const char *s = *at, *nul = memchr(s, '\0', (size_t)(end - s));

    if (!nul)
        return NULL;
    *at = nul + 1;
    return s;
}

static struct clew__dead_site *read_site(const struct clew__dictionary_entry *entry)
{
    const char *at = (const char *)(entry + 1), *end = (const char *)entry + entry->size;
    struct clew__dead_site *s = calloc(1, sizeof(*s));
    struct clew_site *site;

    if (!s)
        return NULL;
    site = &s->site;
    site->types = (const uint8_t *)at;
    if (entry->nfields > 24 || end - at < entry->nfields)
        goto bad;
    for (unsigned i = 0; i < entry->nfields; i++)
        if (!clew__type_is_stored(site->types[i]))
            goto bad;
    at += entry->nfields;
    if (!(site->message = take_string(&at, end)) || !(site->file = take_string(&at, end)) ||
        !(site->function = take_string(&at, end)) || !(site->logger = take_string(&at, end)))
        goto bad;
    for (unsigned i = 0; i < entry->nfields; i++)
        if (!(s->keys[i] = take_string(&at, end)))
            goto bad;
    site->id = entry->id;
    site->line = entry->line;
    site->level = entry->level;
    site->nfields = entry->nfields;
    site->keys = s->keys;
    return s;
bad:
    free(s);
    return NULL;
}

static struct clew__logger_text *read_logger(const struct clew__dictionary_entry *entry)
{
    const char *at = (const char *)(entry + 1), *end = (const char *)entry + entry->size;
    const char *name = take_string(&at, end);

    if (!name || entry->bytes > (size_t)(end - at))
        return NULL;
    return clew__logger_text_new(name, at, entry->bytes);
}

static void read_entry(struct clew__dead *dead, const struct clew__dictionary_entry *entry)
{
    struct clew__dead_site *site;

    if (entry->kind == CLEW__ENTRY_LOGGER && entry->id >= 1 && entry->id < 65536 &&
        !dead->loggers[entry->id]) {
        dead->loggers[entry->id] = read_logger(entry);
    } else if (entry->kind == CLEW__ENTRY_SITE && entry->id >= 1 && entry->id <= CLEW__SITES_MAX &&
               !dead->sites[entry->id]) {
        site = read_site(entry);
        if (site && !(site->text = clew__site_text_new(&site->site, dead->header->service))) {
            free(site);
            site = NULL;
        }
        dead->sites[entry->id] = site;
    }
}

static void read_dictionary(struct clew__dead *dead, uint64_t offset, uint64_t size)
{
    const char *chunk = dead->bytes + offset;
    uint64_t used = ((const struct clew__dictionary *)(const void *)chunk)->used, at = 8;

    if (used > size)
        used = size;
    while (used > at && used - at >= sizeof(struct clew__dictionary_entry)) {
        const struct clew__dictionary_entry *entry = (const void *)(chunk + at);

        if (entry->size < sizeof(*entry) || entry->size % 8 || entry->size > used - at)
            return;
        read_entry(dead, entry);
        at += entry->size;
    }
}

/* ---- rings -------------------------------------------------------------------------- */

static bool read_ring(struct clew__dead *dead, uint64_t offset, uint64_t size)
{
    const struct clew__ring_control *control = (const void *)(dead->bytes + offset);
    const char *data = dead->bytes + offset + CLEW__RING_CONTROL_BYTES;
    struct clew__dead_ring *ring = &dead->rings[dead->nrings];
    uint64_t tail = control->tail, written;

    *ring = (struct clew__dead_ring){.size = size - CLEW__RING_CONTROL_BYTES,
                                     .read = tail & ~UINT64_C(7),
                                     .head = control->head,
                                     .point = &control->checkpoint[tail & 1]};
    if (ring->point->clock.mult && ring->point->clock.ticks0 >= dead->clock.ticks0)
        dead->clock = ring->point->clock;
    if (ring->size < 4096 || ring->size > RING_BYTES_MAX || ring->size % 4096 || ring->head % 8 ||
        ring->head - ring->read > ring->size || ring->head == ring->read)
        return false;
    /* What was never written may have no storage; it reads as zeros. */
    written = ring->head < ring->size ? ring->head : ring->size;
    ring->data = calloc(1, 2 * ring->size + CLEW__PIECE_SLACK);
    ring->found = calloc(1, ring->size / sizeof(struct clew__record) + 1);
    if (!ring->data || !ring->found) {
        free(ring->data);
        free(ring->found);
        return false;
    }
    memcpy(ring->data, data, written);
    memcpy(ring->data + ring->size, data, written);
    dead->nrings++;
    return true;
}

bool clew__dead_chunk_fits(const struct clew__dead *dead, uint32_t i, uint64_t least)
{
    uint64_t offset = dead->header->chunk[i].offset, size = dead->header->chunk[i].size;

    return offset % 64 == 0 && size >= least && offset <= dead->size && size <= dead->size - offset;
}

struct clew__dead *clew__dead_read(const char *bytes, uint64_t size)
{
    const struct clew__file_header *header = (const void *)bytes;
    struct clew__dead *dead;
    uint32_t n;

    if (size < CLEW__FILE_HEADER_BYTES || (n = header->nchunks) > CLEW__CHUNKS_MAX ||
        memcmp(header->magic, CLEW__FILE_MAGIC, sizeof(header->magic)) != 0 ||
        !memchr(header->service, '\0', sizeof(header->service)))
        return NULL;
    dead = calloc(1, sizeof(*dead));
    if (!dead)
        return NULL;
    dead->bytes = bytes;
    dead->size = size;
    dead->header = header;
    dead->rings = calloc(n + 1, sizeof(*dead->rings));
    if (!dead->rings) {
        free(dead);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        if (header->chunk[i].kind == CLEW__CHUNK_DICTIONARY && clew__dead_chunk_fits(dead, i, 8))
            read_dictionary(dead, header->chunk[i].offset, header->chunk[i].size);
    for (uint32_t i = 0; i < n; i++)
        if (header->chunk[i].kind == CLEW__CHUNK_RING &&
            clew__dead_chunk_fits(dead, i, CLEW__RING_CONTROL_BYTES))
            (void)read_ring(dead, header->chunk[i].offset, header->chunk[i].size);
    return dead;
}

void clew__dead_free(struct clew__dead *dead)
{
    for (size_t i = 0; i <= CLEW__SITES_MAX; i++)
        if (dead->sites[i]) {
            free(dead->sites[i]->text);
            free(dead->sites[i]);
        }
    for (size_t i = 0; i < sizeof(dead->loggers) / sizeof(dead->loggers[0]); i++)
        clew__logger_text_free(dead->loggers[i]);
    for (size_t i = 0; i < dead->nrings; i++) {
        free(dead->rings[i].data);
        free(dead->rings[i].found);
    }
    free(dead->rings);
    free(dead);
}

/* ---- walking ------------------------------------------------------------------------ */

/* The record at read if there is a whole one. */
static void look(struct clew__walk *walk)
{
    const struct clew__record *record = (const void *)(walk->data + walk->read % walk->size);
    uint64_t left = walk->head - walk->read;

    walk->record = left >= sizeof(*record) && clew__record_size(record) >= sizeof(*record) &&
                           clew__record_size(record) <= left &&
                           clew__record_size(record) <= CLEW__RECORD_MAX
                       ? record
                       : NULL;
    if (walk->record && record->what == CLEW__WHAT_CONTEXT)
        (void)clew__line_context_set(walk->context, (const char *)(record + 1),
                                     clew__record_size(record) - sizeof(*record));
}

bool clew__walk_begin(struct clew__walk *walk, const struct clew__dead *dead, size_t i)
{
    const struct clew__dead_ring *ring = &dead->rings[i];

    *walk = (struct clew__walk){.dead = dead,
                                .data = ring->data,
                                .size = ring->size,
                                .read = ring->read,
                                .head = ring->head,
                                .clock = ring->point->clock,
                                .context = clew__line_context_new()};
    if (!walk->context)
        return false;
    memcpy(walk->position, ring->point->position, sizeof(walk->position));
    if (ring->point->context_len <= CLEW__CONTEXT_MAX)
        (void)clew__line_context_set(walk->context, ring->point->context, ring->point->context_len);
    look(walk);
    return true;
}

void clew__walk_end(struct clew__walk *walk)
{
    clew__line_context_free(walk->context);
    walk->context = NULL;
    walk->record = NULL;
}

void clew__walk_next(struct clew__walk *walk)
{
    walk->read += clew__record_size(walk->record);
    walk->number++;
    look(walk);
}

static const struct clew__dead_site *dead_site(const struct clew__dead *dead, uint32_t id)
{
    return id >= 1 && id <= CLEW__SITES_MAX ? dead->sites[id] : NULL;
}

const struct clew_site *clew__dead_site_by_id(const void *sites, uint32_t id)
{
    const struct clew__dead_site *site = dead_site(sites, id);

    return site ? &site->site : NULL;
}

bool clew__walk_line(const struct clew__walk *walk, struct clew__line *ret)
{
    const struct clew__record *record = walk->record;
    const struct clew__dead_site *site = dead_site(walk->dead, record->what);
    struct clew_value value;
    size_t at = 0;

    if (!site || (record->logger && !walk->dead->loggers[record->logger]))
        return false;
    *ret = (struct clew__line){.time_ns = clew__ticks_to_ns(&walk->clock, record->ticks),
                               .site = &site->site,
                               .text = site->text,
                               .logger = walk->dead->loggers[record->logger],
                               .context = walk->context,
                               .span_id = record->span_id,
                               .payload = (const char *)(record + 1),
                               .payload_len = clew__record_size(record) - sizeof(*record)};
    for (unsigned i = 0; i < site->site.nfields; i++)
        if (!clew__value_next(ret->payload, ret->payload_len, &at, site->site.types[i], &value))
            return false;
    return true;
}
