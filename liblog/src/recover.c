/* SPDX-License-Identifier: Apache-2.0
 *
 * What dead processes left. A ring file whose lock can be had belongs to
 * nobody any more: its records between tail and head are emitted as they would
 * have been, and the file is removed. The file may be cut off or damaged
 * anywhere; every offset, length and number in it is checked before use, and
 * what cannot be read is left out. Collector thread, before its first pass.
 */
#include "core_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (UINT64_C(1) << 32)
#define RING_BYTES_MAX (UINT64_C(64) << 20)

struct dead {
    const char *bytes;
    uint64_t size;
    const struct clew__file_header *header;
    struct clew__clock clock;
    struct site {
        struct clew_site site;
        struct clew__site_text text;
        const char *keys[25];
    } * sites[CLEW__SITES_MAX + 1];
};

/* A ring of the dead process, its data laid out twice in a row as it was. */
struct dead_ring {
    char *data;
    uint64_t size, read, head, next_ticks;
    struct clew__line_context *context;
};

static const char *take_string(const char **at, const char *end)
{
    const char *s = *at, *nul = memchr(s, '\0', (size_t)(end - s));

    if (!nul)
        return NULL;
    *at = nul + 1;
    return s;
}

static struct site *read_site(const struct clew__dictionary_entry *entry)
{
    const char *at = (const char *)(entry + 1), *end = (const char *)entry + entry->size;
    struct site *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->site.types = (const uint8_t *)at;
    if (entry->nfields > 24 || end - at < entry->nfields)
        goto bad;
    for (unsigned i = 0; i < entry->nfields; i++)
        if (s->site.types[i] < CLEW_TYPE_BOOL || s->site.types[i] > CLEW_TYPE_STRING)
            goto bad;
    at += entry->nfields;
    if (!(s->site.message = take_string(&at, end)) || !(s->site.file = take_string(&at, end)) ||
        !(s->site.function = take_string(&at, end)))
        goto bad;
    for (unsigned i = 0; i < entry->nfields; i++)
        if (!(s->keys[i] = take_string(&at, end)))
            goto bad;
    s->site.id = entry->id;
    s->site.line = entry->line;
    s->site.level = entry->level;
    s->site.nfields = entry->nfields;
    s->site.keys = s->keys;
    return s;
bad:
    free(s);
    return NULL;
}

static void read_dictionary(struct dead *dead, uint64_t offset, uint64_t size)
{
    const char *chunk = dead->bytes + offset;
    uint64_t used = atomic_load(&((const struct clew__dictionary *)chunk)->used), at = 8;

    if (used > size)
        used = size;
    while (used - at >= sizeof(struct clew__dictionary_entry)) {
        const struct clew__dictionary_entry *entry = (const void *)(chunk + at);

        if (entry->size < sizeof(*entry) || entry->size % 8 || entry->size > used - at)
            return;
        if (entry->id >= 1 && entry->id <= CLEW__SITES_MAX && !dead->sites[entry->id])
            dead->sites[entry->id] = read_site(entry);
        at += entry->size;
    }
}

static const struct clew__record *record_of(const struct dead_ring *ring)
{
    return (const void *)(ring->data + (ring->read & (ring->size - 1)));
}

/* Whether there is a whole record at read; notes its time. */
static bool look(struct dead_ring *ring)
{
    const struct clew__record *record = record_of(ring);
    uint64_t left = ring->head - ring->read;

    if (left < sizeof(*record) || record->size < sizeof(*record) || record->size % 8 ||
        record->size > CLEW__RECORD_MAX || record->size > left)
        return false;
    ring->next_ticks = record->ticks;
    return true;
}

static bool open_ring(const struct dead *dead, uint64_t offset, uint64_t size,
                      struct dead_ring *ring)
{
    const struct clew__ring_control *control = (const void *)(dead->bytes + offset);
    const char *data = dead->bytes + offset + CLEW__RING_CONTROL_BYTES;
    uint64_t tail = atomic_load(&control->tail);
    unsigned slot = tail & 1;

    *ring = (struct dead_ring){.size = size - CLEW__RING_CONTROL_BYTES,
                               .read = tail & ~UINT64_C(7),
                               .head = atomic_load(&control->head)};
    if (ring->size < 4096 || ring->size > RING_BYTES_MAX || (ring->size & (ring->size - 1)) ||
        ring->head % 8 || ring->head - ring->read > ring->size || ring->head == ring->read)
        return false;
    ring->data = malloc(2 * ring->size);
    ring->context = clew__line_context_new();
    if (ring->data && ring->context) {
        memcpy(ring->data, data, ring->size);
        memcpy(ring->data + ring->size, data, ring->size);
        if (control->context[slot].len <= CLEW__CONTEXT_MAX)
            (void)clew__line_context_set(ring->context, control->context[slot].bytes,
                                         control->context[slot].len);
        if (look(ring))
            return true;
    }
    free(ring->data);
    clew__line_context_free(ring->context);
    return false;
}

static void emit(struct dead *dead, struct dead_ring *ring)
{
    const struct clew__record *record = record_of(ring);
    const char *payload = (const char *)(record + 1);
    size_t len = record->size - sizeof(*record);

    if (record->what == CLEW__WHAT_CONTEXT) {
        (void)clew__line_context_set(ring->context, payload, len);
    } else if (record->what == CLEW__WHAT_SPAN) {
        if (clew__span_decode &&
            clew__span_decode(payload, len, &dead->clock, clew__deliver_span, NULL))
            CLEW__COUNT_ONE(recovered);
    } else if (record->what <= CLEW__SITES_MAX && dead->sites[record->what]) {
        struct site *s = dead->sites[record->what];
        struct clew__line line = {.time_ns = clew__ticks_to_ns(&dead->clock, record->ticks),
                                  .text = &s->text,
                                  .context = ring->context,
                                  .span_id = record->span_id};

        if (!s->text.pieces.data)
            clew__format_site(&s->text, &s->site, dead->header->service);
        if (!s->text.pieces.failed && clew__line_decode(&line, &s->site, payload, len)) {
            clew__deliver_line(&line);
            CLEW__COUNT_ONE(recovered);
        }
    }
    ring->read += record->size;
}

/* All rings merged by time. */
static void emit_rings(struct dead *dead, struct dead_ring *rings, size_t n)
{
    while (n > 0) {
        size_t best = 0;

        for (size_t i = 1; i < n; i++)
            if (rings[i].next_ticks < rings[best].next_ticks)
                best = i;
        emit(dead, &rings[best]);
        if (rings[best].read == rings[best].head || !look(&rings[best])) {
            free(rings[best].data);
            clew__line_context_free(rings[best].context);
            rings[best] = rings[--n];
        }
    }
}

static bool chunk_fits(const struct dead *dead, uint32_t i, uint64_t least)
{
    uint64_t offset = dead->header->chunk[i].offset, size = dead->header->chunk[i].size;

    return offset % 8 == 0 && size >= least && offset <= dead->size && size <= dead->size - offset;
}

static void read_file(struct dead *dead)
{
    const struct clew__file_header *header = dead->header;
    uint32_t n = atomic_load(&header->nchunks), slot = atomic_load(&header->clock_slot) & 1;
    struct dead_ring *rings;
    size_t nrings = 0;

    if (memcmp(header->magic, CLEW__FILE_MAGIC, sizeof(header->magic)) != 0 ||
        n > CLEW__CHUNKS_MAX || !memchr(header->service, '\0', sizeof(header->service)))
        return;
    dead->clock = header->clock[slot];
    rings = calloc(n ? n : 1, sizeof(*rings));
    if (!rings)
        return;
    for (uint32_t i = 0; i < n; i++)
        if (header->chunk[i].kind == CLEW__CHUNK_DICTIONARY && chunk_fits(dead, i, 8))
            read_dictionary(dead, header->chunk[i].offset, header->chunk[i].size);
    for (uint32_t i = 0; i < n; i++)
        if (header->chunk[i].kind == CLEW__CHUNK_RING &&
            chunk_fits(dead, i, CLEW__RING_CONTROL_BYTES) &&
            open_ring(dead, header->chunk[i].offset, header->chunk[i].size, &rings[nrings]))
            nrings++;
    emit_rings(dead, rings, nrings);
    free(rings);
}

/* 0 when the file was read and may go, -EBUSY when its owner lives. */
int clew__recover_file(int fd)
{
    struct stat st;
    struct dead *dead;
    void *bytes;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -EBUSY;
    if (fstat(fd, &st) < 0 || st.st_size < (off_t)CLEW__FILE_HEADER_BYTES ||
        (uint64_t)st.st_size > FILE_BYTES_MAX)
        return 0;
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    dead = calloc(1, sizeof(*dead));
    if (bytes == MAP_FAILED || !dead) {
        free(dead);
        return -ENOMEM;
    }
    dead->bytes = bytes;
    dead->size = (uint64_t)st.st_size;
    dead->header = bytes;
    read_file(dead);
    for (size_t i = 0; i <= CLEW__SITES_MAX; i++)
        if (dead->sites[i]) {
            clew__buf_done(&dead->sites[i]->text.pieces);
            free(dead->sites[i]);
        }
    free(dead);
    munmap(bytes, (size_t)st.st_size);
    return 0;
}

static bool is_candidate(const char *name, const char *service)
{
    size_t len = strlen(name);
    const char *mine = strrchr(clew__file_name(), '/');

    /* Files of this service: "<service>.<pid>-<time>.rings", not our own. */
    return len > 6 && strcmp(name + len - 6, ".rings") == 0 &&
           strncmp(name, service, strlen(service)) == 0 && name[strlen(service)] == '.' &&
           !(mine && strcmp(name, mine + 1) == 0);
}

static int by_time(const struct dirent **a, const struct dirent **b)
{
    const char *ta = strrchr((*a)->d_name, '-'), *tb = strrchr((*b)->d_name, '-');

    return strcmp(ta ? ta : "", tb ? tb : "");
}

void clew__recover(const char *directory, const char *service)
{
    struct dirent **list;
    char safe[128];
    int n = scandir(directory, &list, NULL, by_time);

    clew__file_safe_name(safe, sizeof(safe), service);
    for (int i = 0; i < n; i++) {
        char path[1024];
        int fd = -1;

        if (is_candidate(list[i]->d_name, safe) &&
            snprintf(path, sizeof(path), "%s/%s", directory, list[i]->d_name) < (int)sizeof(path))
            fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0) {
            if (clew__recover_file(fd) == 0) {
                clew__deliver_batch_end(); /* out first, then gone */
                unlink(path);
            }
            close(fd);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}
