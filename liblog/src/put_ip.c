/* SPDX-License-Identifier: Apache-2.0
 * Addresses as text, IPv6 as RFC 5952 wants it. The C library's inet_ntop() goes
 * through sprintf(); a server's spans have two addresses each. Stateless. */
#include "format_priv.h"

#include <json.h>

static char *put_ipv4(char *p, const uint8_t *b)
{
    for (unsigned i = 0; i < 4; i++) {
        p = clew__put_uint(p, b[i]);
        *p++ = '.';
    }
    return p - 1;
}

static char *put_group(char *p, unsigned group)
{
    static const char digits[] = "0123456789abcdef";

    for (int shift = 12; shift >= 0; shift -= 4)
        if (shift == 0 || group >> shift)
            *p++ = digits[group >> shift & 15];
    return p;
}

/* The longest run of two zero groups at least, the first of those as long. */
static unsigned longest_zeros(const unsigned group[8], unsigned *ret_len)
{
    unsigned best = 8, run = 0;

    *ret_len = 1;
    for (unsigned i = 0; i < 8; i++) {
        run = group[i] ? 0 : run + 1;
        if (run > *ret_len) {
            *ret_len = run;
            best = i + 1 - run;
        }
    }
    return best;
}

static char *put_ipv6(char *p, const uint8_t *b)
{
    unsigned group[8], from, len;

    for (unsigned i = 0; i < 8; i++)
        group[i] = (unsigned)b[2 * i] << 8 | b[2 * i + 1];
    from = longest_zeros(group, &len);
    if (from == 0 && (len == 6 || (len == 5 && group[5] == 0xFFFF))) { /* an IPv4 address in it */
        memcpy(p, "::ffff:", 7);
        return put_ipv4(p + (len == 6 ? 2 : 7), b + 12);
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == from) {
            *p++ = ':';
            i += len - 1;
            if (i == 7)
                *p++ = ':';
            continue;
        }
        if (i > 0)
            *p++ = ':';
        p = put_group(p, group[i]);
    }
    return p;
}

char *clew__put_ip(char *p, const char *bytes, size_t len)
{
    return len == 4 ? put_ipv4(p, (const uint8_t *)bytes) : put_ipv6(p, (const uint8_t *)bytes);
}
