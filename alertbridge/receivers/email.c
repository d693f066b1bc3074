/* SPDX-License-Identifier: Apache-2.0
 * E-mail: a message per change of a group, as text and as HTML, under the keys of
 * Alertmanager's email_configs. All mails of an incident refer to the same root,
 * so mail programs show them as one thread; a mail that is sent again after a lost
 * answer has the same Message-ID, so mailboxes can drop it.
 *
 * What comes from outside is encoded by mime.h in headers and escaped in HTML.
 * STARTTLS is required unless the configuration says otherwise, and without TLS
 * a login goes to this machine only. No state; MT-Safe. */
#include "email_body.h"
#include "mime.h"
#include "text.h"

#include <common/digest.h>
#include <common/instant.h>

#include <clew/log.h>

#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT_MAX 250u /* characters */
#define BODY_TEXT_MAX 50000u
#define HEADERS_MAX 16
#define HEADER_TEXT_MAX 1000u
#define BOUNDARY "=_clew_alternative"

struct header {
    char *name;
    struct clew__template *text;
};

struct email {
    struct clew__addresses from, to;
    char *username, *password, *ca_file;
    struct header headers[HEADERS_MAX];
    size_t nheaders;
    struct clew__template *text, *html;
    bool no_html, no_text; /* switched off by an empty text */
    struct clew__mail_route route;
};

static const char *const keys[] = {"to",
                                   "from",
                                   "smarthost",
                                   "hello",
                                   "auth_username",
                                   "auth_password",
                                   "auth_password_file",
                                   "require_tls",
                                   "tls_config",
                                   "headers",
                                   "html",
                                   "text",
                                   "send_resolved",
                                   NULL};

static void release(void *options)
{
    struct email *email = options;

    if (!email)
        return;
    clew__addresses_done(&email->from);
    clew__addresses_done(&email->to);
    for (size_t i = 0; i < email->nheaders; i++) {
        free(email->headers[i].name);
        (void)clew__template_free(email->headers[i].text);
    }
    (void)clew__template_free(email->text);
    (void)clew__template_free(email->html);
    free(email->username);
    free(email->password);
    free(email->ca_file);
    free(email);
}

/* ---- configuration ---------------------------------------------------- */

static int read_addresses(struct clew__yaml_node mapping, const char *key,
                          struct clew__addresses *ret_addresses)
{
    struct clew__yaml_node node = clew__yaml_get(mapping, key);
    char *text = NULL, reason[256];
    int r = clew__yaml_text(node, 8192, "", &text);

    if (r < 0)
        return r;
    r = clew__addresses_parse(text, ret_addresses);
    free(text);
    if (r != -EINVAL)
        return r;
    (void)snprintf(reason, sizeof(reason), "%s", clew_last_error());
    return clew__yaml_error(node, "%s: %s", key, reason);
}

static bool is_host(const char *text, size_t len)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

    if (len > 2 && text[0] == '[' && text[len - 1] == ']')
        return strspn(text + 1, "0123456789abcdefABCDEF:.") >= len - 2;
    return len > 0 && len < 256 && strspn(text, name) >= len;
}

static bool is_this_machine(const char *smarthost)
{
    return strncmp(smarthost, "127.", 4) == 0 || strncmp(smarthost, "localhost:", 10) == 0 ||
           strncmp(smarthost, "[::1]:", 6) == 0;
}

/* "smtp://host:port/hello"; port 465 speaks TLS from its first byte. */
static int make_url(struct clew__integration *self, struct clew__yaml_node node,
                    const char *smarthost, const char *hello)
{
    const char *colon = strrchr(smarthost, ':');
    char url[640];

    if (!colon || !is_host(smarthost, (size_t)(colon - smarthost)) ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
        atoi(colon + 1) < 1 || atoi(colon + 1) > 65535)
        return clew__yaml_error(clew__yaml_get(node, "smarthost"), "smarthost is no host:port");
    if (!is_host(hello, strlen(hello)))
        return clew__yaml_error(node, "hello is no host name");
    (void)snprintf(url, sizeof(url), "%s://%s/%s", strcmp(colon, ":465") == 0 ? "smtps" : "smtp",
                   smarthost, hello);
    self->url = strdup(url);
    return self->url ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

static int read_server(struct clew__integration *self, struct clew__yaml_node node)
{
    struct email *email = self->options;
    char *smarthost = NULL, *hello = NULL;
    int r = clew__yaml_text(clew__yaml_get(node, "smarthost"), 280, "", &smarthost);

    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "hello"), 255, "localhost", &hello);
    if (r == 0 && *smarthost)
        r = make_url(self, node, smarthost, hello);
    else if (r == 0 && !(self->url = strdup("")))
        r = clew_set_error(-ENOMEM, "out of memory");
    if (r == 0 && *smarthost && *email->username && !email->route.require_tls &&
        !is_this_machine(smarthost))
        r = clew__yaml_error(node, "a password would go over the network in the clear: "
                                   "require_tls is needed with auth_username");
    free(smarthost);
    free(hello);
    return r;
}

static int read_login(struct email *email, struct clew__yaml_node node)
{
    static const char *const tls_keys[] = {"ca_file", NULL};
    struct clew__yaml_node tls = clew__yaml_get(node, "tls_config");
    struct clew__yaml_node none = {node.yaml, NULL};
    int r;

    email->route.require_tls = true;
    r = clew__yaml_bool(clew__yaml_get(node, "require_tls"), &email->route.require_tls);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "auth_username"), 256, "", &email->username);
    if (r == 0)
        r = clew__config_secret(node, "auth_password", "auth_password_file", &email->password);
    if (r == 0 && tls.node)
        r = clew__yaml_keys(tls, tls_keys);
    if (r == 0)
        r = clew__yaml_text(tls.node ? clew__yaml_get(tls, "ca_file") : none, 4096, "",
                            &email->ca_file);
    if (r == 0 && *email->username && !*email->password)
        r = clew__yaml_error(node, "auth_username needs auth_password");
    return r;
}

static int read_headers(struct email *email, struct clew__yaml_node node)
{
    static const char *const own[] = {"From",         "To",
                                      "Cc",           "Bcc",
                                      "Sender",       "Reply-To",
                                      "Message-ID",   "References",
                                      "Date",         "In-Reply-To",
                                      "MIME-Version", "Auto-Submitted",
                                      "Content-Type", "Content-Transfer-Encoding"};
    int n = clew__yaml_pairs(node, HEADERS_MAX), r = 0;

    for (int i = 0; i < n && r == 0; i++) {
        struct header *header = &email->headers[email->nheaders];
        struct clew__yaml_node value;
        struct clew__yaml_node key = clew__yaml_pair(node, i, &value);
        const char *name = clew__yaml_word(key);

        if (!clew__mime_is_name(name))
            return clew__yaml_error(key, "a header's name has letters, digits and hyphens");
        for (size_t j = 0; j < sizeof(own) / sizeof(own[0]); j++)
            if (strcasecmp(name, own[j]) == 0)
                return clew__yaml_error(key, "header %s cannot be set here", own[j]);
        for (size_t j = 0; j < email->nheaders; j++)
            if (strcasecmp(name, email->headers[j].name) == 0)
                return clew__yaml_error(key, "header %s stands here twice", name);
        header->name = strdup(name);
        if (!header->name)
            return clew_set_error(-ENOMEM, "out of memory");
        email->nheaders++;
        r = clew__config_template(node, name, "", &header->text);
    }
    return n < 0 ? n : r;
}

/* A template; an empty text switches the part off. */
static int read_part(struct clew__yaml_node mapping, const char *key,
                     struct clew__template **ret_template, bool *ret_off)
{
    char *text = NULL;
    int r = clew__yaml_text(clew__yaml_get(mapping, key), CLEW__YAML_TEXT_MAX, NULL, &text);

    *ret_off = r == 0 && text && !*text;
    free(text);
    return r == 0 && !*ret_off ? clew__config_template(mapping, key, NULL, ret_template) : r;
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct email *email = calloc(1, sizeof(*email));
    struct clew__buf to;
    int r;

    self->options = email;
    if (!email)
        return clew_set_error(-ENOMEM, "out of memory");
    r = read_addresses(node, "to", &email->to);
    if (r == 0)
        r = read_addresses(node, "from", &email->from);
    if (r == 0)
        r = read_login(email, node);
    if (r == 0)
        r = read_server(self, node);
    if (r == 0)
        r = read_headers(email, clew__yaml_get(node, "headers"));
    if (r == 0)
        r = read_part(node, "text", &email->text, &email->no_text);
    if (r == 0)
        r = read_part(node, "html", &email->html, &email->no_html);
    if (r < 0)
        return r;
    if (email->no_text && email->no_html)
        return clew__yaml_error(node, "text and html are both empty");
    self->off = !*self->url || email->to.n == 0;
    if (!self->off && email->from.n != 1)
        return clew__yaml_error(node, "from has to be one address");
    email->route.from = email->from.n ? email->from.items[0].mail : "";
    email->route.to = email->to.mails;
    email->route.username = email->username;
    email->route.password = email->password;
    email->route.ca_file = email->ca_file;
    self->mail = &email->route;
    clew__buf_init(&to, 16384);
    for (size_t i = 0; i < email->to.n; i++)
        clew__buf_addf(&to, "%s,", email->to.items[i].mail);
    clew__buf_addc(&to, '\0');
    clew__integration_name_target(self, to.data ? to.data : "");
    clew__buf_done(&to);
    return 0;
}

/* ---- the mail --------------------------------------------------------- */

static void add_part(struct clew__buf *mail, const struct email *email, bool html,
                     const struct clew__config *config, const struct clew__page *page)
{
    const struct clew__template *template = html ? email->html : email->text;
    struct clew__buf text, clean;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__buf_init(&clean, 2 * CLEW__TEMPLATE_RESULT_MAX);
    if (template)
        clew__template_render(template, page, html ? clew__escape_html : NULL, &text);
    else
        clew__email_body(&text, html, config, page);
    clew__text_cut(&text, BODY_TEXT_MAX);
    clew__utf8_clean(&clean, text.data ? text.data : "", text.len);
    clew__buf_addf(mail,
                   "--" BOUNDARY "\r\nContent-Type: text/%s; charset=utf-8\r\n"
                   "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                   html ? "html" : "plain");
    clew__mime_quoted(mail, clean.data ? clean.data : "", clean.len);
    if (text.failed || clean.failed)
        mail->failed = true;
    clew__buf_done(&text);
    clew__buf_done(&clean);
}

static void add_headers(struct clew__buf *mail, const struct email *email,
                        const struct clew__page *page)
{
    bool subject = false;
    struct clew__buf text;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    for (size_t i = 0; i < email->nheaders; i++) {
        const struct header *header = &email->headers[i];

        clew__template_render(header->text, page, NULL, &text);
        clew__text_cut(&text, HEADER_TEXT_MAX);
        clew__mime_header(mail, header->name, text.data ? text.data : "", text.len);
        clew__buf_reset(&text);
        subject = subject || strcasecmp(header->name, "Subject") == 0;
    }
    if (!subject) {
        clew__text_title(&text, page, NULL);
        clew__text_cut(&text, SUBJECT_MAX);
        clew__mime_header(mail, "Subject", text.data ? text.data : "", text.len);
    }
    clew__buf_done(&text);
}

/* The mail's id, and the root of its thread. They differ in their first word. */
static void add_ids(struct clew__buf *mail, const struct clew__integration *self,
                    const struct clew__page *page)
{
    const struct email *email = self->options;
    const char *domain = strchr(email->route.from, '@');
    char id[24], opened[24], message[CLEW__DIGEST_TEXT], root[CLEW__DIGEST_TEXT];

    (void)snprintf(id, sizeof(id), "%lld", (long long)page->id);
    (void)snprintf(opened, sizeof(opened), "%lld", (long long)page->opened_at);
    clew__digest((const char *const[]){"mail", self->target, page->dedup_key, opened, id}, 5,
                 message);
    clew__digest((const char *const[]){"thread", self->target, page->dedup_key, opened}, 4, root);
    clew__buf_addf(mail, "Message-ID: <%.32s%s>\r\n", message, domain);
    clew__buf_addf(mail, "In-Reply-To: <%.32s%s>\r\nReferences: <%.32s%s>\r\n", root, domain, root,
                   domain);
}

static int render(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body)
{
    const struct email *email = self->options;

    clew__mime_date(body, clew__instant_now());
    clew__mime_addresses(body, "From", &email->from);
    clew__mime_addresses(body, "To", &email->to);
    add_headers(body, email, page);
    add_ids(body, self, page);
    clew__buf_adds(body, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                         "Content-Type: multipart/alternative; boundary=\"" BOUNDARY "\"\r\n\r\n");
    if (!email->no_text)
        add_part(body, email, false, config, page);
    if (!email->no_html)
        add_part(body, email, true, config, page);
    clew__buf_adds(body, "--" BOUNDARY "--\r\n");
    return body->failed ? clew_set_error(-ENOMEM, "out of memory") : 0;
}

/* RFC 5321, section 4.2.1: 4yz may work later, 5yz never will. */
static struct clew__verdict verdict(const struct clew__answer *answer)
{
    struct clew__verdict verdict = {.kind = CLEW__RETRY, .wait_seconds = -1};

    if (answer->status == 0) {
        (void)snprintf(verdict.reason, sizeof(verdict.reason), "%s", answer->problem);
        return verdict;
    }
    (void)snprintf(verdict.reason, sizeof(verdict.reason), "smtp_%u", answer->status);
    if (answer->status >= 200 && answer->status < 300)
        verdict.kind = CLEW__DONE;
    else if (answer->status >= 500)
        verdict.kind = CLEW__PERMANENT;
    return verdict;
}

const struct clew__receiver_ops clew__email = {
    .kind = "email",
    .incidents = false,
    .send_resolved = false, /* as in Alertmanager */
    .keys = keys,
    .configure = configure,
    .release = release,
    .render = render,
    .verdict = verdict,
};
