/* SPDX-License-Identifier: Apache-2.0
 * memcpy() of what is mostly short, without its call. */
#ifndef CLEW_BASE_COPY_H
#define CLEW_BASE_COPY_H

#include <string.h>

static inline void clew__copy_short(char *to, const char *from, size_t n)
{
    if (n > 32) {
        memcpy(to, from, n);
    } else if (n >= 16) { /* two moves that overlap */
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = from[i];
    }
}

#endif
