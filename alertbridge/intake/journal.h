/* SPDX-License-Identifier: Apache-2.0
 * The file in which webhooks wait that came faster than the store takes them: a
 * record each, checksummed, in the order in which they came. One thread appends,
 * another one reads; who uses it sees to the rest. */
#ifndef CLEW_ALERTBRIDGE_JOURNAL_H
#define CLEW_ALERTBRIDGE_JOURNAL_H

#include <buf.h>

#include <stdbool.h>
#include <stdint.h>

struct clew__journal;

/* A webhook. Texts and body are borrowed. */
struct clew__journal_record {
    uint64_t sequence;   /* 1, 2, …; never used twice */
    int64_t received_at; /* ns */
    const char *request_id, *correlation_id, *traceparent;
    const char *labels; /* of the source, JSON; "" for none */
    const char *body;
    size_t len;
};

/* What a start found. */
struct clew__journal_found {
    uint64_t waiting; /* records that the store does not have */
    uint64_t newest;  /* the newest one's sequence, or `applied` */
    bool torn;        /* something that is no whole record comes after them */
};

/* Opens or creates the file.
 *
 * args     applied: the sequence up to which the store has everything
 * owner    clew__journal_close()
 * returns  0, -errno */
int clew__journal_open(const char *path, uint64_t applied, struct clew__journal **ret_journal,
                       struct clew__journal_found *ret_found);
/* Accepts NULL, returns NULL. */
struct clew__journal *clew__journal_close(struct clew__journal *journal);

/* Adds a record to those of the next sync, and numbers it. returns 0; -ENOSPC: so
 * many wait already; -ENOMEM */
int clew__journal_append(struct clew__journal *journal, struct clew__journal_record *record);
/* Writes what was appended and waits for the disk. returns 0, *ret_last is the newest
 * sequence on it; -errno: nothing of it counts */
int clew__journal_sync(struct clew__journal *journal, uint64_t *ret_last);

/* The next record that was synced. One that can't be read any more is passed over, as
 * its sequence tells.
 * args     room: holds the record, reset at each call
 * returns  1, 0 there is none, -ENOMEM */
int clew__journal_read(struct clew__journal *journal, struct clew__buf *room,
                       struct clew__journal_record *ret_record);
/* Goes back to the last `clew__journal_mark()`: what was read since is read again. */
void clew__journal_again(struct clew__journal *journal);
void clew__journal_mark(struct clew__journal *journal);
/* From the start of the file again, since the store has everything. Nobody appends
 * or reads meanwhile. */
void clew__journal_rewind(struct clew__journal *journal);

#endif
