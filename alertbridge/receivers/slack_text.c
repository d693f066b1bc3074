/* SPDX-License-Identifier: Apache-2.0
 * Text in Slack's markup. Everything from outside is escaped; lengths are counted
 * in characters. No state; MT-Safe. */
#include "slack.h"

#define ALERT_TEXT_MAX 300 /* characters of one alert's line */

void clew__slack_escape(struct clew__buf *buf, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '&')
            clew__buf_adds(buf, "&amp;");
        else if (value[i] == '<')
            clew__buf_adds(buf, "&lt;");
        else if (value[i] == '>')
            clew__buf_adds(buf, "&gt;");
        else
            clew__buf_addc(buf, value[i]);
    }
}

void clew__slack_title(struct clew__buf *text, const struct clew__slack *slack,
                       const struct clew__page *page)
{
    size_t before = text->len;

    if (slack->title)
        clew__template_render(slack->title, page, clew__slack_escape, text);
    if (text->len == before)
        clew__text_title(text, page, clew__slack_escape);
}

void clew__slack_said(struct clew__buf *text, const struct clew__slack *slack,
                      const struct clew__page *page, size_t max)
{
    struct clew__buf said;

    clew__buf_init(&said, CLEW__TEMPLATE_RESULT_MAX);
    if (slack->text)
        clew__template_render(slack->text, page, clew__slack_escape, &said);
    else
        clew__text_said(&said, page, clew__slack_escape);
    clew__text_cut(&said, max);
    clew__buf_add(text, said.data ? said.data : "", said.len);
    if (said.failed)
        text->failed = true;
    clew__buf_done(&said);
}

static void add_alert(struct clew__buf *text, const struct clew__page *page,
                      const struct clew__page_alert *alert)
{
    struct clew__buf line;

    clew__buf_init(&line, 1u << 20);
    clew__text_alert(&line, page, alert, clew__slack_escape);
    clew__text_cut(&line, ALERT_TEXT_MAX);
    clew__buf_adds(text, "\n\xE2\x80\xA2 ");
    clew__buf_add(text, line.data ? line.data : "", line.len);
    clew__buf_done(&line);
}

void clew__slack_list(struct clew__buf *text, const struct clew__page *page, bool firing,
                      uint64_t total, unsigned lines)
{
    uint64_t listed = 0;

    if (total == 0)
        return;
    clew__buf_addf(text, "%s*%s (%llu)*", text->len ? "\n" : "", firing ? "Firing" : "Resolved",
                   (unsigned long long)total);
    for (size_t i = 0; i < page->nalerts && listed < lines; i++) {
        if (page->alerts[i].firing != firing)
            continue;
        add_alert(text, page, &page->alerts[i]);
        listed++;
    }
    if (listed < total)
        clew__buf_addf(text, "\n\xE2\x80\xA2 and %llu more", (unsigned long long)(total - listed));
}

void clew__slack_left_out(struct clew__buf *text, const struct clew__page *page)
{
    if (page->ntruncated)
        clew__buf_addf(text, "%s_Alertmanager left out %llu more alerts_", text->len ? "\n" : "",
                       (unsigned long long)page->ntruncated);
}

const char *clew__slack_colour(const struct clew__page *page)
{
    static const char *const colours[] = {[CLEW__TONE_GOOD] = "good",
                                          [CLEW__TONE_INFO] = "#439FE0",
                                          [CLEW__TONE_WARNING] = "warning",
                                          [CLEW__TONE_DANGER] = "danger"};

    return colours[clew__page_tone(page)];
}
