/* SPDX-License-Identifier: Apache-2.0
 * See mailbox.h. One thread, one connection at a time. */
#include "mailbox.h"

#include <buf.h>

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

/* ---- a connection, with or without TLS -------------------------------- */

struct client {
    struct mailbox *mailbox;
    int fd;
    gnutls_session_t tls; /* NULL before STARTTLS */
    char in[4096];
    size_t at, len;
    struct mail mail;
    bool greeted;
};

static ssize_t receive(struct client *client)
{
    ssize_t n;

    if (!client->tls)
        return recv(client->fd, client->in, sizeof(client->in), 0);
    do {
        n = gnutls_record_recv(client->tls, client->in, sizeof(client->in));
    } while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
    return n;
}

/* A line without its CRLF, NUL-terminated in buf; false at the end. */
static bool get_line(struct client *client, struct clew__buf *line)
{
    clew__buf_reset(line);
    for (;;) {
        char c;

        if (client->at == client->len) {
            ssize_t n = receive(client);

            if (n <= 0)
                return false;
            client->at = 0;
            client->len = (size_t)n;
        }
        c = client->in[client->at++];
        if (c != '\n') {
            clew__buf_addc(line, c);
            continue;
        }
        if (line->len == 0 || line->data[line->len - 1] != '\r')
            client->mailbox->violations++;
        else
            line->len--;
        clew__buf_addc(line, '\0');
        return true;
    }
}

static void say(struct client *client, const char *text)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "%s\r\n", text);

    if (client->tls)
        (void)gnutls_record_send(client->tls, line, (size_t)len);
    else
        (void)send(client->fd, line, (size_t)len, MSG_NOSIGNAL);
}

static bool start_tls(struct client *client)
{
    int r;

    say(client, "220 go ahead");
    must(gnutls_init(&client->tls, GNUTLS_SERVER) == 0, "gnutls_init");
    (void)gnutls_set_default_priority(client->tls);
    (void)gnutls_credentials_set(client->tls, GNUTLS_CRD_CERTIFICATE, client->mailbox->credentials);
    gnutls_transport_set_int(client->tls, client->fd);
    do {
        r = gnutls_handshake(client->tls);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    client->at = client->len = 0;
    client->mail.tls = r == 0;
    client->greeted = false;
    return r == 0;
}

/* ---- the dialogue ----------------------------------------------------- */

static void copy(char *to, size_t size, const char *text, size_t len)
{
    (void)snprintf(to, size, "%.*s", (int)len, text);
}

static void take_recipient(struct client *client, const char *text)
{
    const char *refuse = client->mailbox->refuse;
    struct mail *mail = &client->mail;
    size_t len = strcspn(text, ">");

    if (refuse &&
        (strcmp(refuse, "*") == 0 || (strlen(refuse) == len && strncmp(refuse, text, len) == 0))) {
        say(client, "550 5.1.1 no such mailbox");
        return;
    }
    must(mail->nto < 8, "recipients");
    copy(mail->to[mail->nto++], sizeof(mail->to[0]), text, len);
    say(client, "250 ok");
}

/* Until the dot; the mail is recorded and answered. */
static bool take_data(struct client *client, struct clew__buf *line)
{
    struct mailbox *mailbox = client->mailbox;
    struct clew__buf text;
    const char *answer = "250 2.0.0 queued";
    size_t len;

    clew__buf_init(&text, 16u << 20);
    say(client, "354 go on");
    for (;;) {
        bool dotted;

        if (!get_line(client, line)) {
            clew__buf_done(&text);
            return false;
        }
        if (strcmp(line->data, ".") == 0)
            break;
        dotted = line->data[0] == '.';
        if (line->len - 1 > client->mail.longest)
            client->mail.longest = line->len - 1;
        mailbox->violations += strlen(line->data) + 1 != line->len; /* a NUL */
        clew__buf_add(&text, line->data + dotted, line->len - 1 - dotted);
        clew__buf_adds(&text, "\r\n");
    }
    client->mail.text = clew__buf_take(&text, &len);
    (void)pthread_mutex_lock(&mailbox->lock);
    if (mailbox->decide)
        answer = mailbox->decide(mailbox);
    mailbox->mails = realloc(mailbox->mails, (mailbox->n + 1) * sizeof(*mailbox->mails));
    must(mailbox->mails != NULL, "realloc");
    mailbox->mails[mailbox->n++] = client->mail;
    (void)pthread_cond_broadcast(&mailbox->changed);
    (void)pthread_mutex_unlock(&mailbox->lock);
    client->mail.text = NULL;
    client->mail.nto = 0;
    if (answer)
        say(client, answer);
    return answer != NULL;
}

static void take_login(struct client *client, const char *text)
{
    const char *password = client->mailbox->password;

    copy(client->mail.login, sizeof(client->mail.login), text, strlen(text));
    say(client, !password || strcmp(password, text) == 0 ? "235 2.7.0 welcome" : "535 5.7.8 wrong");
}

static void greet(struct client *client, const char *name)
{
    bool tls = client->tls != NULL;

    copy(client->mail.hello, sizeof(client->mail.hello), name, strlen(name));
    client->greeted = true;
    say(client, "250-mailbox");
    if (client->mailbox->starttls && !tls)
        say(client, "250-STARTTLS");
    else
        say(client, "250-AUTH PLAIN");
    say(client, "250 8BITMIME");
}

/* false: the connection ends. */
static bool obey(struct client *client, struct clew__buf *line)
{
    const char *text = line->data;

    if (strncmp(text, "EHLO ", 5) == 0) {
        greet(client, text + 5);
    } else if (strcmp(text, "QUIT") == 0) {
        say(client, "221 bye");
        return false;
    } else if (!client->greeted) {
        if (strcmp(text, "STARTTLS") != 0)
            client->mailbox->violations++;
        say(client, "503 say EHLO first");
    } else if (strcmp(text, "STARTTLS") == 0) {
        return start_tls(client);
    } else if (strncmp(text, "AUTH PLAIN ", 11) == 0) {
        take_login(client, text + 11);
    } else if (strcmp(text, "AUTH PLAIN") == 0) {
        say(client, "334 ");
        if (!get_line(client, line))
            return false;
        take_login(client, line->data);
    } else if (strncmp(text, "MAIL FROM:<", 11) == 0) {
        copy(client->mail.from, sizeof(client->mail.from), text + 11, strcspn(text + 11, ">"));
        client->mail.nto = 0;
        say(client, "250 ok");
    } else if (strncmp(text, "RCPT TO:<", 9) == 0) {
        take_recipient(client, text + 9);
    } else if (strcmp(text, "DATA") == 0 && client->mail.nto) {
        return take_data(client, line);
    } else if (strcmp(text, "RSET") == 0) {
        client->mail.nto = 0;
        say(client, "250 ok");
    } else {
        client->mailbox->violations++;
        say(client, "500 what?");
    }
    return true;
}

static void serve(struct mailbox *mailbox, int fd)
{
    struct client client = {.mailbox = mailbox, .fd = fd};
    struct clew__buf line;

    clew__buf_init(&line, 1u << 20);
    say(&client, "220 mailbox ready");
    while (get_line(&client, &line) && obey(&client, &line))
        ;
    if (client.tls)
        gnutls_deinit(client.tls);
    clew__buf_done(&line);
}

static void *run(void *arg)
{
    struct mailbox *mailbox = arg;

    for (;;) {
        int fd = accept(mailbox->fd, NULL, NULL);
        bool stop;

        (void)pthread_mutex_lock(&mailbox->lock);
        stop = mailbox->stop || fd < 0;
        mailbox->client = fd;
        (void)pthread_mutex_unlock(&mailbox->lock);
        if (!stop)
            serve(mailbox, fd);
        (void)pthread_mutex_lock(&mailbox->lock);
        mailbox->client = -1;
        (void)pthread_mutex_unlock(&mailbox->lock);
        if (fd >= 0)
            (void)close(fd);
        if (stop)
            return NULL;
    }
}

/* ---- the certificate -------------------------------------------------- */

static void make_certificate(struct mailbox *mailbox)
{
    static const unsigned char loopback[] = {127, 0, 0, 1};
    gnutls_certificate_credentials_t credentials;
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t pem;
    time_t now = time(NULL);
    FILE *file;

    must(gnutls_x509_privkey_init(&key) == 0 && gnutls_x509_crt_init(&certificate) == 0, "x509");
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0,
         "key");
    (void)gnutls_x509_crt_set_version(certificate, 3);
    (void)gnutls_x509_crt_set_serial(certificate, "\x01", 1);
    (void)gnutls_x509_crt_set_activation_time(certificate, now - 3600);
    (void)gnutls_x509_crt_set_expiration_time(certificate, now + 86400);
    (void)gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "mailbox", 7);
    (void)gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, loopback, 4,
                                               GNUTLS_FSAN_SET);
    (void)gnutls_x509_crt_set_basic_constraints(certificate, 1, -1);
    (void)gnutls_x509_crt_set_key(certificate, key);
    must(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0) == 0, "sign");
    must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem) == 0, "export");
    file = fopen(mailbox->ca_file, "w");
    must(file && fwrite(pem.data, 1, pem.size, file) == pem.size && fclose(file) == 0, "ca_file");
    gnutls_free(pem.data);
    must(gnutls_certificate_allocate_credentials(&credentials) == 0, "credentials");
    must(gnutls_certificate_set_x509_key(credentials, &certificate, 1, key) == 0, "set key");
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    mailbox->credentials = credentials;
}

void mailbox_start(struct mailbox *mailbox)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(mailbox->port)};
    socklen_t len = sizeof(address);
    int yes = 1;

    if (mailbox->starttls)
        make_certificate(mailbox);
    (void)pthread_mutex_init(&mailbox->lock, NULL);
    (void)pthread_cond_init(&mailbox->changed, NULL);
    mailbox->client = -1;
    mailbox->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(mailbox->fd >= 0, "socket");
    (void)setsockopt(mailbox->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    must(bind(mailbox->fd, (struct sockaddr *)&address, len) == 0, "bind");
    must(listen(mailbox->fd, 8) == 0, "listen");
    must(getsockname(mailbox->fd, (struct sockaddr *)&address, &len) == 0, "getsockname");
    mailbox->port = ntohs(address.sin_port);
    must(pthread_create(&mailbox->thread, NULL, run, mailbox) == 0, "pthread_create");
}

void mailbox_stop(struct mailbox *mailbox)
{
    (void)pthread_mutex_lock(&mailbox->lock);
    mailbox->stop = true;
    (void)shutdown(mailbox->fd, SHUT_RDWR); /* wakes accept() */
    if (mailbox->client >= 0)
        (void)shutdown(mailbox->client, SHUT_RDWR);
    (void)pthread_mutex_unlock(&mailbox->lock);
    (void)pthread_join(mailbox->thread, NULL);
    (void)close(mailbox->fd);
    for (size_t i = 0; i < mailbox->n; i++)
        free(mailbox->mails[i].text);
    free(mailbox->mails);
    if (mailbox->credentials)
        gnutls_certificate_free_credentials(mailbox->credentials);
    (void)pthread_cond_destroy(&mailbox->changed);
    (void)pthread_mutex_destroy(&mailbox->lock);
    *mailbox = (struct mailbox){0};
}

bool mailbox_wait(struct mailbox *mailbox, size_t n, unsigned seconds)
{
    struct timespec time;
    bool reached;
    int r = 0;

    (void)clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += seconds;
    (void)pthread_mutex_lock(&mailbox->lock);
    while (mailbox->n < n && r == 0)
        r = pthread_cond_timedwait(&mailbox->changed, &mailbox->lock, &time);
    reached = mailbox->n >= n;
    (void)pthread_mutex_unlock(&mailbox->lock);
    return reached;
}
