/* SPDX-License-Identifier: Apache-2.0
 * The texts of call sites and loggers, made when the first line needs them and
 * kept. Whoever comes first with a text wins; the other's is freed. */
#include "empty_priv.h"
#include "logger_priv.h"

#include <stdlib.h>

static struct clew__site_text *_Atomic site_texts[CLEW__SITES_MAX + 1];
static struct clew__logger_text *_Atomic logger_texts[65536];

const struct clew__site_text *clew__text_of_site(const struct clew_site *site, bool may_make)
{
    struct clew__site_text *text =
        atomic_load_explicit(&site_texts[site->id], memory_order_acquire);
    struct clew__site_text *none = NULL;

    if (__builtin_expect(text != NULL, 1) || !may_make)
        return text;
    text = clew__site_text_new(site, clew__config.service);
    if (text && !atomic_compare_exchange_strong(&site_texts[site->id], &none, text)) {
        free(text);
        text = none;
    }
    return text;
}

const struct clew__logger_text *clew__text_of_logger(uint32_t id, bool may_make)
{
    struct clew__logger_text *text = atomic_load_explicit(&logger_texts[id], memory_order_acquire);
    const struct clew_logger *logger = clew__logger_by_id(id);
    struct clew__logger_text *none = NULL;

    if (text || !may_make || !logger)
        return text;
    text = clew__logger_text_new(logger->name, logger->bytes, logger->fields.len);
    if (text && !atomic_compare_exchange_strong(&logger_texts[id], &none, text)) {
        clew__logger_text_free(text);
        text = none;
    }
    return text;
}
