/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 as a stable name for things that are long or secret. */
#ifndef CLEW_ALERTBRIDGE_DIGEST_H
#define CLEW_ALERTBRIDGE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#define CLEW__DIGEST_TEXT 65 /* 64 hex digits and NUL */

/* The digest of n strings, each with its length in front, so that no two lists
 * have the same input. Never fails. */
void clew__digest(const char *const *strings, size_t n, char ret_hex[CLEW__DIGEST_TEXT]);

/* HMAC-SHA256 of timestamp, ":" and body, or, with NULL, of the body, in hex. */
void clew__sign(const char *secret, const char *timestamp, const char *body, size_t len,
                char ret_hex[CLEW__DIGEST_TEXT]);

/* Whether two secrets are the same, in a time that tells nothing about either. */
bool clew__secret_equal(const char *a, const char *b);

#endif
