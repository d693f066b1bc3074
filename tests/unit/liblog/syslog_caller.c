/* SPDX-License-Identifier: Apache-2.0
 * A program that knows of syslog(3) alone. Its calls are what the tests of the
 * bridge expect, in this order. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>

/* glibc's, which _FORTIFY_SOURCE calls in their place. */
void __syslog_chk(int priority, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void __vsyslog_chk(int priority, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

__attribute__((format(printf, 2, 3))) static void call_v(int priority, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsyslog(priority, format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static void call_v_chk(int priority, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    __vsyslog_chk(priority, 1, format, args);
    va_end(args);
}

int main(void)
{
    char text[20001];

    syslog(LOG_INFO, "before openlog\n");
    openlog("caller", LOG_PID, LOG_DAEMON);
    for (int i = LOG_EMERG; i <= LOG_DEBUG; i++)
        syslog(i, "severity %d", i);
    errno = ENOENT;
    syslog(LOG_MAIL | LOG_ERR, "cannot open %s: %m", "it");
    if (errno != ENOENT)
        return 1;
    call_v(LOG_LOCAL7 | LOG_WARNING, "%s", "by vsyslog");
    __syslog_chk(LOG_NOTICE, 1, "%s", "checked");
    call_v_chk(LOG_NOTICE, "%d", 7);
    if (setlogmask(LOG_UPTO(LOG_WARNING)) != 0xFF || setlogmask(0) != LOG_UPTO(LOG_WARNING))
        return 1;
    syslog(LOG_NOTICE, "masked");
    syslog(LOG_WARNING, "not masked");
    (void)setlogmask(0xFF);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    syslog(LOG_INFO, "%s", text);
    closelog();
    syslog(LOG_INFO | (127 << 3), "after closelog");
    return 0;
}
