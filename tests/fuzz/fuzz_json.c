/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON writer: any bytes as a string come back as what they mean, any eight
 * of them as a double come back equal, and raw JSON is taken exactly when
 * jansson takes it.
 */
#include <format_priv.h>
#include <json.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_json: %s\n", what);
        abort();
    }
}

static void as_string(const char *s, size_t len)
{
    struct clew__buf out, clean;
    json_t *json;

    clew__buf_init(&out, 8 * len + 64);
    clew__buf_init(&clean, 3 * len + 1);
    clew__json_string(&out, s, len);
    clew__utf8_clean(&clean, s, len);
    must(!out.failed && !clean.failed, "no room");
    json = json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    must(json_is_string(json), "not a string");
    must(json_string_length(json) == clean.len &&
             memcmp(json_string_value(json), clean.len ? clean.data : "", clean.len) == 0,
         "another string");
    json_decref(json);
    clew__buf_done(&out);
    clew__buf_done(&clean);
}

static void as_double(const unsigned char *data)
{
    char text[CLEW__PUT_NUMBER_MAX + 1];
    double v, back;

    memcpy(&v, data, 8);
    *clew__put_double(text, v) = '\0';
    if (isfinite(v)) {
        back = strtod(text, NULL);
        must(memcmp(&v, &back, 8) == 0, "another number");
    }
}

static void as_json(const char *s, size_t len)
{
    char *out = malloc(CLEW__PUT_CHARS_MAX(len)), *end;
    json_error_t error;
    json_t *json;

    if (!out)
        return;
    end = clew__put_json(out, s, len);
    json = json_loadb(s, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (end) {
        json_t *again;

        must((size_t)(end - out) <= CLEW__PUT_CHARS_MAX(len), "more than the bound");
        must(!memchr(out, '\n', (size_t)(end - out)), "a newline");
        again = json_loadb(out, (size_t)(end - out), JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        /* jansson has limits of its own: large numbers, lone surrogates. */
        must(!json || (again && json_equal(json, again)), "another value");
        json_decref(again);
    } else if (json && !memchr(s, '\0', len)) { /* jansson overlooks a NUL behind a number */
        /* What we refuse of what is JSON: too deep, too many keys, bad UTF-8 never. */
        must(len > 64, "refused");
    }
    json_decref(json);
    free(out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    as_string((const char *)data, size);
    as_json((const char *)data, size);
    if (size >= 8)
        as_double(data);
    return 0;
}
