/* SPDX-License-Identifier: Apache-2.0
 *
 * What dead processes left. A ring file whose lock can be had belongs to nobody
 * any more: its records between tail and head are emitted as they would have
 * been, those that the outputs have already left out, and the file is removed.
 * A crash in the middle of that does no harm: the next one finds in the outputs
 * what this one wrote. Collector thread, before its first pass.
 */
#include "recover_priv.h"

#include "empty_priv.h"
#include "target_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES_MAX (UINT64_C(1) << 32)
#define UNBORN_S 60

/* Nobody else of this process writes meanwhile: what ends in half a line has to
 * end so until the other half is there. */
static _Atomic bool recovering;

bool clew__recovering(void)
{
    return atomic_load_explicit(&recovering, memory_order_relaxed);
}

/* ---- one file ------------------------------------------------------------------------- */

static void emit(const struct clew__dead *dead, const struct clew__walk *walk, unsigned found,
                 const struct clew__recovery *to)
{
    const struct clew__record *record = walk->record;
    struct clew__span_reader reader = {&walk->clock, clew__dead_site_by_id, dead, true, to->span,
                                       to->arg};
    struct clew__line line;

    if (record->what == CLEW__WHAT_SPAN) {
        if (clew__span_hooks)
            clew__span_hooks->read(&reader, (const char *)(record + 1),
                                   clew__record_size(record) - sizeof(*record));
    } else if (clew__walk_line(walk, &line)) {
        to->line(to->arg, dead, &line, found);
    }
}

/* Whether a ring has the record of that span's end: the process died in between
 * that and giving the span's memory back. */
static bool has_ended(const void *arg, uint64_t span_id)
{
    const struct clew__dead *dead = arg;
    bool found = false;

    for (size_t i = 0; i < dead->nrings && !found; i++) {
        struct clew__walk walk;

        for (bool more = clew__walk_begin(&walk, dead, i); more && walk.record && !found;
             clew__walk_next(&walk))
            found = walk.record->what == CLEW__WHAT_SPAN && walk.record->span_id == span_id;
        clew__walk_end(&walk);
    }
    return found;
}

static void emit_open_spans(const struct clew__dead *dead, uint64_t last_ticks,
                            const struct clew__recovery *to)
{
    struct clew__span_reader reader = {&dead->clock, clew__dead_site_by_id, dead, true, to->span,
                                       to->arg};

    if (!clew__span_hooks)
        return;
    if (last_ticks < dead->clock.ticks0)
        last_ticks = dead->clock.ticks0;
    for (uint32_t i = 0; i < dead->header->nchunks && dead->clock.mult; i++)
        if (dead->header->chunk[i].kind == CLEW__CHUNK_SPANS && clew__dead_chunk_fits(dead, i, 1))
            clew__span_hooks->read_open(&reader, dead->bytes + dead->header->chunk[i].offset,
                                        dead->header->chunk[i].size, last_ticks, has_ended, dead);
    clew__span_hooks->read_all(&reader);
}

/* All rings merged by time. */
static int emit_all(const struct clew__dead *dead, const struct clew__recovery *to)
{
    struct clew__walk *walks = calloc(dead->nrings + 1, sizeof(*walks));
    uint64_t last_ticks = 0;

    if (!walks)
        return -ENOMEM;
    for (size_t i = 0; i < dead->nrings; i++)
        (void)clew__walk_begin(&walks[i], dead, i);
    for (;;) {
        size_t best = dead->nrings;

        for (size_t i = 0; i < dead->nrings; i++)
            if (walks[i].record &&
                (best == dead->nrings || walks[i].record->ticks < walks[best].record->ticks))
                best = i;
        if (best == dead->nrings)
            break;
        last_ticks = walks[best].record->ticks;
        emit(dead, &walks[best], dead->rings[best].found[walks[best].number], to);
        clew__walk_next(&walks[best]);
    }
    for (size_t i = 0; i < dead->nrings; i++)
        clew__walk_end(&walks[i]);
    free(walks);
    emit_open_spans(dead, last_ticks, to);
    return 0;
}

int clew__recover_file(int fd, const struct clew__recovery *recovery)
{
    struct clew__dead *dead;
    struct stat st;
    void *bytes;
    int err = 0;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -EBUSY;
    if (fstat(fd, &st) < 0 || st.st_size < (off_t)CLEW__FILE_HEADER_BYTES ||
        (uint64_t)st.st_size > FILE_BYTES_MAX)
        return 0;
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return -ENOMEM;
    dead = clew__dead_read(bytes, (uint64_t)st.st_size);
    if (dead) {
        clew__dead_match(dead);
        err = emit_all(dead, recovery);
        clew__dead_free(dead);
    }
    munmap(bytes, (size_t)st.st_size);
    return err;
}

/* ---- into our own outputs --------------------------------------------------------------- */

static void take_line(void *arg, const struct clew__dead *dead, struct clew__line *line,
                      unsigned found)
{
    struct clew__batch *batch = arg;
    unsigned all = (1u << clew__targets_count()) - 1;

    (void)dead;
    clew__batch_add(batch, line, found);
    if (all == 0 || (found & all) != all)
        CLEW__COUNT_ONE(recovered);
    if (clew__batch_is_full(batch)) {
        clew__batch_end(batch);
        clew__batch_begin(batch);
    }
}

static void take_span(void *arg, const struct clew_span_record *span)
{
    clew__deliver_span(arg, span);
    CLEW__COUNT_ONE(recovered);
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

static void recover_path(const char *path, const struct clew__recovery *to)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return;
    clew__batch_begin(to->arg);
    if (clew__recover_file(fd, to) == 0) {
        clew__batch_end(to->arg); /* out first, then gone */
        unlink(path);
    }
    close(fd);
}

/* A process that was killed while it opened its file: nothing is in it. A young
 * one may still be at it. */
static void remove_unborn(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > UNBORN_S)
        unlink(path);
}

static bool is_unborn(const char *name)
{
    return strncmp(name, ".new-", 5) == 0;
}

/* Mostly there is nothing. That is found out without the heap: the thread's first use of it
 * takes as long as the rest of its start. */
static bool is_needed(const char *directory, const char *service)
{
    _Alignas(struct dirent64) char entries[2048];
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool needed = false;
    ssize_t n;

    while (fd >= 0 && !needed && (n = getdents64(fd, entries, sizeof(entries))) > 0)
        for (ssize_t at = 0; at < n && !needed;) {
            const struct dirent64 *entry = (const void *)(entries + at);

            needed = is_candidate(entry->d_name, service) || is_unborn(entry->d_name);
            at += entry->d_reclen;
        }
    if (fd >= 0)
        close(fd);
    return needed;
}

void clew__recover(const char *directory, const char *service)
{
    struct clew__recovery to = {take_line, take_span, clew__batch_of_collector()};
    struct dirent **list;
    char safe[128];
    int n;

    clew__file_safe_name(safe, sizeof(safe), service);
    n = to.arg && is_needed(directory, safe) ? scandir(directory, &list, NULL, by_time) : -1;
    atomic_store(&recovering, true);
    for (int i = 0; i < n; i++) {
        char path[1024];

        bool fits =
            snprintf(path, sizeof(path), "%s/%s", directory, list[i]->d_name) < (int)sizeof(path);

        if (fits && is_candidate(list[i]->d_name, safe))
            recover_path(path, &to);
        else if (fits && is_unborn(list[i]->d_name))
            remove_unborn(path);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    atomic_store(&recovering, false);
}
