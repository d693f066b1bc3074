/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a request: pieces one after the other, some of bytes made for it,
 * some borrowed from the batch, so that records are not copied before they are
 * sent. MT-Unsafe.
 */
#ifndef CLEW_BODY_H
#define CLEW_BODY_H

#include <buf.h>

#include <sys/uio.h>

struct clew__piece {
    const char *borrowed; /* NULL: at `at` of own */
    size_t at, len;
};

struct clew__body {
    struct clew__buf own;
    struct clew__piece *pieces;
    size_t n, room;
    size_t len; /* all of them */
    /* where reading goes on */
    size_t next, offset;
    size_t done; /* bytes before that */
};

void clew__body_init(struct clew__body *body, size_t max_bytes);
void clew__body_done(struct clew__body *body);
/* Empties it; the memory stays. */
void clew__body_reset(struct clew__body *body);
/* What was appended to own since the last piece becomes one, and borrowed bytes
 * follow. Failure shows in own.failed. */
void clew__body_add(struct clew__body *body, const void *borrowed, size_t len);
/* The last piece of own; false when anything failed. */
bool clew__body_finish(struct clew__body *body);

/* Copies up to size bytes from where reading stopped; how many. */
size_t clew__body_read(struct clew__body *body, char *to, size_t size);
/* Without copying: how many bytes the next pieces have, within so many bytes and
 * pieces; and points at that many, how many pieces. */
size_t clew__body_reach(const struct clew__body *body, size_t max_bytes, size_t max_pieces);
size_t clew__body_point(struct clew__body *body, struct iovec *to, size_t len);
void clew__body_rewind(struct clew__body *body);

#endif
