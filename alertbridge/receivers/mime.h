/* SPDX-License-Identifier: Apache-2.0
 * The forms of a mail (RFC 5322, 2045, 2047): whatever a text holds, it stays
 * within its header or body, lines end in CRLF and have at most 78 bytes (one
 * with a long address: 400). Pure functions. */
#ifndef CLEW_ALERTBRIDGE_MIME_H
#define CLEW_ALERTBRIDGE_MIME_H

#include <buf.h>

#include <stdbool.h>
#include <stdint.h>

/* One address, as "ops@example.org" or "On call <ops@example.org>". */
struct clew__address {
    char *name; /* "" for none */
    char *mail;
};

struct clew__addresses {
    struct clew__address *items;
    const char **mails; /* the same without names, NULL-terminated */
    size_t n;
};

#define CLEW__ADDRESSES_MAX 50u

/* Reads a list separated by commas; empty: none.
 * owner    clew__addresses_done()
 * returns  0; -EINVAL with the reason in clew_last_error(); -ENOMEM */
int clew__addresses_parse(const char *text, struct clew__addresses *ret_addresses);
void clew__addresses_done(struct clew__addresses *addresses);

/* Whether text may be a header's name: 1..40 letters, digits and hyphens. */
bool clew__mime_is_name(const char *text);

/* A header with a text. Control characters become spaces; what is not plain ASCII
 * or does not fit into a line becomes encoded words. */
void clew__mime_header(struct clew__buf *mail, const char *name, const char *text, size_t len);
void clew__mime_addresses(struct clew__buf *mail, const char *name,
                          const struct clew__addresses *addresses);
void clew__mime_date(struct clew__buf *mail, int64_t instant);

/* A body as quoted-printable. No "=_" is ever in it, so a boundary that begins
 * with that cannot be forged. */
void clew__mime_quoted(struct clew__buf *mail, const char *text, size_t len);

#endif
