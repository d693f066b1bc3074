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

size_t clew__body_read(struct clew__body *body, char *to, size_t size)
{
    size_t done = 0;

    while (done < size && body->next < body->n) {
        const struct clew__piece *piece = &body->pieces[body->next];
        const char *from = piece->borrowed ? piece->borrowed : body->own.data + piece->at;
        size_t n = piece->len - body->offset;

        if (n > size - done)
            n = size - done;
        memcpy(to + done, from + body->offset, n);
        done += n;
        body->offset += n;
        if (body->offset == piece->len) {
            body->next++;
            body->offset = 0;
        }
    }
    return done;
}

void clew__body_rewind(struct clew__body *body)
{
    body->next = body->offset = 0;
}
