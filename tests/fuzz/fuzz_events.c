/* SPDX-License-Identifier: Apache-2.0
 *
 * What claims to be PagerDuty: the first line is the signature's header, the rest the
 * body. A body is refused with a reason, or read to texts that are bounded and hold no
 * control characters; only a signature by the secret is right.
 */
#include <common/digest.h>
#include <pagerduty/event.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void check_text(const char *text, size_t size)
{
    must(strnlen(text, size) < size, "a text has no end");
    for (const char *c = text; *c; c++)
        must((unsigned char)*c >= ' ' && *c != 0x7F, "a text has a control character");
}

static void check_signature(const char *header, const char *body, size_t len)
{
    static char secret[] = "secret", second[] = "second";
    char *secrets[] = {secret, second, NULL}, digest[CLEW__DIGEST_TEXT], *whole;
    bool right;

    right = clew__pagerduty_verify(secrets, header, body, len);
    clew__sign(second, NULL, body, len, digest);
    must(!right || strstr(header, "v1="), "taken without a signature");
    whole = malloc(strlen(header) + CLEW__DIGEST_TEXT + 8);
    must(whole != NULL, "malloc");
    (void)sprintf(whole, "v1=%s,%s", digest, header);
    must(clew__pagerduty_verify(secrets, whole, body, len), "the right signature is refused");
    free(whole);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const unsigned char *newline = memchr(data, '\n', size);
    size_t head = newline ? (size_t)(newline - data) : 0, at = newline ? head + 1 : 0;
    char *header = strndup((const char *)data, head), *body = malloc(size - at + 1);
    struct clew__pagerduty_event event;
    int r;

    must(header && body, "malloc");
    if (size > at)
        memcpy(body, data + at, size - at);
    r = clew__pagerduty_read_event(body, size - at, &event);
    must(r == 0 || (r == -EINVAL && *clew_last_error()), "refused without a reason");
    if (r == 0) {
        check_text(event.id, sizeof(event.id));
        check_text(event.type, sizeof(event.type));
        check_text(event.dedup_key, sizeof(event.dedup_key));
        check_text(event.person, sizeof(event.person));
        must(event.kind == CLEW__PAGERDUTY_OTHER || (*event.dedup_key && *event.id),
             "an act without an incident");
    }
    check_signature(header, body, size - at);
    free(header);
    free(body);
    return 0;
}
