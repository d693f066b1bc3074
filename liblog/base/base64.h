/* SPDX-License-Identifier: Apache-2.0
 * Base64 (RFC 4648, section 4). Stateless. */
#ifndef CLEW_BASE_BASE64_H
#define CLEW_BASE_BASE64_H

#include <stddef.h>

#define CLEW__BASE64_MAX(len) (((len) + 2) / 3 * 4)

/* Writes the text of len bytes, padded, no NUL; returns its end. */
char *clew__put_base64(char *p, const void *bytes, size_t len);
/* Bytes of a text, padded or not; ret has room for len / 4 * 3 + 3. returns
 * their number, -1 when a character is none of base64. */
long clew__unbase64(void *ret, const char *text, size_t len);

#endif
