/* SPDX-License-Identifier: Apache-2.0
 *
 * Which fields are secret, and the tokens they become. It happens in the
 * caller's thread, before the ring: no secret is in a ring file, a line, or
 * anywhere else outside the caller.
 *
 * Threads: the key and the lists are set at start and read afterwards.
 */
#include "secret_priv.h"

#include <clew/log.h>

#include <json.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define EXTRA_MAX 64u
#define NAME_MAX_BYTES 64u

/* These count wherever they stand in a key, */
static const char *const within[] = {
    "password",   "passwd",      "passphrase",   "secret",     "authorization", "apikey",
    "accesskey",  "accesstoken", "refreshtoken", "authtoken",  "idtoken",       "sessiontoken",
    "privatekey", "creditcard",  "cardnumber",   "credential", "setcookie"};
#define SHORTEST_WITHIN 6
/* these only as the whole key. */
static const char *const whole[] = {"pwd",  "pass", "pin",   "card", "cvv",      "cvc",
                                    "cvv2", "pan",  "token", "jwt",  "bearer",   "cookie",
                                    "ssn",  "iban", "otp",   "auth", "sessionid"};

static struct {
    char name[NAME_MAX_BYTES];
    bool allowed; /* given as -name */
} extra[EXTRA_MAX];
static size_t nextra;
static uint8_t key[16];
static bool have_key;

/* ---- SipHash ------------------------------------------------------------------ */

static inline uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_rounds(uint64_t v[4], unsigned n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t load_le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static void store_le(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++, v >>= 8)
        p[i] = (uint8_t)v;
}

void clew__siphash(const uint8_t k[16], const void *data, size_t len, uint8_t ret[16])
{
    const uint8_t *p = data;
    uint64_t k0 = load_le(k, 8), k1 = load_le(k + 8, 8), m;
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du ^ 0xee,
                     k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
    size_t left = len;

    for (; left >= 8; left -= 8, p += 8) {
        m = load_le(p, 8);
        v[3] ^= m;
        sip_rounds(v, 2);
        v[0] ^= m;
    }
    m = load_le(p, left) | (uint64_t)len << 56;
    v[3] ^= m;
    sip_rounds(v, 2);
    v[0] ^= m;
    v[2] ^= 0xee;
    sip_rounds(v, 4);
    store_le(ret, v[0] ^ v[1] ^ v[2] ^ v[3]);
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    store_le(ret + 8, v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* ---- configuration ------------------------------------------------------------- */

/* Lower case without separators; cut. */
static void normalise(char ret[NAME_MAX_BYTES], const char *name, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n + 1 < NAME_MAX_BYTES; i++) {
        char c = name[i];

        if (c == '_' || c == '-' || c == '.' || c == ' ')
            continue;
        ret[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    ret[n] = '\0';
}

static int read_fields(const char *list)
{
    nextra = 0;
    while (list && *list) {
        size_t len = strcspn(list, ",");
        bool allowed = *list == '-';

        if (len > allowed) {
            if (nextra == EXTRA_MAX)
                return clew_set_error(-EINVAL, "CLEW_SECRET_FIELDS: more than %u names", EXTRA_MAX);
            normalise(extra[nextra].name, list + allowed, len - allowed);
            extra[nextra++].allowed = allowed;
        }
        list += len;
        list += *list == ',';
    }
    return 0;
}

int clew__secret_config(void)
{
    static const uint8_t fixed[16] = "clewline secret"; /* makes 16 bytes of any text */
    const char *text = getenv("CLEW_SECRET_KEY");

    if (text && *text && strlen(text) < 16)
        return clew_set_error(-EINVAL, "CLEW_SECRET_KEY: shorter than 16 characters");
    if (text && *text)
        clew__siphash(fixed, text, strlen(text), key);
    else if (!have_key && getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return clew_set_error(-errno, "getrandom: %s", strerror(errno));
    have_key = true;
    return read_fields(getenv("CLEW_SECRET_FIELDS"));
}

bool clew_key_is_secret(const char *name)
{
    char plain[NAME_MAX_BYTES];

    normalise(plain, name, strlen(name));
    for (size_t i = nextra; i-- > 0;) /* the last that names it decides */
        if (strcmp(plain, extra[i].name) == 0)
            return !extra[i].allowed;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        if (strcmp(plain, whole[i]) == 0)
            return true;
    if (strnlen(plain, SHORTEST_WITHIN) < SHORTEST_WITHIN)
        return false;
    for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++)
        if (strstr(plain, within[i]))
            return true;
    return false;
}

/* ---- tokens --------------------------------------------------------------------- */

unsigned clew__tokenise(unsigned type, struct clew_value *value, char token[CLEW__TOKEN_BYTES])
{
    char number[CLEW__PUT_NUMBER_MAX];
    const void *data = value->as.s;
    size_t len = value->len;
    uint8_t hash[16];

    switch (type) {
    case CLEW_TYPE_NULL:
    case CLEW_TYPE_BOOL:
    case CLEW_TYPE_HELD:
        return type;
    case CLEW_TYPE_STRING:
    case CLEW_TYPE_SECRET:
    case CLEW_TYPE_HEX:
    case CLEW_TYPE_BASE64:
    case CLEW_TYPE_JSON:
    case CLEW_TYPE_MESSAGE:
        if (!data)
            return CLEW_TYPE_NULL;
        break;
    case CLEW_TYPE_DOUBLE:
        data = number;
        len = (size_t)(clew__put_double(number, value->as.d) - number);
        break;
    case CLEW_TYPE_UINT:
        data = number;
        len = (size_t)(clew__put_uint(number, value->as.u) - number);
        break;
    case CLEW_TYPE_INT:
    case CLEW_TYPE_TIME:
    case CLEW_TYPE_DURATION:
    case CLEW_TYPE_ERRNO:
        data = number;
        len = (size_t)(clew__put_int(number, value->as.i) - number);
        break;
    default: /* lists and objects: nothing of them is shown */
        data = "";
        len = 0;
        break;
    }
    clew__siphash(key, data, len, hash);
    memcpy(token, "tok_", 4);
    clew__hex(token + 4, hash, 12);
    token[CLEW__TOKEN_LEN] = '\0';
    *value = clew_value_stringn(token, CLEW__TOKEN_LEN);
    return CLEW_TYPE_STRING;
}
