/* SPDX-License-Identifier: Apache-2.0
 * Rendering: the pieces in order, forward only. It cannot fail except by the
 * buffer's cap. A template is immutable, so any thread may render it. */
#include "template_priv.h"

#include <common/instant.h>

#include <json.h>

#include <stdio.h>
#include <string.h>

#define VALUE_MAX 4096u /* bytes of one value; longer ones are cut, no page is lost for it */

static void add_time(struct clew__buf *buf, const struct clew__value *value, int64_t time)
{
    char text[CLEW__INSTANT_TEXT];

    time += value->offset_ns;
    if (value->form == CLEW__TIME_TEXT)
        clew__buf_adds(buf, clew__instant_format(time, text));
    else
        clew__json_int(buf, time / (value->form == CLEW__TIME_UNIX ? CLEW__SECOND_NS
                                                                   : CLEW__SECOND_NS / 1000));
}

static const char *text_of(const struct clew__value *value, const struct clew__page *page)
{
    switch (value->field) {
    case CLEW__FIELD_STATUS:
        return page->action == CLEW__ACTION_RESOLVE ? "resolved" : "firing";
    case CLEW__FIELD_RECEIVER:
        return page->receiver;
    case CLEW__FIELD_EXTERNAL_URL:
        return page->external_url;
    case CLEW__FIELD_NOTE:
        return page->note;
    case CLEW__FIELD_GROUP_LABELS:
        return clew__page_value(page->group_labels, value->key);
    case CLEW__FIELD_COMMON_LABELS:
        return clew__page_value(page->common_labels, value->key);
    case CLEW__FIELD_COMMON_ANNOTATIONS:
        return clew__page_value(page->common_annotations, value->key);
    case CLEW__FIELD_LABELS:
        return clew__page_shared(page, false, value->key);
    case CLEW__FIELD_ANNOTATIONS:
        return clew__page_shared(page, true, value->key);
    default:
        return "";
    }
}

static void add_field(struct clew__buf *buf, const struct clew__value *value,
                      const struct clew__page *page)
{
    const char *text;

    if (value->field == CLEW__FIELD_STARTS_AT) {
        add_time(buf, value, clew__page_starts_at(page));
    } else if (value->field == CLEW__FIELD_ENDS_AT) {
        add_time(buf, value, clew__page_ends_at(page));
    } else if (value->field == CLEW__FIELD_FIRING) {
        clew__buf_addf(buf, "%llu", (unsigned long long)page->nfiring);
    } else {
        text = text_of(value, page);
        clew__buf_add(buf, text, clew__utf8_cut(text, strlen(text), VALUE_MAX));
    }
}

/* The value with all that is done to it; into an empty buffer. */
static void evaluate(struct clew__buf *result, const struct clew__value *value,
                     const struct clew__page *page)
{
    struct clew__buf other;

    clew__buf_init(&other, result->max);
    add_field(result, value, page);
    for (unsigned i = 0; i < value->ncalls; i++) {
        struct clew__buf swap = *result;

        clew__buf_reset(&other);
        value->calls[i].function(&other, swap.data ? swap.data : "", swap.len, value->calls[i].arg);
        *result = other;
        other = swap;
    }
    result->failed = result->failed || other.failed;
    clew__buf_done(&other);
}

static void add_value(struct clew__buf *buf, const struct clew__value *value,
                      const struct clew__page *page, clew__escape *escape)
{
    struct clew__buf result;

    clew__buf_init(&result, buf->max);
    evaluate(&result, value, page);
    if (result.failed)
        buf->failed = true;
    else if (escape)
        escape(buf, result.data ? result.data : "", result.len);
    else
        clew__buf_add(buf, result.data ? result.data : "", result.len);
    clew__buf_done(&result);
}

static bool holds(const struct clew__piece *piece, const struct clew__page *page)
{
    struct clew__buf result;
    bool true_so;

    clew__buf_init(&result, CLEW__TEMPLATE_RESULT_MAX);
    evaluate(&result, &piece->value, page);
    true_so = piece->text ? result.len == strlen(piece->text) &&
                                memcmp(result.data ? result.data : "", piece->text, result.len) == 0
                          : result.len > 0;
    clew__buf_done(&result);
    return true_so != piece->negated;
}

void clew__template_render(const struct clew__template *template, const struct clew__page *page,
                           clew__escape *escape, struct clew__buf *buf)
{
    for (size_t i = 0; i < template->n; i++) {
        const struct clew__piece *piece = &template->pieces[i];

        if (piece->kind == CLEW__PIECE_TEXT)
            clew__buf_adds(buf, piece->text);
        else if (piece->kind == CLEW__PIECE_VALUE)
            add_value(buf, &piece->value, page, escape);
        else if (piece->kind == CLEW__PIECE_JUMP || !holds(piece, page))
            i = piece->to - 1;
    }
}

bool clew__template_complete(const struct clew__template *template, const struct clew__page *page)
{
    for (size_t i = 0; i < template->n; i++) {
        const struct clew__piece *piece = &template->pieces[i];
        struct clew__buf result;
        bool empty;

        if (piece->kind == CLEW__PIECE_JUMP ||
            (piece->kind == CLEW__PIECE_IF && !holds(piece, page)))
            i = piece->to - 1;
        if (piece->kind != CLEW__PIECE_VALUE)
            continue;
        clew__buf_init(&result, CLEW__TEMPLATE_RESULT_MAX);
        evaluate(&result, &piece->value, page);
        empty = result.len == 0;
        clew__buf_done(&result);
        if (empty)
            return false;
    }
    return true;
}
