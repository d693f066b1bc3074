/* SPDX-License-Identifier: Apache-2.0
 *
 * A click in Slack: three texts with NUL between them are the signature's header, its
 * timestamp's, and the form. Nobody gets in who does not know the secret, and
 * everybody does who signs; whatever the form says, it is read or refused, and what
 * was read is within its bounds. The form as it is also serves as an answer of Slack's
 * and of Loki's.
 */
#include <common/instant.h>
#include <loki/lines.h>
#include <slack/answer.h>
#include <slack/interaction.h>

#include <clew/log.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW (1795208357 * CLEW__SECOND_NS)
#define SECRET "a secret that is not in the corpus"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_click: %s: %s\n", what, clew_last_error());
        abort();
    }
}

/* The text up to the next NUL; *at goes behind it. */
static char *take(const unsigned char **at, const unsigned char *end)
{
    const unsigned char *nul = memchr(*at, '\0', (size_t)(end - *at));
    char *text;

    if (!nul)
        return NULL;
    text = strdup((const char *)*at);
    *at = nul + 1;
    return text;
}

static void check_signature(const char *signature, const char *timestamp, const char *body,
                            size_t len)
{
    char text[32], right[CLEW__DIGEST_TEXT + 3] = "v0=";

    must(!clew__slack_verify(SECRET, timestamp, signature, body, len, NOW), "a forged signature");
    (void)snprintf(text, sizeof(text), "v0:%lld", (long long)(NOW / CLEW__SECOND_NS));
    clew__sign(SECRET, text, body, len, right + 3);
    must(clew__slack_verify(SECRET, text + 3, right, body, len, NOW), "an honest signature");
    must(!clew__slack_verify(SECRET, text + 3, right, body, len, NOW + 301 * CLEW__SECOND_NS),
         "an old signature");
}

static void check_click(const char *body, size_t len)
{
    struct clew__slack_click click;
    int r = clew__slack_read_click(body, len, &click);

    must(r == 0 || r == -EINVAL || r == -ENOMEM, "an unknown result");
    if (r < 0 || click.kind == CLEW__SLACK_CLICK_NONE) {
        must(click.kind == CLEW__SLACK_CLICK_NONE, "a click of a refused form");
        return;
    }
    must(clew__slack_is_id(click.user_id), "a user without id");
    must(strstr(click.person, "(Slack ") && strlen(click.person) < sizeof(click.person),
         "a person without a name");
    for (const char *c = click.person; *c; c++)
        must((unsigned char)*c >= 0x80 || isalnum((unsigned char)*c) || strchr(" .-_@'()", *c),
             "a name that could be markup");
    must(click.incident_id >= 0 && strlen(click.dedup_key) == CLEW__DIGEST_TEXT - 1,
         "a button that is not ours");
    must(click.kind != CLEW__SLACK_CLICK_SILENCE || click.hours == 1 || click.hours == 4,
         "a silence of another length");
}

static void check_answers(const char *text)
{
    struct clew__slack_answer answer;
    char ts[32], cursor[CLEW__SLACK_CURSOR_MAX];
    struct clew__buf lines;

    clew__slack_read_answer(
        &(struct clew__answer){.status = 200, .problem = "", .retry_after = text, .body = text}, 0,
        &answer);
    must(!*answer.ts || clew__slack_is_ts(answer.ts), "a ts that is none");
    must(!*answer.channel || clew__slack_is_id(answer.channel), "a channel that is none");
    clew__slack_find(text, "key", ts, cursor);
    must(!*ts || clew__slack_is_ts(ts), "a ts that is none");
    clew__buf_init(&lines, 1u << 20);
    if (clew__loki_text(&lines, text, 10)) {
        clew__buf_addc(&lines, '\0');
        must(!lines.failed && lines.len > 7 &&
                 strstr(lines.data + 3, "```") == lines.data + lines.len - 4,
             "a line that ends its block");
        must(!strchr(lines.data, '<') && !strchr(lines.data, '>'), "a line with markup");
    }
    clew__buf_done(&lines);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const unsigned char *at = data, *end = data + size;
    char *signature = take(&at, end), *timestamp = signature ? take(&at, end) : NULL;
    char *body = timestamp ? strndup((const char *)at, (size_t)(end - at)) : NULL;

    if (body) {
        check_signature(signature, timestamp, (const char *)at, (size_t)(end - at));
        check_click((const char *)at, (size_t)(end - at));
        check_answers(body);
    }
    free(signature);
    free(timestamp);
    free(body);
    return 0;
}
