/* SPDX-License-Identifier: Apache-2.0
 * See mime.h. There is no folding of plain text: a header that does not fit into
 * one line is encoded, so each line is written by one rule only. */
#include "mime.h"

#include <common/instant.h>

#include <clew/log.h>

#include <base64.h>
#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 78u
#define WORD_LINE_MAX 76u /* a line with an encoded word */
#define QUOTED_LINE_MAX 76u
#define ADDRESS_MAX 254u
#define NAME_MAX_BYTES 128u

/* ---- addresses -------------------------------------------------------- */

static bool is_mail(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);
    size_t domain;

    if (!at || at == text || len > ADDRESS_MAX)
        return false;
    for (const char *c = text; c < at; c++)
        if (*c <= ' ' || *c >= 0x7F || strchr("<>()[]:;,\\\"", *c))
            return false;
    domain = len - (size_t)(at + 1 - text);
    for (size_t i = 0; i < domain; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", at[1 + i]))
            return false;
    return domain > 0 && at[1] != '.' && at[1] != '-';
}

static void trim(const char **text, size_t *len)
{
    while (*len && (**text == ' ' || **text == '\t'))
        (*text)++, (*len)--;
    while (*len && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
        (*len)--;
}

static int add_address(struct clew__addresses *addresses, const char *text, size_t len)
{
    const char *open = memchr(text, '<', len), *mail = text;
    size_t mail_len = len, name_len = 0;
    struct clew__address *item = &addresses->items[addresses->n];

    if (open && text[len - 1] == '>') {
        mail = open + 1;
        mail_len = (size_t)(text + len - 1 - mail);
        name_len = (size_t)(open - text);
        trim(&text, &name_len);
        if (name_len >= 2 && text[0] == '"' && text[name_len - 1] == '"') {
            text++;
            name_len -= 2;
        }
    }
    if (!is_mail(mail, mail_len) || name_len > NAME_MAX_BYTES || memchr(text, '\\', name_len) ||
        memchr(text, '"', name_len))
        return clew_set_error(-EINVAL, "no address such as ops@example.org or "
                                       "Ops <ops@example.org>");
    item->name = strndup(text, name_len);
    item->mail = strndup(mail, mail_len);
    addresses->n++;
    return item->name && item->mail ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

int clew__addresses_parse(const char *text, struct clew__addresses *ret_addresses)
{
    struct clew__addresses addresses = {0};
    int r = 0;

    addresses.items = calloc(CLEW__ADDRESSES_MAX, sizeof(*addresses.items));
    addresses.mails = calloc(CLEW__ADDRESSES_MAX + 1, sizeof(*addresses.mails));
    if (!addresses.items || !addresses.mails)
        r = clew_set_error(-ENOMEM, "out of memory");
    while (r == 0 && *text) {
        bool quoted = false;
        size_t end = 0, len;
        const char *one = text;

        for (; text[end] && (quoted || text[end] != ','); end++)
            quoted = quoted != (text[end] == '"');
        text += end + (text[end] == ',');
        len = end;
        trim(&one, &len);
        if (len && addresses.n == CLEW__ADDRESSES_MAX)
            r = clew_set_error(-EINVAL, "more than %u addresses", CLEW__ADDRESSES_MAX);
        else if (len)
            r = add_address(&addresses, one, len);
    }
    if (r < 0) {
        clew__addresses_done(&addresses);
        return r;
    }
    for (size_t i = 0; i < addresses.n; i++)
        addresses.mails[i] = addresses.items[i].mail;
    *ret_addresses = addresses;
    return 0;
}

void clew__addresses_done(struct clew__addresses *addresses)
{
    for (size_t i = 0; i < addresses->n; i++) {
        free(addresses->items[i].name);
        free(addresses->items[i].mail);
    }
    free(addresses->items);
    free(addresses->mails);
    *addresses = (struct clew__addresses){0};
}

/* ---- headers ---------------------------------------------------------- */

bool clew__mime_is_name(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

    return len > 0 && len <= 40 && text[len] == '\0';
}

/* Encoded words, each in a line of its own; used: bytes of the first line that
 * are taken already. */
static void add_words(struct clew__buf *mail, const char *text, size_t len, size_t used)
{
    while (len) {
        size_t room = (WORD_LINE_MAX - used - 12) / 4 * 3; /* "=?UTF-8?B?" and "?=" */
        size_t n = clew__utf8_cut(text, len, room);
        char *p;

        clew__buf_adds(mail, "=?UTF-8?B?");
        p = clew__buf_room(mail, CLEW__BASE64_MAX(n));
        if (!p)
            return;
        mail->len += (size_t)(clew__put_base64(p, text, n) - p);
        clew__buf_adds(mail, "?=");
        text += n;
        len -= n;
        used = 1;
        if (len)
            clew__buf_adds(mail, "\r\n ");
    }
}

/* One line of valid UTF-8. */
static void clean(struct clew__buf *clean, const char *text, size_t len)
{
    clew__utf8_clean(clean, text, len);
    for (size_t i = 0; i < clean->len; i++)
        if ((unsigned char)clean->data[i] < ' ' || clean->data[i] == 0x7F)
            clean->data[i] = ' ';
}

static bool is_plain(const struct clew__buf *text)
{
    for (size_t i = 0; i < text->len; i++)
        if ((unsigned char)text->data[i] >= 0x7F ||
            (text->data[i] == '=' && i + 1 < text->len && text->data[i + 1] == '?'))
            return false;
    /* A space at an end could be lost. */
    return text->len == 0 || (text->data[0] != ' ' && text->data[text->len - 1] != ' ');
}

void clew__mime_header(struct clew__buf *mail, const char *name, const char *text, size_t len)
{
    size_t used = strlen(name) + 2;
    struct clew__buf line;

    clew__buf_init(&line, 1u << 20);
    clean(&line, text, len);
    clew__buf_addf(mail, "%s: ", name);
    if (line.failed)
        mail->failed = true;
    else if (is_plain(&line) && used + line.len <= LINE_MAX_BYTES)
        clew__buf_add(mail, line.data, line.len);
    else
        add_words(mail, line.data, line.len, used);
    clew__buf_adds(mail, "\r\n");
    clew__buf_done(&line);
}

void clew__mime_addresses(struct clew__buf *mail, const char *name,
                          const struct clew__addresses *addresses)
{
    clew__buf_addf(mail, "%s:", name);
    for (size_t i = 0; i < addresses->n; i++) {
        const struct clew__address *one = &addresses->items[i];
        struct clew__buf line;

        clew__buf_adds(mail, i ? ",\r\n " : " ");
        clew__buf_init(&line, 4096);
        clean(&line, one->name, strlen(one->name));
        if (line.failed)
            mail->failed = true;
        else if (line.len && is_plain(&line))
            clew__buf_addf(mail, "\"%.*s\" ", (int)line.len, line.data);
        else if (line.len) {
            add_words(mail, line.data, line.len, strlen(name) + 2);
            clew__buf_adds(mail, "\r\n ");
        }
        clew__buf_addf(mail, "<%s>", one->mail);
        clew__buf_done(&line);
    }
    clew__buf_adds(mail, "\r\n");
}

void clew__mime_date(struct clew__buf *mail, int64_t instant)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(instant / CLEW__SECOND_NS);
    struct tm time;

    if (gmtime_r(&seconds, &time))
        clew__buf_addf(mail, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d +0000\r\n",
                       days + 3 * time.tm_wday, time.tm_mday, months + 3 * time.tm_mon,
                       time.tm_year + 1900, time.tm_hour, time.tm_min, time.tm_sec);
}

/* ---- bodies ----------------------------------------------------------- */

void clew__mime_quoted(struct clew__buf *mail, const char *text, size_t len)
{
    size_t column = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool last = i + 1 == len || text[i + 1] == '\n';
        bool plain = (c > ' ' && c < 0x7F && c != '=') || ((c == ' ' || c == '\t') && !last);

        if (c == '\n') {
            clew__buf_adds(mail, "\r\n");
            column = 0;
            continue;
        }
        if (column + (plain ? 1 : 3) >= QUOTED_LINE_MAX) { /* room for the '=' */
            clew__buf_adds(mail, "=\r\n");
            column = 0;
        }
        if (plain)
            clew__buf_addc(mail, (char)c);
        else
            clew__buf_addf(mail, "=%02X", c);
        column += plain ? 1 : 3;
    }
    clew__buf_adds(mail, "\r\n");
}
