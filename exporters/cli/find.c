/* SPDX-License-Identifier: Apache-2.0
 *
 * Two bytes of the needle, the two that are rarest in log lines, are compared
 * at 16 places at a time; only where both are right is the rest looked at. The
 * escapes are found in the same pass, as memory is read once then.
 */
#include "find.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* How common a byte is in JSON log lines, roughly. */
static int commonness(char c)
{
    if (c == '"' || c == ' ' || c == ':' || c == ',')
        return 9;
    if (c >= '0' && c <= '9')
        return 6;
    if (c >= 'a' && c <= 'z')
        return strchr("etaoinsr", c) ? 8 : strchr("jkqxzwv", c) ? 2 : 5;
    return c == '_' || c == '-' || c == '.' ? 5 : 1;
}

void cli_find_init(struct cli_find *find, const char *needle, size_t len, enum cli_hide hide)
{
    *find = (struct cli_find){.needle = needle, .len = len, .hide = hide};
    for (size_t i = 1; i < len; i++)
        if (commonness(needle[i]) < commonness(needle[find->probe[0]]))
            find->probe[0] = i;
    find->probe[1] = find->probe[0] == 0 ? len - 1 : 0;
    for (size_t i = 0; i < len; i++)
        if (i != find->probe[0] && commonness(needle[i]) < commonness(needle[find->probe[1]]))
            find->probe[1] = i;
}

static bool hit(const struct cli_find *f, const char *p, const char *end)
{
    if (f->hide != CLI_HIDE_NOT && *p == '\\' &&
        (f->hide == CLI_HIDE_ANY || (end - p > 1 && p[1] == 'u')))
        return true;
    return (size_t)(end - p) >= f->len && memcmp(p, f->needle, f->len) == 0;
}

const char *cli_find_next(const struct cli_find *f, const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i first = _mm_set1_epi8(f->needle[f->probe[0]]),
                  second = _mm_set1_epi8(f->needle[f->probe[1]]), u = _mm_set1_epi8('u'),
                  slash = _mm_set1_epi8(f->hide == CLI_HIDE_NOT ? f->needle[0] : '\\'),
                  any = _mm_set1_epi8(f->hide == CLI_HIDE_ANY ? -1 : 0),
                  none = _mm_set1_epi8(f->hide == CLI_HIDE_NOT ? 0 : -1);

    /* Every load stays within the text: the needle is read up to its length. */
    for (; (size_t)(end - p) > f->len + 16; p += 16) {
#define LOAD(at) _mm_loadu_si128((const __m128i *)(const void *)(at))
        __m128i word = _mm_and_si128(_mm_cmpeq_epi8(LOAD(p + f->probe[0]), first),
                                     _mm_cmpeq_epi8(LOAD(p + f->probe[1]), second));
        __m128i escape = _mm_and_si128(_mm_cmpeq_epi8(LOAD(p), slash),
                                       _mm_or_si128(_mm_cmpeq_epi8(LOAD(p + 1), u), any));
        unsigned mask =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(word, _mm_and_si128(escape, none)));
#undef LOAD

        for (; mask; mask &= mask - 1)
            if (hit(f, p + __builtin_ctz(mask), end))
                return p + __builtin_ctz(mask);
    }
#endif
    for (; p < end; p++)
        if (hit(f, p, end))
            return p;
    return NULL;
}
