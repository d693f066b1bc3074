/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: a value that must not be seen becomes a token, the same for the same
 * value as long as the key is the same: "tok_" and 96 bits of SipHash-2-4-128
 * (Aumasson, Bernstein: "SipHash: a fast short-input PRF") in hex. The key is
 * CLEW_SECRET_KEY, else random for each process.
 */
#ifndef CLEW_SECRET_PRIV_H
#define CLEW_SECRET_PRIV_H

#include <clew/site.h>

#define CLEW__TOKEN_LEN 28u
#define CLEW__TOKEN_BYTES (CLEW__TOKEN_LEN + 1)

/* Reads CLEW_SECRET_KEY and CLEW_SECRET_FIELDS; 0 or -EINVAL. */
int clew__secret_config(void);
/* Replaces the value by its token (which ret points to then) and returns its
 * type; null and bool stay what they are. */
unsigned clew__tokenise(unsigned type, struct clew_value *value, char token[CLEW__TOKEN_BYTES]);
/* Where resolved values of one call lie. */
struct clew__resolved {
    char tokens[24][CLEW__TOKEN_BYTES];
    char text[4096]; /* of lazy values */
};
/* Secrets become tokens, lazy values text; types gets the types as stored, one
 * for each field of the site. */
void clew__values_resolve(const struct clew_site *site, struct clew_value *values, uint8_t *types,
                          struct clew__resolved *room);
/* SipHash-2-4 with 128 bits of output. */
void clew__siphash(const uint8_t key[16], const void *data, size_t len, uint8_t ret[16]);

#endif
