/* SPDX-License-Identifier: Apache-2.0
 * What a mail says: title, summary, what changed, labels, links. Both forms come
 * from the same lines, so they cannot differ. Pure functions. */
#include "email_body.h"

#include "text.h"

#include <common/instant.h>

#define TITLE_MAX 250u /* characters */
#define SAID_MAX 6000u
#define ITEM_MAX 500u
#define FACTS_MAX 40u

/* One of them while it is written; what is said is the same in both. */
struct writer {
    struct clew__buf *out;
    struct clew__buf piece; /* being cut */
    bool html;
};

void clew__escape_html(struct clew__buf *buf, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '&')
            clew__buf_adds(buf, "&amp;");
        else if (value[i] == '<')
            clew__buf_adds(buf, "&lt;");
        else if (value[i] == '>')
            clew__buf_adds(buf, "&gt;");
        else if (value[i] == '"')
            clew__buf_adds(buf, "&quot;");
        else if (value[i] == '\'')
            clew__buf_adds(buf, "&#39;");
        else
            clew__buf_addc(buf, value[i]);
    }
}

/* A value within a line of text: it cannot begin one of its own. */
static void escape_line(struct clew__buf *buf, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        clew__buf_addc(buf, (unsigned char)value[i] < ' ' ? ' ' : value[i]);
}

static clew__escape *line_escape(const struct writer *writer)
{
    return writer->html ? clew__escape_html : escape_line;
}

/* The piece between what stands before and after it in text or in HTML. */
static void put(struct writer *writer, size_t max, const char *html_before, const char *html_after,
                const char *before, const char *after)
{
    clew__text_cut(&writer->piece, max);
    if (writer->piece.len) {
        clew__buf_adds(writer->out, writer->html ? html_before : before);
        clew__buf_add(writer->out, writer->piece.data, writer->piece.len);
        clew__buf_adds(writer->out, writer->html ? html_after : after);
    }
    clew__buf_reset(&writer->piece);
}

static void put_title(struct writer *writer, const struct clew__page *page)
{
    static const char *const begin[] = {[CLEW__TONE_GOOD] = "<h2 style=\"color:#1a7f37\">",
                                        [CLEW__TONE_INFO] = "<h2 style=\"color:#0969da\">",
                                        [CLEW__TONE_WARNING] = "<h2 style=\"color:#9a6700\">",
                                        [CLEW__TONE_DANGER] = "<h2 style=\"color:#cf222e\">"};

    clew__text_title(&writer->piece, page, line_escape(writer));
    put(writer, TITLE_MAX, begin[clew__page_tone(page)], "</h2>\n", "", "\n");
}

static void put_list(struct writer *writer, const struct clew__page *page, bool firing,
                     uint64_t total)
{
    uint64_t listed = 0;
    char time[CLEW__INSTANT_TEXT];

    if (total == 0)
        return;
    clew__buf_addf(&writer->piece, "%s (%llu)", firing ? "Firing" : "Resolved",
                   (unsigned long long)total);
    put(writer, 64, "<h3>", "</h3>\n<ul>\n", "\n", "\n");
    for (size_t i = 0; i < page->nalerts; i++) {
        const struct clew__page_alert *alert = &page->alerts[i];

        if (alert->firing != firing)
            continue;
        clew__text_alert(&writer->piece, page, alert, line_escape(writer));
        put(writer, ITEM_MAX, "<li>", "", "* ", "");
        clew__buf_addf(&writer->piece, "since %s", clew__instant_format(alert->starts_at, time));
        if (!firing && alert->ends_at)
            clew__buf_addf(&writer->piece, " until %s", clew__instant_format(alert->ends_at, time));
        put(writer, 128, " <small>(", ")</small></li>\n", " (", ")\n");
        listed++;
    }
    if (listed < total)
        clew__buf_addf(&writer->piece, "and %llu more", (unsigned long long)(total - listed));
    put(writer, 64, "<li>", "</li>\n", "* ", "\n");
    clew__buf_adds(writer->out, writer->html ? "</ul>\n" : "");
}

/* The labels: of the only alert, or those that all share. */
static void put_facts(struct writer *writer, const struct clew__page *page)
{
    json_t *labels = page->nalerts == 1 ? page->alerts[0].labels : page->common_labels;
    unsigned n = 0;
    const char *name;
    json_t *value;

    clew__buf_adds(writer->out, writer->html ? "<table>\n" : "\n");
    json_object_foreach(labels, name, value)
    {
        if (n++ == FACTS_MAX)
            break;
        clew__text_value(&writer->piece, name, line_escape(writer));
        put(writer, 128, "<tr><th align=\"left\">", "</th>", "", ": ");
        clew__text_value(&writer->piece, json_string_value(value), line_escape(writer));
        put(writer, ITEM_MAX, "<td>", "</td>", "", "");
        clew__buf_adds(writer->out, writer->html ? "</tr>\n" : "\n");
    }
    clew__buf_adds(writer->out, writer->html ? "</table>\n" : "");
}

static void put_links(struct writer *writer, const struct clew__config *config,
                      const struct clew__page *page)
{
    struct clew__page_link links[CLEW__LINKS_MAX];
    size_t n = clew__links_collect(config, page, links);

    clew__buf_adds(writer->out, writer->html ? "<p>\n" : "\n");
    for (size_t i = 0; i < n; i++) {
        clew__text_value(&writer->piece, links[i].text, line_escape(writer));
        if (!writer->html)
            put(writer, 75, "", "", "", ": ");
        clew__buf_adds(writer->out, writer->html ? "<a href=\"" : "");
        clew__text_value(writer->out, links[i].url, line_escape(writer));
        put(writer, 75, "\">", "</a><br>\n", "", "");
        clew__buf_adds(writer->out, writer->html ? "" : "\n");
    }
    clew__buf_adds(writer->out, writer->html ? "</p>\n" : "");
    clew__links_done(links, n);
}

void clew__email_body(struct clew__buf *out, bool html, const struct clew__config *config,
                      const struct clew__page *page)
{
    struct writer writer = {.out = out, .html = html};

    clew__buf_init(&writer.piece, CLEW__TEMPLATE_RESULT_MAX);
    clew__buf_adds(out,
                   html ? "<!DOCTYPE html>\n<html><body style=\"font-family:sans-serif\">\n" : "");
    put_title(&writer, page);
    clew__text_said(&writer.piece, page, writer.html ? clew__escape_html : NULL);
    put(&writer, SAID_MAX, "<p style=\"white-space:pre-line\">", "</p>\n", "\n", "\n");
    clew__text_value(&writer.piece, page->note, line_escape(&writer));
    put(&writer, ITEM_MAX, "<p><em>", "</em></p>\n", "\n", "\n");
    put_list(&writer, page, true, page->nfired);
    put_list(&writer, page, false, page->nresolved);
    if (page->ntruncated)
        clew__buf_addf(&writer.piece, "Alertmanager left out %llu more alerts",
                       (unsigned long long)page->ntruncated);
    put(&writer, 128, "<p><em>", "</em></p>\n", "\n", "\n");
    put_facts(&writer, page);
    put_links(&writer, config, page);
    clew__buf_done(&writer.piece);
    clew__buf_adds(out, writer.html ? "</body></html>\n" : "");
}
