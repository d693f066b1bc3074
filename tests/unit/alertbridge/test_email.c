/* SPDX-License-Identifier: Apache-2.0
 * What mails look like, and how they get to a server. */
#include "mailbox.h"
#include "rendering.h"

#include <common/instant.h>
#include <delivery/connection.h>
#include <receivers/mime.h>

#include <clew/log.h>

#include <base64.h>
#include <json.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD                                                                                    \
    "storage: x\nroute: {receiver: a}\n"                                                        \
    "links: [{text: Logs, url: 'https://logs.example/?q={{ .Labels.instance | urlquery }}'}]\n" \
    "receivers:\n  - name: a\n    email_configs:\n"
#define USUAL                                                          \
    HEAD "      - to: 'ops@example.org, Zo\xC3\xAB <z@example.org>'\n" \
         "        from: 'Alerts <alerts@bridge.example>'\n"            \
         "        smarthost: mail.example:587\n"

static struct mailbox mailbox;

static int teardown(void **state)
{
    if (mailbox.port)
        mailbox_stop(&mailbox);
    return rendering_teardown(state);
}

/* ---- reading a mail --------------------------------------------------- */

/* A header's text, unfolded and its encoded words decoded; free() it. NULL when it
 * is not there, or there twice. */
static char *header(const char *mail, const char *name)
{
    const char *end = strstr(mail, "\r\n\r\n"), *found = NULL;
    struct clew__buf text;
    size_t len = strlen(name);

    for (const char *at = mail; at && at < end; at = strstr(at, "\r\n")) {
        at += at == mail ? 0 : 2;
        if (strncmp(at, name, len) == 0 && at[len] == ':') {
            if (found)
                return NULL;
            found = at + len + 1;
        }
    }
    if (!found)
        return NULL;
    found += *found == ' ';
    clew__buf_init(&text, 1u << 20);
    while (found < end + 2) {
        if (strncmp(found, "=?UTF-8?B?", 10) == 0) {
            size_t n = strcspn(found + 10, "?");
            char *p = clew__buf_room(&text, n + 3);

            text.len += (size_t)clew__unbase64(p, found + 10, n);
            found += 10 + n + 2;
            if (strncmp(found, "\r\n =?", 5) == 0)
                found += 3;
        } else if (strncmp(found, "\r\n ", 3) == 0) {
            found += 2;
        } else if (*found == '\r') {
            break;
        } else {
            clew__buf_addc(&text, *found++);
        }
    }
    clew__buf_addc(&text, '\0');
    return clew__buf_take(&text, &len);
}

static void assert_header(const char *mail, const char *name, const char *wanted)
{
    char *text = header(mail, name);

    if (!text)
        fail_msg("%s is not there once: %s", name, mail);
    assert_string_equal(text, wanted);
    free(text);
}

static int hex(char c)
{
    return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* A body, decoded, lines end in \n; free() it. */
static char *part(const char *mail, const char *type)
{
    char begin[128];
    const char *at, *end;
    struct clew__buf text;
    size_t len;

    (void)snprintf(begin, sizeof(begin),
                   "\r\n--=_clew_alternative\r\nContent-Type: %s; charset=utf-8\r\n"
                   "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                   type);
    at = strstr(mail, begin);
    if (!at)
        return NULL;
    at += strlen(begin);
    end = strstr(at, "\r\n--=_");
    clew__buf_init(&text, 4u << 20);
    while (at < end) {
        if (strncmp(at, "=\r\n", 3) == 0) {
            at += 3;
        } else if (*at == '=') {
            clew__buf_addc(&text, (char)(hex(at[1]) * 16 + hex(at[2])));
            at += 3;
        } else {
            if (*at != '\r')
                clew__buf_addc(&text, *at);
            at++;
        }
    }
    clew__buf_addc(&text, '\0');
    return clew__buf_take(&text, &len);
}

/* The rules that every mail keeps: lines within limits, CRLF, ASCII. */
static void check_mail(const char *mail, size_t len)
{
    size_t column = 0;

    assert_int_equal(strlen(mail), len);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)mail[i];

        assert_true(c == '\r' || c == '\n' || c == '\t' || (c >= ' ' && c < 0x7F));
        assert_true((c == '\r') == (mail[i + 1] == '\n'));
        column = c == '\n' ? 0 : column + 1;
        assert_true(column <= 79); /* with the CR */
    }
    assert_memory_equal(mail + len - 26, "\r\n--=_clew_alternative--\r\n", 26);
}

static char *mail_of(const struct clew__page *page)
{
    size_t len;
    char *mail = page_text(config, page, &len);

    check_mail(mail, len);
    return mail;
}

/* ---- what a mail looks like ------------------------------------------- */

static void test_email_one_alert(void **state)
{
    char *mail, *text;

    (void)state;
    json_object_set_new(made.page.common_annotations, "summary", json_string("one is down"));
    mail = mail_of(&made.page);
    assert_header(mail, "Subject", "[FIRING:1] Down");
    assert_header(mail, "From", "\"Alerts\" <alerts@bridge.example>");
    assert_header(mail, "To", "<ops@example.org>, Zo\xC3\xAB <z@example.org>");
    assert_header(mail, "MIME-Version", "1.0");
    assert_header(mail, "Auto-Submitted", "auto-generated");
    text = part(mail, "text/plain");
    assert_non_null(text);
    assert_memory_equal(text, "[FIRING:1] Down\n\none is down\n\nFiring (1)\n* one is down (since ",
                        62);
    assert_non_null(strstr(text, "\nseverity: critical\n"));
    assert_non_null(strstr(text, "\nRunbook: https://runbooks.example/Down\n"));
    assert_non_null(strstr(text, "\nLogs: https://logs.example/?q=one\n"));
    free(text);
    text = part(mail, "text/html");
    assert_non_null(text);
    assert_non_null(strstr(text, "<h2 style=\"color:#cf222e\">[FIRING:1] Down</h2>"));
    assert_non_null(strstr(text, "<a href=\"https://runbooks.example/Down\">Runbook</a>"));
    free(text);
    free(mail);
}

static void test_email_group_names_what_changed(void **state)
{
    char *mail, *text;

    (void)state;
    made.page.nalerts = 3;
    made.alerts[2].firing = false;
    made.alerts[2].ends_at = made.alerts[2].starts_at + CLEW__SECOND_NS;
    made.page.nfired = 2;
    made.page.nresolved = 12;
    made.page.nfiring = 7;
    made.page.ntruncated = 3;
    mail = mail_of(&made.page);
    assert_header(mail, "Subject", "[FIRING:7] Down");
    text = part(mail, "text/plain");
    assert_non_null(strstr(text, "\nFiring (2)\n* one is down (since 2026-11-20T20:59:17.632Z)\n"
                                 "* two is down (since 2026-11-20T20:59:17.632Z)\n"
                                 "\nResolved (12)\n* two is down (since 2026-11-20T20:59:17.632Z"
                                 " until 2026-11-20T20:59:18.632Z)\n* and 11 more\n"
                                 "\nAlertmanager left out 3 more alerts\n"));
    free(text);
    free(mail);
}

/* Of one incident: different ids, the same root; of one delivery: the same id. */
static void test_email_threads(void **state)
{
    char *mails[4], *ids[4], *roots[4];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        made.page.id = i == 1 ? 7 : 7 + i;
        made.page.opened_at += i == 3;
        mails[i] = mail_of(&made.page);
        ids[i] = header(mails[i], "Message-ID");
        roots[i] = header(mails[i], "References");
        assert_non_null(ids[i]);
        assert_non_null(roots[i]);
        assert_header(mails[i], "In-Reply-To", roots[i]);
        assert_int_equal(strlen(ids[i]), 1 + 32 + strlen("@bridge.example>"));
    }
    assert_string_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[1], ids[2]);
    assert_string_equal(roots[0], roots[2]);
    assert_string_not_equal(roots[2], roots[3]);
    assert_string_not_equal(ids[0], roots[0]);
    for (unsigned i = 0; i < 4; i++) {
        free(mails[i]);
        free(ids[i]);
        free(roots[i]);
    }
}

static void test_email_hostile_values_stay_where_they_are(void **state)
{
    static const char hostile[] =
        "x\r\nBcc: all@example.org\r\n\r\n.\r\n--=_clew_alternative\r\n=?UTF-8?B?eA==?= "
        "</h2><script>alert('1')</script>\"\xFF\x01 \n.\nRunbook: https://evil.example";
    char *mail, *text;

    (void)state;
    rendering_use(USUAL "        headers: {X-Team: '{{ .CommonLabels.team }}'}\n");
    json_object_set_new(made.page.group_labels, "alertname",
                        json_stringn_nocheck(hostile, sizeof(hostile) - 1));
    json_object_set_new(made.page.common_labels, "team",
                        json_stringn_nocheck(hostile, sizeof(hostile) - 1));
    json_object_set_new(made.alerts[0].labels, "host",
                        json_stringn_nocheck(hostile, sizeof(hostile) - 1));
    json_object_set_new(made.alerts[0].annotations, "summary",
                        json_stringn_nocheck(hostile, sizeof(hostile) - 1));
    json_object_set_new(made.page.common_annotations, "summary",
                        json_stringn_nocheck(hostile, sizeof(hostile) - 1));
    mail = mail_of(&made.page);
    assert_null(header(mail, "Bcc"));
    text = header(mail, "Subject");
    assert_non_null(text);
    assert_memory_equal(text, "[FIRING:1] x  Bcc: all@example.org  ", 36);
    assert_non_null(strstr(text, "=?UTF-8?B?eA==?= </h2>"));
    assert_non_null(strstr(text, "\xEF\xBF\xBD"));
    free(text);
    text = header(mail, "X-Team");
    assert_memory_equal(text, "x  Bcc: ", 8);
    free(text);
    /* three boundaries, no more, and nothing of the labels is markup */
    text = strstr(mail, "\r\n\r\n");
    for (unsigned i = 0; i < 3; i++) {
        text = strstr(text + 2, "\r\n--=_clew_alternative");
        assert_non_null(text);
    }
    assert_null(strstr(text + 2, "\r\n--"));
    text = part(mail, "text/html");
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "alert('"));
    assert_null(strstr(text, "x</h2><"));
    free(text);
    text = part(mail, "text/plain");
    assert_non_null(strstr(text, "\nhost: x  Bcc: all")); /* in its line */
    free(text);
    free(mail);
}

static void test_email_configured_parts(void **state)
{
    char *mail, *text;

    (void)state;
    rendering_use(USUAL
                  "        headers: {Subject: '{{ .CommonLabels.severity }} <b>', X-Prio: '1'}\n"
                  "        text: ''\n"
                  "        html: '<p>{{ .CommonLabels.x }}</p>'\n");
    json_object_set_new(made.page.common_labels, "x", json_string("<b>&"));
    mail = mail_of(&made.page);
    assert_header(mail, "Subject", "critical <b>");
    assert_header(mail, "X-Prio", "1");
    assert_null(part(mail, "text/plain"));
    text = part(mail, "text/html");
    assert_string_equal(text, "<p>&lt;b&gt;&amp;</p>");
    free(text);
    free(mail);
    rendering_use(USUAL "        text: 'x {{ .CommonLabels.x }}'\n        html: ''\n");
    mail = mail_of(&made.page);
    assert_null(part(mail, "text/html"));
    text = part(mail, "text/plain");
    assert_string_equal(text, "x <b>&");
    free(text);
    free(mail);
}

/* Whatever alerts hold, the mail is of a bounded size and keeps the rules. */
static void test_email_limits(void **state)
{
    static const char *const of[] = {"\xF0\x9F\x94\xA5", "\"", "\x01", "x", "=", " "};

    (void)state;
    made.page.nalerts = 3;
    made.page.nfired = 12345;
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        char *big = big_text(100000, of[i]), *mail, name[16];

        for (unsigned j = 0; j < 200; j++) {
            (void)snprintf(name, sizeof(name), "label%u", j);
            json_object_set_new(made.alerts[0].labels, name, json_string(big));
            json_object_set_new(made.page.common_labels, name, json_string(big));
        }
        json_object_set_new(made.page.common_annotations, "summary", json_string(big));
        json_object_set_new(made.page.group_labels, "alertname", json_string(big));
        json_object_set_new(made.alerts[1].annotations, "summary", json_string(big));
        mail = mail_of(&made.page);
        assert_in_range(strlen(mail), 10000, 2u << 20);
        free(mail);
        free(big);
    }
}

static void test_email_addresses(void **state)
{
    static const char *const bad[] = {"ops",
                                      "ops@",
                                      "@example.org",
                                      "o ps@example.org",
                                      "ops@example.org\r\nBcc: x@example.org",
                                      "Ops <ops@example.org> x",
                                      "Ops <ops@exam<ple.org>",
                                      "ops@exa_mple.org>",
                                      "a@b@c",
                                      "\xC3\xBC@example.org"};
    struct clew__addresses addresses;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (clew__addresses_parse(bad[i], &addresses) != -EINVAL)
            fail_msg("%s", bad[i]);
    assert_int_equal(
        clew__addresses_parse(" a@example.org ,,\"Last, First\" <b+c@example.org>,", &addresses),
        0);
    assert_int_equal(addresses.n, 2);
    assert_string_equal(addresses.mails[0], "a@example.org");
    assert_string_equal(addresses.items[1].name, "Last, First");
    assert_string_equal(addresses.mails[1], "b+c@example.org");
    assert_null(addresses.mails[2]);
    clew__addresses_done(&addresses);
}

static void test_email_date(void **state)
{
    struct clew__buf buf;

    (void)state;
    clew__buf_init(&buf, 100);
    clew__mime_date(&buf, 1795208357 * CLEW__SECOND_NS);
    clew__buf_addc(&buf, '\0');
    assert_string_equal(buf.data, "Date: Fri, 20 Nov 2026 20:59:17 +0000\r\n");
    clew__buf_done(&buf);
}

static void test_email_configuration_errors(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *reason;
    } cases[] = {
        {"      - {to: a@b.example, from: a@b.example, smarthost: nowhere}\n", 7, "host:port"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:0'}\n", 7, "host:port"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h/x:25'}\n", 7, "host:port"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:1:25'}\n", 7, "host:port"},
        {"      - {to: a@b.example, smarthost: 'h:25'}\n", 7, "from has to be one"},
        {"      - {to: nobody, from: a@b.example, smarthost: 'h:25'}\n", 7, "no address"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:25', hello: 'a/b'}\n", 7,
         "hello"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:25', auth_username: u}\n", 7,
         "auth_password"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:25', auth_username: u,\n"
         "         auth_password: SECRET, require_tls: false}\n",
         7, "in the clear"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:25',\n"
         "         headers: {Bcc: x@b.example}}\n",
         8, "cannot be set"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:25',\n"
         "         headers: {\"a b\": x}}\n",
         8, "header's name"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:25',\n"
         "         headers: {Subject: x, subject: y}}\n",
         8, "twice"},
        {"      - {to: a@b.example, from: a@b.example, smarthost: 'h:25', html: '', text: ''}\n", 7,
         "both empty"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *file = bench_write(&bench, "bad.yml", HEAD "%s", cases[i].text);
        struct clew__config *bad = NULL;
        char place[160];

        (void)snprintf(place, sizeof(place), "%s:%d:", file, cases[i].line);
        if (clew__config_load(file, NULL, &bad) != -EINVAL)
            fail_msg("case %zu is taken", i);
        if (strncmp(clew_last_error(), place, strlen(place)) != 0 ||
            !strstr(clew_last_error(), cases[i].reason) || strstr(clew_last_error(), "SECRET"))
            fail_msg("case %zu: %s", i, clew_last_error());
    }
}

static void test_email_defaults(void **state)
{
    const struct clew__integration *self = &config->receivers[0].integrations[0];

    (void)state;
    assert_false(self->send_resolved);
    assert_string_equal(self->url, "smtp://mail.example:587/localhost");
    assert_true(self->mail->require_tls);
    assert_string_equal(self->mail->from, "alerts@bridge.example");
    assert_string_equal(self->mail->to[1], "z@example.org");
    rendering_use(
        HEAD
        "      - {to: a@b.example, from: a@b.example, smarthost: 'h:465', hello: me.example}\n");
    assert_string_equal(config->receivers[0].integrations[0].url, "smtps://h:465/me.example");
    rendering_use(HEAD "      - {to: '${NOT_SET_ANYWHERE}', from: a@b.example, smarthost: 'h:25'}\n"
                       "      - {to: a@b.example, from: '', smarthost: ''}\n");
    assert_true(config->receivers[0].integrations[0].off);
    assert_true(config->receivers[0].integrations[1].off);
}

static void test_email_verdicts(void **state)
{
    struct clew__answer answer = {.problem = "timeout", .retry_after = "", .body = ""};

    (void)state;
    assert_int_equal(clew__email.verdict(&answer).kind, CLEW__RETRY);
    assert_string_equal(clew__email.verdict(&answer).reason, "timeout");
    for (answer.status = 200; answer.status < 600; answer.status++) {
        struct clew__verdict verdict = clew__email.verdict(&answer);
        char reason[16];

        (void)snprintf(reason, sizeof(reason), "smtp_%u", answer.status);
        assert_string_equal(verdict.reason, reason);
        assert_int_equal(verdict.kind, answer.status < 300    ? CLEW__DONE
                                       : answer.status >= 500 ? CLEW__PERMANENT
                                                              : CLEW__RETRY);
    }
}

/* ---- how it gets to a server ------------------------------------------ */

static atomic_bool abort_now;
static unsigned refused; /* recipients, at the last send_mail() */

/* A mail by the first integration to the mailbox; extra: further keys. */
static struct clew__verdict send_mail(const char *extra)
{
    const struct clew__integration *self;
    struct clew__connection *connection = clew__connection_new(&abort_now);
    struct clew__answer answer;
    struct clew__verdict verdict;
    struct clew__buf body;
    char text[2048];

    (void)snprintf(text, sizeof(text),
                   HEAD "      - to: 'ops@example.org, z@example.org'\n"
                        "        from: alerts@bridge.example\n"
                        "        smarthost: 127.0.0.1:%u\n%s",
                   mailbox.port, extra);
    rendering_use(text);
    self = &config->receivers[0].integrations[0];
    clew__buf_init(&body, 4u << 20);
    assert_int_equal(self->ops->render(self, config, &made.page, &body), 0);
    clew__smtp_send(connection, self, &body, &answer);
    verdict = self->ops->verdict(&answer);
    refused = connection->refused;
    clew__buf_done(&body);
    (void)clew__connection_free(connection);
    assert_int_equal(mailbox.violations, 0);
    return verdict;
}

static void test_smtp_plain(void **state)
{
    char *text;

    (void)state;
    mailbox_start(&mailbox);
    json_object_set_new(made.page.common_annotations, "summary",
                        json_string("first\n.\n..\n.dot\nlast"));
    assert_int_equal(send_mail("        require_tls: false\n        hello: me.example\n").kind,
                     CLEW__DONE);
    assert_int_equal(mailbox.n, 1);
    assert_string_equal(mailbox.mails[0].hello, "me.example");
    assert_string_equal(mailbox.mails[0].from, "alerts@bridge.example");
    assert_int_equal(mailbox.mails[0].nto, 2);
    assert_string_equal(mailbox.mails[0].to[0], "ops@example.org");
    assert_string_equal(mailbox.mails[0].to[1], "z@example.org");
    assert_string_equal(mailbox.mails[0].login, "");
    assert_true(mailbox.mails[0].longest <= 78);
    check_mail(mailbox.mails[0].text, strlen(mailbox.mails[0].text));
    text = part(mailbox.mails[0].text, "text/plain");
    assert_non_null(strstr(text, "\nfirst\n.\n..\n.dot\nlast\n"));
    free(text);
}

static void test_smtp_starttls_and_login(void **state)
{
    char extra[256], ca[128];

    (void)state;
    (void)snprintf(ca, sizeof(ca), "%s", bench_path(&bench, "ca.pem"));
    mailbox = (struct mailbox){
        .starttls = true, .ca_file = ca, .password = "AHVzZXIAU0VDUkVU" /* \0user\0SECRET */};
    mailbox_start(&mailbox);
    (void)snprintf(extra, sizeof(extra),
                   "        auth_username: user\n        auth_password: SECRET\n"
                   "        tls_config: {ca_file: '%s'}\n",
                   ca);
    assert_string_equal(send_mail(extra).reason, "smtp_250");
    assert_int_equal(refused, 0);
    assert_int_equal(mailbox.n, 1);
    assert_true(mailbox.mails[0].tls);
    assert_string_equal(mailbox.mails[0].login, "AHVzZXIAU0VDUkVU");
    /* A certificate that nobody vouches for: nothing is said, it is tried again. */
    assert_string_equal(
        send_mail("        auth_username: user\n        auth_password: SECRET\n").reason, "tls");
    (void)snprintf(extra, sizeof(extra),
                   "        auth_username: user\n        auth_password: wrong\n"
                   "        tls_config: {ca_file: '%s'}\n",
                   ca);
    assert_int_equal(send_mail(extra).kind, CLEW__PERMANENT);
    assert_int_equal(mailbox.n, 1);
}

static void test_smtp_without_starttls_nothing_is_said(void **state)
{
    struct clew__verdict verdict;

    (void)state;
    mailbox_start(&mailbox);
    verdict = send_mail("");
    assert_int_equal(verdict.kind, CLEW__RETRY);
    assert_string_equal(verdict.reason, "no_starttls");
    assert_int_equal(mailbox.n, 0);
}

static const char *say_arg(struct mailbox *self)
{
    return self->arg;
}

static void test_smtp_answers(void **state)
{
    static const struct {
        const char *answer;
        enum clew__verdict_kind kind;
        const char *reason;
    } cases[] = {
        {"250 ok", CLEW__DONE, "smtp_250"},
        {"421 4.3.2 later", CLEW__RETRY, "smtp_421"},
        {"451 4.7.1 greylisted", CLEW__RETRY, "smtp_451"},
        {"552 5.3.4 too big", CLEW__PERMANENT, "smtp_552"},
        {"554 5.7.1 spam", CLEW__PERMANENT, "smtp_554"},
        {NULL, CLEW__RETRY, "connection_lost"},
    };

    (void)state;
    mailbox.decide = say_arg;
    mailbox_start(&mailbox);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__verdict verdict;

        mailbox.arg = (void *)(uintptr_t)cases[i].answer;
        verdict = send_mail("        require_tls: false\n");
        if (verdict.kind != cases[i].kind || strcmp(verdict.reason, cases[i].reason) != 0)
            fail_msg("case %zu: %d %s", i, verdict.kind, verdict.reason);
    }
    assert_int_equal(mailbox.n, sizeof(cases) / sizeof(cases[0]));
}

/* One bad address does not keep the others from getting the page. */
static void test_smtp_refused_recipient(void **state)
{
    (void)state;
    mailbox.refuse = "z@example.org";
    mailbox_start(&mailbox);
    assert_int_equal(send_mail("        require_tls: false\n").kind, CLEW__DONE);
    assert_int_equal(refused, 1);
    assert_int_equal(mailbox.mails[0].nto, 1);
    assert_string_equal(mailbox.mails[0].to[0], "ops@example.org");
}

static void test_smtp_all_recipients_refused(void **state)
{
    struct clew__verdict verdict;

    (void)state;
    mailbox.refuse = "*";
    mailbox_start(&mailbox);
    verdict = send_mail("        require_tls: false\n");
    assert_int_equal(verdict.kind, CLEW__PERMANENT);
    assert_string_equal(verdict.reason, "smtp_550");
    assert_int_equal(mailbox.n, 0);
}

static void test_smtp_nobody_listens(void **state)
{
    (void)state;
    mailbox_start(&mailbox);
    (void)shutdown(mailbox.fd, SHUT_RDWR);
    assert_string_equal(send_mail("        require_tls: false\n").reason, "connection_refused");
}

int main(void)
{
#define TEST(function) \
    cmocka_unit_test_prestate_setup_teardown(function, rendering_setup, teardown, (void *)(USUAL))
    const struct CMUnitTest tests[] = {
        TEST(test_email_one_alert),
        TEST(test_email_group_names_what_changed),
        TEST(test_email_threads),
        TEST(test_email_hostile_values_stay_where_they_are),
        TEST(test_email_configured_parts),
        TEST(test_email_limits),
        TEST(test_email_configuration_errors),
        TEST(test_email_defaults),
        cmocka_unit_test(test_email_addresses),
        cmocka_unit_test(test_email_date),
        cmocka_unit_test(test_email_verdicts),
        TEST(test_smtp_plain),
        TEST(test_smtp_starttls_and_login),
        TEST(test_smtp_without_starttls_nothing_is_said),
        TEST(test_smtp_answers),
        TEST(test_smtp_refused_recipient),
        TEST(test_smtp_all_recipients_refused),
        TEST(test_smtp_nobody_listens),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
