/* SPDX-License-Identifier: Apache-2.0
 *
 * Customers' tokens. In memory: 32 digits, found in a table. Signed: a JSON Web
 * Token with ES256 (RFC 7515, 7518), whose signature is checked with each request
 * and whose claims are read, as services do it that trust an identity provider.
 */
#include "bench.h"

#include <base64.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSION_SLOTS 4096u
#define HALF_BYTES 32 /* of an ES256 signature: two numbers */

struct session {
    char token[33];
    unsigned customer;
};

static char tokens[BENCH_CUSTOMERS][BENCH_TOKEN_MAX];
static struct session sessions[SESSION_SLOTS];
static gnutls_pubkey_t verifier;

static struct session *find_session(const char *token)
{
    for (size_t i = bench_hash(token, strlen(token)) % SESSION_SLOTS;; i = (i + 1) % SESSION_SLOTS)
        if (!sessions[i].token[0] || strcmp(sessions[i].token, token) == 0)
            return &sessions[i];
}

static void make_session(unsigned customer)
{
    uint64_t h = (customer + 1) * UINT64_C(0x9e3779b97f4a7c15);
    struct session *session;

    (void)snprintf(tokens[customer], 33, "%016llx%016llx", (unsigned long long)h,
                   (unsigned long long)(h * h + 1));
    session = find_session(tokens[customer]);
    memcpy(session->token, tokens[customer], sizeof(session->token));
    session->customer = customer;
}

/* ---- signed ------------------------------------------------------------------------------ */

/* "+/" of base64 as "-_", no padding. */
static char *put_base64url(char *p, const void *bytes, size_t len)
{
    char *end = clew__put_base64(p, bytes, len);

    while (end > p && end[-1] == '=')
        end--;
    for (; p < end; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    return end;
}

static long read_base64url(unsigned char *ret, const char *text, size_t len)
{
    char plain[BENCH_TOKEN_MAX];

    if (len >= sizeof(plain))
        return -1;
    for (size_t i = 0; i < len; i++)
        plain[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    return clew__unbase64(ret, plain, len);
}

/* A number of an ASN.1 signature, in 32 bytes. */
static void put_half(unsigned char *to, const gnutls_datum_t *number)
{
    size_t skip = number->size > HALF_BYTES ? number->size - HALF_BYTES : 0;
    size_t n = number->size - skip;

    memset(to, 0, HALF_BYTES);
    memcpy(to + HALF_BYTES - n, number->data + skip, n);
}

static bool sign(gnutls_privkey_t key, unsigned customer)
{
    static const char head[] = "{\"alg\":\"ES256\",\"typ\":\"JWT\"}";
    char claims[128], *token = tokens[customer], *p;
    unsigned char both[2 * HALF_BYTES];
    gnutls_datum_t text, signature, r, s;
    int n =
        snprintf(claims, sizeof(claims), "{\"iss\":\"idp.internal\",\"sub\":\"%u\",\"exp\":%lld}",
                 customer, (long long)time(NULL) + 86400);

    p = put_base64url(token, head, sizeof(head) - 1);
    *p++ = '.';
    p = put_base64url(p, claims, (size_t)n);
    text = (gnutls_datum_t){(unsigned char *)token, (unsigned)(p - token)};
    if (gnutls_privkey_sign_data2(key, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0, &text, &signature) <
        0)
        return false;
    if (gnutls_decode_rs_value(&signature, &r, &s) < 0)
        return false;
    put_half(both, &r);
    put_half(both + HALF_BYTES, &s);
    *p++ = '.';
    p = put_base64url(p, both, sizeof(both));
    *p = '\0';
    gnutls_free(signature.data);
    gnutls_free(r.data);
    gnutls_free(s.data);
    return true;
}

static bool read_claims(const char *text, size_t len, unsigned *ret_customer)
{
    unsigned char json[BENCH_TOKEN_MAX];
    long n = read_base64url(json, text, len);
    json_t *claims = n > 0 ? json_loadb((const char *)json, (size_t)n, 0, NULL) : NULL;
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    bool good = subject && json_integer_value(json_object_get(claims, "exp")) > time(NULL);

    if (good)
        *ret_customer = (unsigned)strtoul(subject, NULL, 10);
    json_decref(claims);
    return good;
}

static bool verify(const char *token, unsigned *ret_customer)
{
    const char *claims = strchr(token, '.'), *signature = claims ? strchr(claims + 1, '.') : NULL;
    unsigned char both[BENCH_TOKEN_MAX];
    gnutls_datum_t text, r = {both, HALF_BYTES}, s = {both + HALF_BYTES, HALF_BYTES}, asn1;
    int err;

    if (!signature ||
        read_base64url(both, signature + 1, strlen(signature + 1)) != 2 * HALF_BYTES ||
        gnutls_encode_rs_value(&asn1, &r, &s) < 0)
        return false;
    text = (gnutls_datum_t){(unsigned char *)token, (unsigned)(signature - token)};
    err = gnutls_pubkey_verify_data2(verifier, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0, &text, &asn1);
    gnutls_free(asn1.data);
    return err >= 0 && read_claims(claims + 1, (size_t)(signature - claims - 1), ret_customer);
}

/* ---- either ------------------------------------------------------------------------------ */

bool bench_tokens_make(bool is_signed)
{
    gnutls_privkey_t key;
    bool good = true;

    for (unsigned i = 0; i < BENCH_CUSTOMERS && !is_signed; i++)
        make_session(i);
    if (!is_signed)
        return true;
    if (gnutls_privkey_init(&key) < 0 || gnutls_pubkey_init(&verifier) < 0 ||
        gnutls_privkey_generate(key, GNUTLS_PK_ECDSA,
                                GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) < 0 ||
        gnutls_pubkey_import_privkey(verifier, key, 0, 0) < 0)
        return false;
    for (unsigned i = 0; i < BENCH_CUSTOMERS && good; i++)
        good = sign(key, i);
    gnutls_privkey_deinit(key);
    return good;
}

const char *bench_token(unsigned customer)
{
    return tokens[customer];
}

bool bench_token_read(const char *token, unsigned *ret_customer)
{
    const struct session *session;

    if (verifier)
        return verify(token, ret_customer);
    session = find_session(token);
    *ret_customer = session->customer;
    return session->token[0];
}
