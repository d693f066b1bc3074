/* SPDX-License-Identifier: Apache-2.0
 *
 * A click on a button: told to the app as Slack would, as a signed form
 * (https://docs.slack.dev/authentication/verifying-requests-from-slack), within
 * the three seconds that Slack waits. */
#include "server.h"
#include "slack_click.h"

#include <clew/log.h>

#include <curl/curl.h>
#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_WITHIN_MS 3000L

static const char *app_url, *app_secret;

void slack_clicks_go_to(const char *url, const char *secret)
{
    app_url = url;
    app_secret = secret;
}

static void sign(const char *timestamp, const char *body, char ret[BASE16_ENCODE_LENGTH(32) + 1])
{
    struct hmac_sha256_ctx hmac;
    uint8_t digest[SHA256_DIGEST_SIZE];

    hmac_sha256_set_key(&hmac, strlen(app_secret), (const uint8_t *)app_secret);
    hmac_sha256_update(&hmac, 3, (const uint8_t *)"v0:");
    hmac_sha256_update(&hmac, strlen(timestamp), (const uint8_t *)timestamp);
    hmac_sha256_update(&hmac, 1, (const uint8_t *)":");
    hmac_sha256_update(&hmac, strlen(body), (const uint8_t *)body);
    hmac_sha256_digest(&hmac, sizeof(digest), digest);
    base16_encode_update(ret, sizeof(digest), digest);
    ret[BASE16_ENCODE_LENGTH(32)] = '\0';
}

static size_t ignore(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

/* The status that the app answered; 0: it did not. */
static long tell_app(CURL *easy, const char *timestamp, const char *body)
{
    char line[128], signature[BASE16_ENCODE_LENGTH(32) + 1];
    struct curl_slist *headers = NULL;
    long status = 0;

    (void)snprintf(line, sizeof(line), "X-Slack-Request-Timestamp: %s", timestamp);
    headers = curl_slist_append(headers, line);
    sign(timestamp, body, signature);
    (void)snprintf(line, sizeof(line), "X-Slack-Signature: v0=%s", signature);
    headers = curl_slist_append(headers, line);
    curl_easy_setopt(easy, CURLOPT_URL, app_url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ANSWER_WITHIN_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    if (curl_easy_perform(easy) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    return status;
}

/* The click as Slack tells of it; NULL: it is no click of a button. */
static char *payload_of(const struct request *request, const struct timespec *now)
{
    static const char *const names[] = {"channel", "ts", "action_id", "value"};
    char *fields[4], at[32], *text = NULL, *user = request_field(request, "user");
    const char *person = user && *user ? user : "on-call";
    json_t *payload;

    for (size_t i = 0; i < 4; i++)
        fields[i] = request_field(request, names[i]);
    (void)snprintf(at, sizeof(at), "%lld.%06ld", (long long)now->tv_sec, now->tv_nsec / 1000);
    if (fields[0] && fields[1] && fields[2] && fields[3]) {
        payload =
            json_pack("{s:s, s:{s:s, s:s}, s:{s:s}, s:{s:s}, s:[{s:s, s:s, s:s, s:s}]}", "type",
                      "block_actions", "user", "id", "U0LOCAL", "username", person, "channel", "id",
                      fields[0], "message", "ts", fields[1], "actions", "type", "button",
                      "action_id", fields[2], "value", fields[3], "action_ts", at);
        text = json_dumps(payload, JSON_COMPACT);
        json_decref(payload);
    }
    for (size_t i = 0; i < 4; i++)
        free(fields[i]);
    free(user);
    return text;
}

/* A page from elsewhere must not click: a browser says where a form came from. */
static bool is_own_page(const struct request *request)
{
    const char *origin = request_header(request, "Origin");
    const char *host = request_header(request, "Host");

    return !origin || (host && strncmp(origin, "http://", 7) == 0 && strcmp(origin + 7, host) == 0);
}

static void click(struct request *request, CURL *easy, const char *payload,
                  const struct timespec *now)
{
    char *quoted = curl_easy_escape(easy, payload, 0), timestamp[24], *body = NULL;
    long status = 0;

    (void)snprintf(timestamp, sizeof(timestamp), "%lld", (long long)now->tv_sec);
    if (quoted && asprintf(&body, "payload=%s", quoted) >= 0)
        status = tell_app(easy, timestamp, body);
    if (status >= 200 && status < 300)
        answer_see_other(request, "/slack");
    else
        answer_text(request, 502,
                    status ? "the app at %s answered %ld: has it the same signing secret?\n"
                           : "the app at %s did not answer\n",
                    app_url, status);
    clew_info("button clicked", clew_kv("status", status));
    free(body);
    curl_free(quoted);
}

void handle_slack_click(struct request *request)
{
    struct timespec now;
    char *payload;
    CURL *easy;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (!app_url) {
        answer_text(request, 409, "nobody listens for clicks: see --slack-interactions\n");
        return;
    }
    if (!is_own_page(request)) {
        answer_text(request, 403, "not from a page of this server\n");
        return;
    }
    payload = payload_of(request, &now);
    easy = curl_easy_init();
    if (payload && easy)
        click(request, easy, payload, &now);
    else
        answer_text(request, 400, "channel, ts, action_id and value are needed\n");
    curl_easy_cleanup(easy);
    free(payload);
}
