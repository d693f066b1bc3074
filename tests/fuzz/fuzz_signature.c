/* SPDX-License-Identifier: Apache-2.0
 *
 * Who sent a webhook. Four texts with NUL between them: what Authorization, the
 * signature's header and its timestamp's say, and the body. Nobody gets in who does
 * not know a secret, and everybody does who signs. The server's library is played
 * here, so that a header can say anything.
 */
#include <common/digest.h>
#include <common/instant.h>
#include <intake/credentials.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW (1795208357 * CLEW__SECOND_NS)
#define PATH "/hook"
#define SECRET "a secret that is not in the corpus"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct MHD_Connection {
    const char *authorization, *signature, *timestamp; /* NULL: no such header */
};

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                        const char *key)
{
    (void)kind;
    if (strcmp(key, "Authorization") == 0)
        return connection->authorization;
    if (strcmp(key, "X-Signature") == 0)
        return connection->signature;
    return strcmp(key, "X-Time") == 0 ? connection->timestamp : NULL;
}

/* "Basic name:password", not in Base64: that is the library's business. */
char *MHD_basic_auth_get_username_password(struct MHD_Connection *connection, char **ret_password)
{
    const char *text = connection->authorization, *colon;

    if (!text || strncmp(text, "Basic ", 6) != 0)
        return NULL;
    text += 6;
    colon = strchr(text, ':');
    *ret_password = colon ? strdup(colon + 1) : NULL;
    return strndup(text, colon ? (size_t)(colon - text) : strlen(text));
}

void MHD_free(void *ptr)
{
    free(ptr);
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
                                                        enum MHD_ConnectionInfoType type, ...)
{
    (void)connection, (void)type;
    return NULL;
}

static void must(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "fuzz_signature: %s\n", what);
        abort();
    }
}

/* The next text, and what comes after it. */
static char *cut(const unsigned char **data, size_t *size)
{
    size_t len = strnlen((const char *)*data, *size);
    char *text = strndup((const char *)*data, len);

    if (!text)
        abort();
    len += len < *size;
    *data += len;
    *size -= len;
    return text;
}

static void check(const struct clew__webhook *webhook, struct MHD_Connection *given,
                  const char *body, size_t len)
{
    const struct clew__source *source = &webhook->sources[0];
    bool timed = *source->credentials.hmac_timestamp_header, is_signed, known;
    char right[CLEW__DIGEST_TEXT];
    struct MHD_Connection honest = {NULL, right, timed ? "1795208300" : NULL};

    known = clew__source_of_head(webhook, PATH, given, &is_signed) != NULL;
    must(!known || (given->authorization && strstr(given->authorization, SECRET)),
         "in without a secret");
    must(is_signed == (given->signature != NULL), "a signature overlooked");
    clew__sign(SECRET, timed && given->timestamp ? given->timestamp : NULL, body, len, right);
    if (is_signed && clew__source_of_body(webhook, PATH, given, body, len, NOW))
        must(strcasecmp(given->signature, right) == 0 && (!timed || given->timestamp),
             "in with a wrong signature");
    clew__sign(SECRET, honest.timestamp, body, len, right);
    must(clew__source_of_head(webhook, PATH, &honest, &is_signed) == NULL && is_signed,
         "in before the signature was compared");
    must(clew__source_of_body(webhook, PATH, &honest, body, len, NOW) == source, "honest, not in");
    must(!timed ||
             !clew__source_of_body(webhook, PATH, &honest, body, len, NOW + 400 * CLEW__SECOND_NS),
         "in with an old signature");
    right[len % 64] = right[len % 64] == '0' ? '1' : '0';
    must(!clew__source_of_body(webhook, PATH, &honest, body, len, NOW), "in with a wrong digit");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static char name[] = "alertmanager", secret[] = SECRET, path[] = PATH, header[] = "X-Signature",
                time[] = "X-Time", none[] = "";
    struct clew__source source = {.path = path,
                                  .credentials = {.username = name,
                                                  .password = secret,
                                                  .bearer_token = secret,
                                                  .hmac_secret = secret,
                                                  .hmac_header = header,
                                                  .hmac_tolerance_seconds = 300}};
    struct clew__webhook webhook = {.sources = &source, .nsources = 1};
    char *authorization = cut(&data, &size), *signature = cut(&data, &size),
         *timestamp = cut(&data, &size);
    struct MHD_Connection given = {*authorization ? authorization : NULL,
                                   *signature ? signature : NULL, *timestamp ? timestamp : NULL};

    source.credentials.hmac_timestamp_header = time;
    check(&webhook, &given, (const char *)data, size);
    source.credentials.hmac_timestamp_header = none;
    check(&webhook, &given, (const char *)data, size);
    free(authorization);
    free(signature);
    free(timestamp);
    return 0;
}
