/* SPDX-License-Identifier: Apache-2.0
 *
 * A template as the configuration has it, over alerts that are as hostile: it is
 * refused with a reason, or it renders, in any escaping, to something of a known
 * size; what is escaped for HTML opens no tag that the template does not have.
 */
#include <receivers/template.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void no_tags(struct clew__buf *buf, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (value[i] != '<')
            clew__buf_addc(buf, value[i]);
}

static size_t count(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += text[i] == '<';
    return n;
}

static void render(const struct clew__template *template, const struct clew__page *page,
                   size_t ntags)
{
    struct clew__buf plain, escaped;

    clew__buf_init(&plain, CLEW__TEMPLATE_RESULT_MAX);
    clew__buf_init(&escaped, CLEW__TEMPLATE_RESULT_MAX);
    clew__template_render(template, page, NULL, &plain);
    clew__template_render(template, page, no_tags, &escaped);
    must(!plain.failed && !escaped.failed, "a result is larger than any may be");
    /* While one fires, .EndsAt is now, which may be a digit longer the second time. */
    must(page->alerts->firing || escaped.len <= plain.len, "escaping made it longer");
    must(count(escaped.data ? escaped.data : "", escaped.len) <= ntags, "a value opened a tag");
    (void)clew__template_complete(template, page);
    clew__buf_done(&plain);
    clew__buf_done(&escaped);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct clew__template *template = NULL;
    struct clew__page_alert alert = {.firing = size % 2, /* else it ended */
                                     .starts_at = 1795208357632000000,
                                     .ends_at = 1795208400000000000,
                                     .fingerprint = "f",
                                     .generator_url = ""};
    struct clew__page page = {.note = "<note>",
                              .receiver = "r",
                              .external_url = "",
                              .dedup_key = "",
                              .group_key = "",
                              .alerts = &alert,
                              .nalerts = 1};
    char *text = malloc(size + 1);
    int r;

    must(text != NULL, "malloc");
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    r = clew__template_parse(text, &template);
    must(r == 0 || (r == -EINVAL && *clew_last_error()), "refused without a reason");
    if (r == 0) {
        page.group_labels = json_pack("{s:s}", "a", "<b>&\"}}");
        page.common_labels = json_object();
        page.common_annotations = json_object();
        alert.labels = json_pack("{s:s, s:s}", "a", "{{ .Status }}<", "severity", "critical");
        alert.annotations = json_pack("{s:s}", "a", "\xC3\xBC<\x01");
        render(template, &page, count(text, size));
        json_decref(page.group_labels);
        json_decref(page.common_labels);
        json_decref(page.common_annotations);
        json_decref(alert.labels);
        json_decref(alert.annotations);
    }
    (void)clew__template_free(template);
    free(text);
    return 0;
}
