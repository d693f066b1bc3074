/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/glib.h: what GLib programs and libraries log becomes lines of the log.
 *
 * Header-only, so that libclew needs no GLib (2.50 and later). Once, at the
 * beginning of main():
 *
 *     clew_glib_install();
 *
 * Each event is a line "GLib message" with the fields text (MESSAGE) and domain
 * (GLIB_DOMAIN); other fields whose values are text are in the field "fields",
 * as "KEY=value KEY=value". g_error() is FATAL, g_critical() ERROR, g_warning()
 * WARN, g_message() and g_info() INFO, g_debug() DEBUG. What is written follows
 * from the log's own level; G_MESSAGES_DEBUG plays no part.
 */
#ifndef CLEW_GLIB_H
#define CLEW_GLIB_H

#include <clew/log.h>
#include <glib.h>
#include <string.h>

#define CLEW_GLIB_FIELDS_BYTES_ 2048u

struct clew_glib_event_ {
    const char *text;
    size_t text_len;
    const char *domain;
    size_t domain_len;
    int priority;    /* of syslog(3), -1 for none */
    size_t more_len; /* 0: no other fields */
    char more[CLEW_GLIB_FIELDS_BYTES_];
};

/* A value is NUL-terminated text when its length is -1, else bytes. */
static inline size_t clew_glib_length_(const GLogField *field)
{
    return field->length < 0 ? strlen((const char *)field->value) : (size_t)field->length;
}

static inline bool clew_glib_is_text_(const GLogField *field)
{
    return field->value && g_utf8_validate((const char *)field->value, (gssize)field->length, NULL);
}

/* Fields that do not fit are left out whole. */
static inline void clew_glib_add_(struct clew_glib_event_ *event, const GLogField *field)
{
    size_t key = strlen(field->key), len = clew_glib_length_(field);
    size_t left = sizeof(event->more) - event->more_len;

    if (key >= left || len >= left || key + len + 2 > left)
        return;
    if (event->more_len > 0)
        event->more[event->more_len++] = ' ';
    memcpy(event->more + event->more_len, field->key, key);
    event->more_len += key;
    event->more[event->more_len++] = '=';
    memcpy(event->more + event->more_len, field->value, len);
    event->more_len += len;
}

static inline void clew_glib_take_(struct clew_glib_event_ *event, const GLogField *field)
{
    if (strcmp(field->key, "MESSAGE") == 0) {
        event->text = (const char *)field->value;
        event->text_len = event->text ? clew_glib_length_(field) : 0;
    } else if (!clew_glib_is_text_(field)) {
        return;
    } else if (strcmp(field->key, "GLIB_DOMAIN") == 0) {
        event->domain = (const char *)field->value;
        event->domain_len = clew_glib_length_(field);
    } else if (strcmp(field->key, "PRIORITY") == 0) {
        const char *digit = (const char *)field->value;

        if (clew_glib_length_(field) == 1 && *digit >= '0' && *digit <= '7')
            event->priority = *digit - '0';
    } else {
        clew_glib_add_(event, field);
    }
}

static inline enum clew_level clew_glib_level_(GLogLevelFlags flags, int priority)
{
    static const enum clew_level by_priority[] = {
        CLEW_LEVEL_FATAL, CLEW_LEVEL_ERROR, CLEW_LEVEL_ERROR, CLEW_LEVEL_ERROR,
        CLEW_LEVEL_WARN,  CLEW_LEVEL_INFO,  CLEW_LEVEL_INFO,  CLEW_LEVEL_DEBUG};

    if (flags & G_LOG_LEVEL_ERROR)
        return CLEW_LEVEL_FATAL;
    if (flags & G_LOG_LEVEL_CRITICAL)
        return CLEW_LEVEL_ERROR;
    if (flags & G_LOG_LEVEL_WARNING)
        return CLEW_LEVEL_WARN;
    if (flags & (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO))
        return CLEW_LEVEL_INFO;
    if (flags & G_LOG_LEVEL_DEBUG)
        return CLEW_LEVEL_DEBUG;
    return priority < 0 ? CLEW_LEVEL_INFO : by_priority[priority]; /* a level of the program */
}

static inline void clew_glib_emit_(enum clew_level level, const struct clew_glib_event_ *event)
{
#define CLEW_GLIB_CASE_(name, number, lower)                                          \
    case CLEW_LEVEL_##name:                                                           \
        if (event->more_len > 0)                                                      \
            clew_log(CLEW_LEVEL_##name, "GLib message",                               \
                     clew_kvn("text", event->text, event->text_len),                  \
                     clew_kvn("domain", event->domain, event->domain_len),            \
                     clew_kvn("fields", (const char *)event->more, event->more_len)); \
        else                                                                          \
            clew_log(CLEW_LEVEL_##name, "GLib message",                               \
                     clew_kvn("text", event->text, event->text_len),                  \
                     clew_kvn("domain", event->domain, event->domain_len));           \
        break;
    switch (level) {
        CLEW_LEVEL_MAP(CLEW_GLIB_CASE_)
    case CLEW_LEVEL_OFF:
        break;
    }
#undef CLEW_GLIB_CASE_
}

/* The GLogWriterFunc, for programs that call g_log_set_writer_func() or call it
 * from a writer of their own. Where GLib is about to abort it waits, up to 2 s,
 * until the line is out. MT-Safe. */
static inline GLogWriterOutput clew_glib_writer(GLogLevelFlags flags, const GLogField *fields,
                                                gsize n, gpointer data)
{
    struct clew_glib_event_ event;

    (void)data;
    event.text = NULL;
    event.domain = NULL;
    event.text_len = event.domain_len = event.more_len = 0;
    event.priority = -1;
    for (gsize i = 0; i < n; i++)
        clew_glib_take_(&event, &fields[i]);
    clew_glib_emit_(clew_glib_level_(flags, event.priority), &event);
    if (flags & (G_LOG_FLAG_FATAL | G_LOG_LEVEL_ERROR))
        (void)clew_log_flush(2000);
    return G_LOG_WRITER_HANDLED;
}

/* Makes it GLib's writer. GLib allows that once a process, and not in libraries:
 * a second time ends the program. */
static inline void clew_glib_install(void)
{
    g_log_set_writer_func(clew_glib_writer, NULL, NULL);
}

#endif
