/* SPDX-License-Identifier: Apache-2.0
 * See body.h. */
#include "body.h"

#include <stdlib.h>

void clew__body_init(struct clew__body *body, size_t max_bytes)
{
    *body = (struct clew__body){.n = 0};
    clew__buf_init(&body->own, max_bytes);
}

void clew__body_done(struct clew__body *body)
{
    clew__buf_done(&body->own);
    free(body->pieces);
    clew__body_init(body, body->own.max);
}

void clew__body_reset(struct clew__body *body)
{
    clew__buf_reset(&body->own);
    body->n = body->len = 0;
    clew__body_rewind(body);
}

static void add(struct clew__body *body, struct clew__piece piece)
{
    if (piece.len == 0 || body->own.failed)
        return;
    if (body->n == body->room) {
        size_t room = body->room ? 2 * body->room : 8;
        struct clew__piece *pieces = realloc(body->pieces, room * sizeof(*pieces));

        if (!pieces) {
            body->own.failed = true;
            return;
        }
        body->pieces = pieces;
        body->room = room;
    }
    if (piece.len > body->own.max - body->len) {
        body->own.failed = true;
        return;
    }
    body->pieces[body->n++] = piece;
    body->len += piece.len;
}

/* How much of own is in pieces already. */
static size_t own_used(const struct clew__body *body)
{
    for (size_t i = body->n; i > 0; i--)
        if (!body->pieces[i - 1].borrowed)
            return body->pieces[i - 1].at + body->pieces[i - 1].len;
    return 0;
}

static void add_own(struct clew__body *body)
{
    size_t used = own_used(body);

    add(body, (struct clew__piece){NULL, used, body->own.len - used});
}

void clew__body_add(struct clew__body *body, const void *borrowed, size_t len)
{
    add_own(body);
    add(body, (struct clew__piece){borrowed, 0, len});
}

bool clew__body_finish(struct clew__body *body)
{
    add_own(body);
    return !body->own.failed;
}

/* Goes on by at most n bytes, within one piece: where they are, and how many. */
static struct iovec advance(struct clew__body *body, size_t n)
{
    const struct clew__piece *piece = &body->pieces[body->next];
    const char *from = piece->borrowed ? piece->borrowed : body->own.data + piece->at;
    struct iovec run = {(char *)from + body->offset, piece->len - body->offset};

    if (run.iov_len > n)
        run.iov_len = n;
    body->offset += run.iov_len;
    body->done += run.iov_len;
    if (body->offset == piece->len) {
        body->next++;
        body->offset = 0;
    }
    return run;
}

size_t clew__body_read(struct clew__body *body, char *to, size_t size)
{
    size_t done = 0;

    while (done < size && body->next < body->n) {
        struct iovec run = advance(body, size - done);

        memcpy(to + done, run.iov_base, run.iov_len);
        done += run.iov_len;
    }
    return done;
}

size_t clew__body_reach(const struct clew__body *body, size_t max_bytes, size_t max_pieces)
{
    size_t offset = body->offset, reach = 0;

    for (size_t i = body->next; i < body->n && i - body->next < max_pieces; i++) {
        reach += body->pieces[i].len - offset;
        offset = 0;
        if (reach >= max_bytes)
            return max_bytes;
    }
    return reach;
}

size_t clew__body_point(struct clew__body *body, struct iovec *to, size_t len)
{
    size_t n = 0;

    while (len > 0 && body->next < body->n) {
        to[n] = advance(body, len);
        len -= to[n++].iov_len;
    }
    return n;
}

void clew__body_rewind(struct clew__body *body)
{
    body->next = body->offset = body->done = 0;
}
