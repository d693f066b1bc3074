/* SPDX-License-Identifier: Apache-2.0
 *
 * Which format a scraper wants (RFC 9110, sections 12.4 and 12.5; the forms that
 * Prometheus asks for are in its documentation, "Content negotiation"). A header
 * that makes no sense is passed over, element by element.
 */
#include "registry_priv.h"

#include <strings.h>

struct span {
    const char *at;
    size_t len;
};

/* One element: a media range or a coding, with what matters of its parameters. */
struct element {
    struct span name;
    struct span version, escaping, proto, encoding;
    unsigned q; /* thousandths */
};

enum escaping { NOT_SAID, ALLOW_UTF_8, UNDERSCORES, ESCAPINGS };

/* Names here need no escaping, so every scheme gives the same page. */
#define TYPES(type)                                                        \
    {                                                                      \
        type, type "; escaping=allow-utf-8", type "; escaping=underscores" \
    }
enum { PROTOBUF, OPENMETRICS, OPENMETRICS_0, TEXT, OFFERS };
static const struct {
    enum clew_exposition exposition;
    const char *content_type[ESCAPINGS];
} offers[OFFERS] = {
    [PROTOBUF] = {CLEW_EXPOSITION_PROTOBUF,
                  TYPES("application/vnd.google.protobuf; "
                        "proto=io.prometheus.client.MetricFamily; encoding=delimited")},
    [OPENMETRICS] = {CLEW_EXPOSITION_OPENMETRICS,
                     TYPES("application/openmetrics-text; version=1.0.0; charset=utf-8")},
    [OPENMETRICS_0] = {CLEW_EXPOSITION_OPENMETRICS,
                       TYPES("application/openmetrics-text; version=0.0.1; charset=utf-8")},
    [TEXT] = {CLEW_EXPOSITION_TEXT, TYPES("text/plain; version=0.0.4; charset=utf-8")},
};

static bool is(struct span span, const char *text)
{
    return span.len == strlen(text) && strncasecmp(span.at, text, span.len) == 0;
}

static struct span trim(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    return (struct span){from, (size_t)(to - from)};
}

/* Up to one of the separators, but not in a quoted string. */
static const char *find_end(const char *p, const char *separators)
{
    bool quoted = false;

    for (; *p && (quoted || !strchr(separators, *p)); p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (*p == '\\' && quoted && p[1])
            p++;
    }
    return p;
}

/* 0 to 1 with three decimals at most; anything else counts as 0. */
static unsigned read_q(struct span text)
{
    unsigned q = 0, unit = 1000;

    if (text.len < 1 || text.len > 5 || (text.at[0] != '0' && text.at[0] != '1') ||
        (text.len > 1 && text.at[1] != '.'))
        return 0;
    for (size_t i = 0; i < text.len; i++, unit /= 10) {
        if (i == 1)
            i++;
        if (i == text.len)
            break;
        if (text.at[i] < '0' || text.at[i] > '9')
            return 0;
        q += (unsigned)(text.at[i] - '0') * unit;
    }
    return q > 1000 ? 0 : q;
}

static void read_parameter(struct element *element, const char *from, const char *to)
{
    const char *equals = memchr(from, '=', (size_t)(to - from));
    struct span name = trim(from, equals ? equals : to);
    struct span value = equals ? trim(equals + 1, to) : (struct span){"", 0};

    if (value.len >= 2 && value.at[0] == '"') {
        value.at++;
        value.len -= 2;
    }
    if (is(name, "q"))
        element->q = read_q(value);
    else if (is(name, "version"))
        element->version = value;
    else if (is(name, "escaping"))
        element->escaping = value;
    else if (is(name, "proto"))
        element->proto = value;
    else if (is(name, "encoding"))
        element->encoding = value;
}

/* The next element of a list; false at its end. */
static bool next_element(const char **at, struct element *ret)
{
    const char *p = *at, *end;

    if (!p || !*p)
        return false;
    *ret = (struct element){.q = 1000};
    end = find_end(p, ",;");
    ret->name = trim(p, end);
    for (p = end; *p == ';'; p = end) {
        end = find_end(p + 1, ",;");
        read_parameter(ret, p + 1, end);
    }
    *at = *p ? p + 1 : p;
    return true;
}

/* How closely an element names an offer: 0 not at all. */
static unsigned closeness(const struct element *e, int offer)
{
    switch (offer) {
    case PROTOBUF:
        return is(e->name, "application/vnd.google.protobuf") &&
                       is(e->proto, "io.prometheus.client.MetricFamily") &&
                       is(e->encoding, "delimited")
                   ? 3
                   : 0;
    case OPENMETRICS:
        return is(e->name, "application/openmetrics-text") &&
                       (e->version.len == 0 || is(e->version, "1.0.0"))
                   ? 3
                   : 0;
    case OPENMETRICS_0:
        return is(e->name, "application/openmetrics-text") && is(e->version, "0.0.1") ? 3 : 0;
    default: /* 1.0.0 is 0.0.4 with names in quotes, of which there are none */
        if (is(e->name, "text/plain") &&
            (e->version.len == 0 || is(e->version, "0.0.4") || is(e->version, "1.0.0")))
            return 3;
        return is(e->name, "text/*") ? 2 : is(e->name, "*/*") ? 1 : 0;
    }
}

static enum escaping escaping_of(const struct element *e)
{
    return is(e->escaping, "allow-utf-8")   ? ALLOW_UTF_8
           : is(e->escaping, "underscores") ? UNDERSCORES
                                            : NOT_SAID;
}

static bool wants_gzip(const char *accept_encoding)
{
    struct element element;
    bool gzip = false, any = false, said = false;

    while (next_element(&accept_encoding, &element)) {
        if (is(element.name, "gzip") || is(element.name, "x-gzip")) {
            gzip = element.q > 0;
            said = true;
        } else if (is(element.name, "*")) {
            any = element.q > 0;
        }
    }
    return said ? gzip : any;
}

void clew_page_negotiate(const char *accept, const char *accept_encoding,
                         struct clew_page_format *ret_format)
{
    struct {
        unsigned closeness, q;
        enum escaping escaping;
    } wanted[OFFERS] = {{0}};
    struct element element;
    int best = TEXT;

    while (next_element(&accept, &element))
        for (int i = 0; i < OFFERS; i++) {
            unsigned close = closeness(&element, i);

            if (close < wanted[i].closeness || close == 0 ||
                (close == wanted[i].closeness && element.q <= wanted[i].q))
                continue;
            wanted[i].closeness = close;
            wanted[i].q = element.q;
            wanted[i].escaping = escaping_of(&element);
        }
    for (int i = OFFERS - 1; i >= 0; i--)
        if (wanted[i].q && wanted[i].q >= wanted[best].q)
            best = i;
    ret_format->exposition = offers[best].exposition;
    ret_format->content_type = offers[best].content_type[wanted[best].escaping];
    ret_format->gzip = wants_gzip(accept_encoding);
}
