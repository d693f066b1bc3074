/* SPDX-License-Identifier: Apache-2.0
 * A mail server for tests: SMTP on a loopback port, with STARTTLS and a login if
 * wanted, that records every mail. It takes the protocol seriously: commands out
 * of order, bare line feeds and lines that are too long are refused. */
#ifndef CLEW_TEST_MAILBOX_H
#define CLEW_TEST_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail {
    char hello[128], from[320], login[320]; /* login: what AUTH PLAIN said, in base64 */
    char to[8][320];
    size_t nto;
    bool tls;
    char *text;     /* as it was sent, dots undone, CRLF */
    size_t longest; /* line in it */
};

struct mailbox {
    uint16_t port;
    bool starttls;        /* offered; so is AUTH PLAIN, within TLS if there is TLS */
    const char *ca_file;  /* where the certificate for 127.0.0.1 is written, with starttls */
    const char *refuse;   /* a recipient that gets 550; "*": all */
    const char *password; /* AUTH PLAIN in base64 that is right; NULL: any */
    /* Decides the answer after the mail's end, with the lock held: a line without
     * CRLF; NULL: cut the connection. Not set: 250. */
    const char *(*decide)(struct mailbox *mailbox);
    void *arg;
    struct mail *mails; /* all that came, taken or not */
    size_t n;
    unsigned violations; /* of the protocol */
    /* the server's own */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int fd, client;
    bool stop;
    void *credentials;
};

void mailbox_start(struct mailbox *mailbox);
void mailbox_stop(struct mailbox *mailbox);
/* Waits until n mails came; false after seconds. */
bool mailbox_wait(struct mailbox *mailbox, size_t n, unsigned seconds);

#endif
