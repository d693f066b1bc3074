/* SPDX-License-Identifier: Apache-2.0
 *
 * See h2_session.h. libnghttp2 makes the frames. Of DATA it gives only the head
 * (NGHTTP2_DATA_FLAG_NO_COPY); the runs behind it point into the body. All other
 * frames are copied to `own`. A frame is queued as a whole or not at all.
 */
#include "h2_session.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define FRAME_HEAD 9u
#define FRAME_BYTES (256u << 10) /* of DATA, if the far side takes such */
#define FRAME_PIECES 32u         /* of a body */
#define HEADERS_MAX 65536u       /* what we say we take */

/* The request ended; what is still to be said of it does not matter. */
static void finish(struct clew__h2 *h2)
{
    h2->x = NULL;
}

static bool is_current(const struct clew__h2 *h2, int32_t stream)
{
    return h2->x && stream == h2->stream;
}

/* ---- output ------------------------------------------------------------------------- */

static void add_own(struct clew__h2 *h2, const void *bytes, size_t n)
{
    char *to = h2->own + h2->own_len;
    struct iovec *last = h2->end > h2->first ? &h2->runs[h2->end - 1] : NULL;

    memcpy(to, bytes, n);
    h2->own_len += n;
    if (last && (char *)last->iov_base + last->iov_len == to)
        last->iov_len += n;
    else
        h2->runs[h2->end++] = (struct iovec){to, n};
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
                       void *arg)
{
    struct clew__h2 *h2 = arg;
    size_t room = sizeof(h2->own) - h2->own_len;

    (void)session;
    (void)flags;
    if (room == 0 || h2->end == CLEW__H2_RUNS)
        return NGHTTP2_ERR_WOULDBLOCK;
    if (len > room)
        len = room;
    add_own(h2, data, len);
    return (ssize_t)len;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *arg)
{
    struct clew__h2 *h2 = arg;

    (void)session;
    (void)source;
    if (!is_current(h2, frame->hd.stream_id))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (sizeof(h2->own) - h2->own_len < FRAME_HEAD || CLEW__H2_RUNS - h2->end < 1 + FRAME_PIECES)
        return NGHTTP2_ERR_WOULDBLOCK;
    add_own(h2, head, FRAME_HEAD);
    h2->end += clew__body_point(&h2->x->body, &h2->runs[h2->end], len);
    return 0;
}

static ssize_t on_read_body(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t len,
                            uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct clew__h2 *h2 = arg;
    size_t n;

    (void)session;
    (void)buf;
    (void)source;
    if (!is_current(h2, stream))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    n = clew__body_reach(&h2->x->body, len, FRAME_PIECES);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == h2->x->body.len - h2->x->body.done)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static ssize_t on_frame_size(nghttp2_session *session, uint8_t type, int32_t stream,
                             int32_t session_window, int32_t stream_window, uint32_t max, void *arg)
{
    int32_t n = max < FRAME_BYTES ? (int32_t)max : (int32_t)FRAME_BYTES;

    (void)session;
    (void)type;
    (void)stream;
    (void)arg;
    if (n > session_window)
        n = session_window;
    return n < stream_window ? n : stream_window;
}

struct iovec *clew__h2_output(struct clew__h2 *h2, size_t *ret_n)
{
    if (h2->first == h2->end) {
        h2->first = h2->end = h2->own_len = 0;
        if (nghttp2_session_send(h2->session) != 0)
            h2->broken = true;
    }
    *ret_n = h2->end - h2->first;
    return &h2->runs[h2->first];
}

void clew__h2_written(struct clew__h2 *h2, size_t n)
{
    while (n > 0) {
        struct iovec *run = &h2->runs[h2->first];
        size_t now = n < run->iov_len ? n : run->iov_len;

        run->iov_base = (char *)run->iov_base + now;
        run->iov_len -= now;
        n -= now;
        if (run->iov_len == 0)
            h2->first++;
    }
}

/* ---- input --------------------------------------------------------------------------- */

static void take_retry_after(struct clew__exchange *x, const char *value, size_t len)
{
    char text[64], *end;
    long long seconds;

    if (len == 0 || len >= sizeof(text))
        return;
    memcpy(text, value, len);
    text[len] = '\0';
    seconds = strtoll(text, &end, 10);
    if (*end) /* a date */
        seconds = curl_getdate(text, NULL) - time(NULL);
    clew__exchange_retry_after(x, seconds);
}

static bool is(const uint8_t *name, size_t len, const char *other)
{
    return len == strlen(other) && memcmp(name, other, len) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct clew__h2 *h2 = arg;

    (void)session;
    (void)flags;
    if (!is_current(h2, frame->hd.stream_id))
        return 0;
    if (is(name, name_len, ":status")) { /* three digits: checked by libnghttp2 */
        h2->status = 0;
        for (size_t i = 0; i < value_len; i++)
            h2->status = h2->status * 10 + (unsigned)(value[i] - '0');
        return 0;
    }
    if (is(name, name_len, "retry-after"))
        take_retry_after(h2->x, (const char *)value, value_len);
    if (clew__exchange_take_header(h2->x, (const char *)name, name_len) &&
        clew__exchange_take_header(h2->x, ": ", 2) &&
        clew__exchange_take_header(h2->x, (const char *)value, value_len) &&
        clew__exchange_take_header(h2->x, "\r\n", 2))
        return 0;
    finish(h2);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *arg)
{
    struct clew__h2 *h2 = arg;

    (void)flags;
    if (is_current(h2, stream) && !clew__exchange_take(h2->x, (const char *)data, len)) {
        finish(h2);
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
    }
    return 0;
}

/* An answer may be whole before all of the request was sent. */
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct clew__h2 *h2 = arg;
    int32_t stream = frame->hd.stream_id;

    if (frame->hd.type == NGHTTP2_GOAWAY)
        h2->going_away = true;
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || !is_current(h2, stream))
        return 0;
    h2->x->status = h2->status;
    finish(h2);
    if (nghttp2_session_get_stream_local_close(session, stream) == 0)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *arg)
{
    struct clew__h2 *h2 = arg;

    (void)session;
    if (is_current(h2, stream)) {
        h2->refused = code == NGHTTP2_REFUSED_STREAM;
        clew__exchange_fail(h2->x, "the request was reset: %s", nghttp2_http2_strerror(code));
        finish(h2);
    }
    return 0;
}

void clew__h2_read(struct clew__h2 *h2, const void *bytes, size_t n)
{
    if (nghttp2_session_mem_recv(h2->session, bytes, n) != (ssize_t)n)
        h2->broken = true;
}

/* ---- the connection ---------------------------------------------------------------------- */

bool clew__h2_is_over(const struct clew__h2 *h2)
{
    return h2->broken || !nghttp2_session_want_read(h2->session);
}

bool clew__h2_is_open(const struct clew__h2 *h2)
{
    return !clew__h2_is_over(h2) && !h2->going_away && h2->first == h2->end &&
           nghttp2_session_check_request_allowed(h2->session);
}

bool clew__h2_request(struct clew__h2 *h2, const nghttp2_nv *headers, size_t n,
                      struct clew__exchange *x)
{
    nghttp2_data_provider body = {.read_callback = on_read_body};
    int32_t stream;

    h2->refused = false;
    h2->status = 0;
    stream = nghttp2_submit_request(h2->session, NULL, headers, n, &body, NULL);
    if (stream < 0)
        return false;
    h2->stream = stream;
    h2->x = x;
    return true;
}

void clew__h2_say_goodbye(struct clew__h2 *h2)
{
    (void)nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
}

static nghttp2_session *new_session(struct clew__h2 *h2)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session = NULL;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, on_frame_size);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    (void)nghttp2_session_client_new(&session, callbacks, h2);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

struct clew__h2 *clew__h2_new(void)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX},
    };
    struct clew__h2 *h2 = malloc(sizeof(*h2));

    if (!h2)
        return NULL;
    *h2 = (struct clew__h2){.stream = -1};
    h2->session = new_session(h2);
    if (h2->session && nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
                                               sizeof(settings) / sizeof(settings[0])) == 0)
        return h2;
    return clew__h2_free(h2);
}

struct clew__h2 *clew__h2_free(struct clew__h2 *h2)
{
    if (h2)
        nghttp2_session_del(h2->session);
    free(h2);
    return NULL;
}
