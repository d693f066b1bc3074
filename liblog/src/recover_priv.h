/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the ring file of a dead process, which may be cut off or damaged
 * anywhere: every offset, length and number in it is checked before use, and
 * what cannot be read is left out.
 */
#ifndef CLEW_RECOVER_PRIV_H
#define CLEW_RECOVER_PRIV_H

#include "core_priv.h"

struct clew__dead;

/* A way through the records of one ring, from the tail on. */
struct clew__walk {
    const struct clew__dead *dead;
    const char *data; /* laid out twice in a row, as it was */
    uint64_t size, read, head;
    struct clew__clock clock;
    struct clew__position position[CLEW__TARGETS_MAX];
    struct clew__line_context *context;
    const struct clew__record *record; /* at read; NULL: there is none */
    uint32_t number;                   /* of the record, from the tail on */
};

struct clew__dead_ring {
    char *data;
    uint64_t size, read, head;
    const struct clew__checkpoint *point;
    uint8_t *found; /* per record: bit t is set when target t has its line */
};

struct clew__dead {
    const char *bytes;
    uint64_t size;
    const struct clew__file_header *header;
    struct clew__dead_site {
        struct clew_site site;
        struct clew__site_text *text;
        const char *keys[25];
    } * sites[CLEW__SITES_MAX + 1];
    struct clew__logger_text *loggers[65536];
    struct clew__dead_ring *rings;
    size_t nrings;
    struct clew__clock clock; /* the newest; mult 0: there is none */
};

/* bytes: the whole file, mapped or in memory, until clew__dead_free(). NULL when
 * it is no ring file or there is no memory. */
struct clew__dead *clew__dead_read(const char *bytes, uint64_t size);
void clew__dead_free(struct clew__dead *dead);

bool clew__walk_begin(struct clew__walk *walk, const struct clew__dead *dead, size_t ring);
void clew__walk_end(struct clew__walk *walk);
/* Goes on to the next record; contexts are taken in on the way. */
void clew__walk_next(struct clew__walk *walk);
/* The record as a line; false when it is none. */
bool clew__walk_line(const struct clew__walk *walk, struct clew__line *ret);

/* Whether chunk i lies within the file and has that many bytes at least. */
bool clew__dead_chunk_fits(const struct clew__dead *dead, uint32_t i, uint64_t least);
/* For a span reader: sites is the struct clew__dead. */
const struct clew_site *clew__dead_site_by_id(const void *sites, uint32_t id);

/* Looks which lines the files have already, and notes it in found. A last line
 * that was cut is completed. */
void clew__dead_match(struct clew__dead *dead);

/* Who gets what was left. found: bit t is set when target t has the line. */
struct clew__recovery {
    void (*line)(void *arg, const struct clew__dead *dead, struct clew__line *line, unsigned found);
    void (*span)(void *arg, const struct clew_span_record *span);
    void *arg;
};
/* One file, oldest record first; 0 when it may go, -EBUSY when its owner lives,
 * -ENOMEM. */
int clew__recover_file(int fd, const struct clew__recovery *recovery);
/* Bits of the targets whose files can be looked at. */
unsigned clew__dead_file_targets(const struct clew__dead *dead);

#endif
