/* SPDX-License-Identifier: Apache-2.0
 *
 * syslog(3) as log calls. Programs and libraries that call syslog() get their
 * messages into the structured log when this library is linked before libc, or
 * preloaded:
 *
 *     LD_PRELOAD=libclew-syslog.so.0 CLEW_LOG_OUTPUT=/var/log/app.json app
 *
 * A call becomes the line "syslog message" with the fields text, ident (of
 * openlog(), else the program's name), pid, facility and severity as syslog names
 * them. emerg is FATAL; alert, crit and err are ERROR; warning is WARN; notice
 * and info are INFO; debug is DEBUG. The mask of setlogmask() holds as ever.
 * openlog()'s options are for a connection that does not exist and play no part.
 * Do not send the log to syslog by the C library while this is in place; the
 * sink of libclew does not use it.
 *
 * Threads: what openlog() and setlogmask() set is under a lock, which is held
 * while it is copied only. As with syslog(3), not for signal handlers.
 */
#include <clew/log.h>
#include <json.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define IDENT_BYTES 64
#define TEXT_BYTES 8192

/* The checked variants are what _FORTIFY_SOURCE makes of the calls. */
void __syslog_chk(int priority, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void __vsyslog_chk(int priority, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char ident[IDENT_BYTES]; /* "": none was given */
static int default_facility = LOG_USER;
static int mask = 0xFF;

void openlog(const char *name, int options, int facility)
{
    (void)options;
    pthread_mutex_lock(&lock);
    (void)snprintf(ident, sizeof(ident), "%s", name ? name : "");
    if (facility != 0 && (facility & ~LOG_FACMASK) == 0)
        default_facility = facility;
    pthread_mutex_unlock(&lock);
}

void closelog(void)
{
    pthread_mutex_lock(&lock);
    ident[0] = '\0';
    pthread_mutex_unlock(&lock);
}

int setlogmask(int wanted)
{
    int old;

    pthread_mutex_lock(&lock);
    old = mask;
    if (wanted != 0)
        mask = wanted;
    pthread_mutex_unlock(&lock);
    return old;
}

static const char *facility_name(int facility)
{
    static const char *const names[] = {"kern", "user", "mail", "daemon", "auth",     "syslog",
                                        "lpr",  "news", "uucp", "cron",   "authpriv", "ftp"};
    static const char *const local[] = {"local0", "local1", "local2", "local3",
                                        "local4", "local5", "local6", "local7"};
    unsigned n = (unsigned)facility >> 3;

    if (n < sizeof(names) / sizeof(names[0]))
        return names[n];
    return n >= 16 && n < 24 ? local[n - 16] : "unknown";
}

struct event {
    const char *ident;
    const char *facility;
    const char *severity;
    const char *text;
    size_t len;
};

static void emit(enum clew_level level, const struct event *event)
{
#define X(name, number, lower)                                                                   \
    case CLEW_LEVEL_##name:                                                                      \
        clew_log(CLEW_LEVEL_##name, "syslog message", clew_kvn("text", event->text, event->len), \
                 clew_kv("ident", event->ident), clew_kv("pid", (int)getpid()),                  \
                 clew_kv("facility", event->facility), clew_kv("severity", event->severity));    \
        break;
    switch (level) {
        CLEW_LEVEL_MAP(X)
    case CLEW_LEVEL_OFF:
        break;
    }
#undef X
}

/* %m is the C library's own: vsnprintf() knows it, errno is still the caller's. */
static void take(int priority, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void take(int priority, const char *format, va_list args)
{
    static const struct {
        const char *name;
        enum clew_level level;
    } severities[] = {{"emerg", CLEW_LEVEL_FATAL},  {"alert", CLEW_LEVEL_ERROR},
                      {"crit", CLEW_LEVEL_ERROR},   {"err", CLEW_LEVEL_ERROR},
                      {"warning", CLEW_LEVEL_WARN}, {"notice", CLEW_LEVEL_INFO},
                      {"info", CLEW_LEVEL_INFO},    {"debug", CLEW_LEVEL_DEBUG}};
    int saved = errno, severity = LOG_PRI(priority), facility = priority & LOG_FACMASK, n;
    char text[TEXT_BYTES], name[IDENT_BYTES];
    struct event event;
    bool wanted;

    pthread_mutex_lock(&lock);
    wanted = (mask & LOG_MASK(severity)) != 0;
    if (facility == 0)
        facility = default_facility;
    memcpy(name, ident, sizeof(name));
    pthread_mutex_unlock(&lock);
    errno = saved;
    n = wanted ? vsnprintf(text, sizeof(text), format, args) : -1;
    if (n >= 0) {
        event = (struct event){.ident = name[0] ? name : program_invocation_short_name,
                               .facility = facility_name(facility),
                               .severity = severities[severity].name,
                               .text = text,
                               .len = (size_t)n};
        if (event.len >= sizeof(text))
            event.len = clew__utf8_cut(text, sizeof(text) - 1, sizeof(text) - 2);
        while (event.len > 0 && text[event.len - 1] == '\n')
            event.len--;
        emit(severities[severity].level, &event);
    }
    errno = saved;
}

void vsyslog(int priority, const char *format, va_list args)
{
    take(priority, format, args);
}

void syslog(int priority, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    take(priority, format, args);
    va_end(args);
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list args)
{
    (void)flag; /* the caller's level of checking: formats come from programs here */
    take(priority, format, args);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    take(priority, format, args);
    va_end(args);
    (void)flag;
}
