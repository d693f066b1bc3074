/* SPDX-License-Identifier: Apache-2.0
 * Sending one mail. libcurl greets by the name in the URL's path, doubles leading
 * dots and ends the mail. A recipient that is refused keeps nobody else from
 * getting the page; it is logged. Every mail has a connection of its own: there
 * are few, and a server may close an idle one at any time. */
#include "connection.h"

#include <clew/log.h>
#include <clew/trace.h>

#include <string.h>

#define TIMEOUT_MS 60000L /* a server may look at a mail for a while */

struct unsent {
    const char *at;
    size_t left;
};

static size_t give(char *data, size_t size, size_t n, void *arg)
{
    struct unsent *unsent = arg;
    size_t len = size * n < unsent->left ? size * n : unsent->left;

    memcpy(data, unsent->at, len);
    unsent->at += len;
    unsent->left -= len;
    return len;
}

/* Refusals after the login are those of recipients, unless the mail fails. */
static size_t take_line(char *data, size_t size, size_t n, void *arg)
{
    struct clew__connection *connection = arg;

    if (size * n >= 4 && memcmp(data, "235", 3) == 0)
        connection->refused = 0;
    else if (size * n >= 4 && (data[0] == '4' || data[0] == '5') && data[3] != '-')
        connection->refused++;
    return size * n;
}

void clew__smtp_send(struct clew__connection *connection,
                     const struct clew__integration *integration, const struct clew__buf *body,
                     struct clew__answer *ret_answer)
{
    const struct clew__mail_route *mail = integration->mail;
    struct clew_span *span = clew_span_start("SMTP", CLEW_SPAN_CLIENT);
    struct unsent unsent = {body->data, body->len};
    struct curl_slist *to = NULL;
    CURL *easy = connection->easy;

    for (size_t i = 0; mail->to[i]; i++) {
        struct curl_slist *longer = curl_slist_append(to, mail->to[i]);

        to = longer ? longer : to; /* without memory libcurl fails too */
    }
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_line);
    (void)curl_easy_setopt(easy, CURLOPT_URL, integration->url);
    (void)curl_easy_setopt(easy, CURLOPT_USE_SSL,
                           (long)(mail->require_tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (*mail->ca_file)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, mail->ca_file);
    if (*mail->username) {
        (void)curl_easy_setopt(easy, CURLOPT_USERNAME, mail->username);
        (void)curl_easy_setopt(easy, CURLOPT_PASSWORD, mail->password);
    }
    (void)curl_easy_setopt(easy, CURLOPT_MAIL_FROM, mail->from);
    (void)curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
    (void)curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, &unsent);
    clew__connection_perform(connection, 400, ret_answer);
    (void)curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, NULL);
    curl_slist_free_all(to);
    if (ret_answer->status && ret_answer->status < 400 && connection->refused)
        clew_warn("the mail server refused some of the recipients",
                  clew_kv("receiver", integration->receiver), clew_kv("n", connection->refused));
    clew__connection_end_span(span, "SMTP", integration->url, ret_answer);
}
