/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 from Nettle, which libmicrohttpd's GnuTLS brings along anyway and which
 * cannot fail. Comparing the digests of two secrets instead of the secrets hides
 * their lengths too. No state; MT-Safe. */
#include "digest.h"

#include <json.h>

#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <string.h>

#define BYTES SHA256_DIGEST_SIZE

static void digest_bytes(const char *const *strings, size_t n, uint8_t ret_bytes[BYTES])
{
    struct sha256_ctx hash;

    sha256_init(&hash);
    for (size_t i = 0; i < n; i++) {
        uint64_t len = strlen(strings[i]);
        uint8_t prefix[8];

        for (unsigned byte = 0; byte < 8; byte++)
            prefix[byte] = (uint8_t)(len >> (8 * byte));
        sha256_update(&hash, sizeof(prefix), prefix);
        sha256_update(&hash, len, (const uint8_t *)strings[i]);
    }
    sha256_digest(&hash, BYTES, ret_bytes);
}

void clew__digest(const char *const *strings, size_t n, char ret_hex[CLEW__DIGEST_TEXT])
{
    uint8_t bytes[BYTES];

    digest_bytes(strings, n, bytes);
    clew__hex(ret_hex, bytes, BYTES);
    ret_hex[2 * BYTES] = '\0';
}

void clew__sign(const char *secret, const char *timestamp, const char *body, size_t len,
                char ret_hex[CLEW__DIGEST_TEXT])
{
    struct hmac_sha256_ctx hmac;
    uint8_t bytes[BYTES];

    hmac_sha256_set_key(&hmac, strlen(secret), (const uint8_t *)secret);
    if (timestamp) {
        hmac_sha256_update(&hmac, strlen(timestamp), (const uint8_t *)timestamp);
        hmac_sha256_update(&hmac, 1, (const uint8_t *)":");
    }
    hmac_sha256_update(&hmac, len, (const uint8_t *)body);
    hmac_sha256_digest(&hmac, BYTES, bytes);
    clew__hex(ret_hex, bytes, BYTES);
    ret_hex[2 * BYTES] = '\0';
}

bool clew__secret_equal(const char *a, const char *b)
{
    uint8_t one[BYTES], two[BYTES];
    unsigned different = 0;

    digest_bytes(&a, 1, one);
    digest_bytes(&b, 1, two);
    for (unsigned i = 0; i < BYTES; i++)
        different |= one[i] ^ two[i];
    return different == 0;
}
