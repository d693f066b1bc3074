/* SPDX-License-Identifier: Apache-2.0
 *
 * A page: the families one after the other into a buffer, and from there, if the
 * page is compressed, piece by piece into gzip.
 */
#include "render.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define PAGE_MAX_BYTES ((size_t)1 << 30)
#define PIECE_BYTES (256u << 10) /* goes to the compressor */
#define GZIP_LEVEL 1             /* a page shrinks to a tenth with it, fast */

/* ---- constant labels ---------------------------------------------------------------------- */

bool clew__page_has_label(const struct clew_metric *metric, const char *label)
{
    for (size_t i = 0; i < metric->nlabels; i++)
        if (strcmp(metric->labels[i], label) == 0)
            return true;
    return strcmp(label, "le") == 0;
}

/* The service's name is known from the start of the log on; until then, and in
 * another process' environment, texts are made anew when it changes. Under the
 * scrape's lock. */
static void set_labels(struct clew__page *page)
{
    static char service[CLEW__LABEL_CLEAN_MAX + 1], release[CLEW__LABEL_CLEAN_MAX + 1];
    static uint32_t version = 1;
    const struct clew__metrics_config *config = clew__metrics_config();
    const struct {
        const char *name, *text;
        char *kept;
    } own[] = {{"service", clew_service_name(), service},
               {"version", clew_service_version(), release}};

    for (size_t i = 0; i < 2; i++) {
        char room[CLEW__LABEL_CLEAN_MAX];
        struct clew_label text = {own[i].text ? own[i].text : "", 0}, clean;

        text.len = strlen(text.value);
        (void)clew__label_clean(&text, room, &clean);
        if (strlen(own[i].kept) == clean.len && memcmp(own[i].kept, clean.value, clean.len) == 0)
            continue;
        memcpy(own[i].kept, clean.value, clean.len);
        own[i].kept[clean.len] = '\0';
        version++;
    }
    page->nlabels = config->nlabels;
    page->version = version;
    for (size_t i = 0; i < config->nlabels; i++) {
        page->label[i] = config->label[i];
        page->value[i] = config->value[i]                           ? config->value[i]
                         : strcmp(config->label[i], "service") == 0 ? service
                                                                    : release;
    }
}

/* ---- compressing --------------------------------------------------------------------------- */

/* Compresses what is in out; to the end if it is the last. */
static void compress_piece(struct clew__page *page, bool is_last)
{
    z_stream *z = &page->z;
    int result = Z_OK;

    z->next_in = (Bytef *)page->out.data;
    z->avail_in = (uInt)page->out.len;
    while (!page->out.failed && result == Z_OK && (z->avail_in || is_last)) {
        char *room = clew__buf_room(&page->compressed, 64u << 10);

        if (!room)
            break;
        z->next_out = (Bytef *)room;
        z->avail_out = (uInt)(page->compressed.cap - page->compressed.len);
        result = deflate(z, is_last ? Z_FINISH : Z_NO_FLUSH);
        page->compressed.len = (size_t)((char *)z->next_out - page->compressed.data);
    }
    if (page->compressed.failed || (result != Z_OK && result != Z_STREAM_END))
        page->out.failed = true;
    page->out.len = 0;
}

void clew__page_pass_on(struct clew__page *page)
{
    if (page->format->gzip && page->out.len >= PIECE_BYTES)
        compress_piece(page, false);
}

/* ---- the calls ------------------------------------------------------------------------------ */

static bool make_page(struct clew__page *page)
{
    if (!clew__scrape_begin(&page->scrape))
        return false;
    set_labels(page);
    for (struct clew_metric *m = clew__metrics_first(); m; m = clew__metrics_next(m)) {
        if (page->format->exposition == CLEW_EXPOSITION_PROTOBUF)
            clew__render_protobuf_metric(page, m);
        else
            clew__render_text_metric(page, m);
    }
    clew__scrape_end(&page->scrape);
    if (page->format->exposition == CLEW_EXPOSITION_OPENMETRICS)
        clew__buf_adds(&page->out, "# EOF\n");
    return true;
}

static char *render_plain(struct clew__page *page, size_t *ret_len)
{
    static _Atomic size_t last_len;
    char *text;

    (void)clew__buf_room(&page->out, atomic_load(&last_len) + 4096); /* one growth, as a rule */
    if (!make_page(page)) {
        clew__buf_done(&page->out);
        return NULL;
    }
    text = clew__buf_take(&page->out, ret_len);
    if (text)
        atomic_store(&last_len, *ret_len);
    return text;
}

static char *render_gzip(struct clew__page *page, size_t *ret_len)
{
    char *text = NULL;

    if (deflateInit2(&page->z, GZIP_LEVEL, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    clew__buf_init(&page->compressed, PAGE_MAX_BYTES);
    if (make_page(page))
        compress_piece(page, true);
    else
        page->out.failed = true;
    (void)deflateEnd(&page->z);
    if (!page->out.failed)
        text = clew__buf_take(&page->compressed, ret_len);
    clew__buf_done(&page->compressed);
    clew__buf_done(&page->out);
    return text;
}

int clew_page_render(const struct clew_page_format *format, char **ret_page, size_t *ret_len)
{
    struct clew__page page = {.format = format};
    size_t len = 0;
    char *text;

    clew__buf_init(&page.out, PAGE_MAX_BYTES);
    text = format->gzip ? render_gzip(&page, &len) : render_plain(&page, &len);
    if (!text)
        return -ENOMEM;
    *ret_page = text;
    *ret_len = len;
    return 0;
}

int clew_metrics_render(bool openmetrics, char **ret_text, size_t *ret_len)
{
    struct clew_page_format format = {
        openmetrics ? CLEW_EXPOSITION_OPENMETRICS : CLEW_EXPOSITION_TEXT, false, NULL};

    return clew_page_render(&format, ret_text, ret_len);
}
