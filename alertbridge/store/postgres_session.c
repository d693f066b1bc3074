/* SPDX-License-Identifier: Apache-2.0 */
#include "postgres_session.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define SERVER_OLDEST 140000 /* idle_session_timeout */
#define ANSWER_NS (10 * CLEW__SECOND_NS)
#define PAUSE_NS (CLEW__SECOND_NS / 2) /* after a connection that failed */

/* Of a session. Whoever asked for asynchronous commits in the database's settings
 * did not mean these. */
static const char settings[] = "SET client_min_messages = warning;"
                               "SET default_transaction_isolation = 'read committed';"
                               "SET lock_timeout = '5s'; SET statement_timeout = '8s';"
                               "SET idle_in_transaction_session_timeout = '3s';"
                               "SELECT set_config('synchronous_commit', 'on', false)"
                               " WHERE current_setting('synchronous_commit') = 'off'";

/* ---- failures -------------------------------------------------------- */

static int code_of(const char *state)
{
    static const struct {
        const char *state;
        int code;
    } codes[] = {
        {"40001", -EAGAIN}, /* serialization */
        {"40P01", -EAGAIN}, /* deadlock */
        {"55P03", -EBUSY},  /* a lock was not to be had in time */
        {"53100", -ENOSPC}, {"53200", -ENOMEM}, {"25006", -EROFS}, {"42501", -EACCES},
    };

    for (size_t i = 0; state && i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(codes[i].state, state) == 0)
            return codes[i].code;
    return -EIO;
}

/* libpq's texts end with a line's end and may have several. */
int clew__postgres_fail(int code, const char *text)
{
    char line[256];
    size_t len;

    (void)snprintf(line, sizeof(line), "%s", text && *text ? text : "no answer");
    for (len = 0; line[len]; len++)
        if ((unsigned char)line[len] < ' ')
            line[len] = ' ';
    while (len && line[len - 1] == ' ')
        line[--len] = '\0';
    return clew_set_error(code, "the store: PostgreSQL: %s", line);
}

static void drop(struct clew__postgres *postgres)
{
    PQfinish(postgres->handle);
    postgres->handle = NULL;
}

/* After a call to libpq that failed. */
int clew__postgres_lost(struct clew__postgres *postgres)
{
    int r = clew__postgres_fail(-EIO, PQerrorMessage(postgres->handle));

    drop(postgres);
    return r;
}

static int fail_result(struct clew__postgres *postgres, const PGresult *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    int r = clew__postgres_fail(code_of(PQresultErrorField(result, PG_DIAG_SQLSTATE)),
                                text ? text : PQresultErrorMessage(result));

    if (PQstatus(postgres->handle) != CONNECTION_OK)
        drop(postgres);
    return r;
}

/* ---- talking --------------------------------------------------------- */

/* Waits for the socket; false: the time is over. */
static bool wait_for(struct clew__postgres *postgres, bool write, int64_t until)
{
    struct pollfd fd = {PQsocket(postgres->handle), (short)(POLLIN | (write ? POLLOUT : 0)), 0};
    int64_t left = (until - clew__instant_steady()) / 1000000;

    int r = left > 0 ? poll(&fd, 1, (int)left) : 0;

    return r > 0 || (r < 0 && errno == EINTR);
}

/* The answer to what was sent, of several the last. NULL: the connection is lost. */
static PGresult *last_answer(struct clew__postgres *postgres)
{
    int64_t until = clew__instant_steady() + ANSWER_NS;
    PGresult *result = NULL, *next;

    for (;;) {
        int unsent = PQflush(postgres->handle);

        if (unsent < 0)
            break;
        if (unsent || PQisBusy(postgres->handle)) {
            if (!wait_for(postgres, unsent > 0, until) || !PQconsumeInput(postgres->handle))
                break;
            continue;
        }
        next = PQgetResult(postgres->handle);
        if (!next)
            return result;
        PQclear(result);
        result = next;
    }
    PQclear(result);
    return NULL;
}

int clew__postgres_answer(struct clew__postgres *postgres, PGresult **ret_result)
{
    PGresult *result = last_answer(postgres);
    ExecStatusType status = PQresultStatus(result);
    int r;

    if (!result)
        return clew__postgres_lost(postgres);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        *ret_result = result;
        return 0;
    }
    r = fail_result(postgres, result);
    PQclear(result);
    return r;
}

int clew__postgres_run(struct clew__postgres *postgres, const char *sql, PGresult **ret_result)
{
    PGresult *result = PQsendQuery(postgres->handle, sql) ? last_answer(postgres) : NULL;
    ExecStatusType status = PQresultStatus(result);
    int r = 0;

    if (!result)
        return clew__postgres_lost(postgres);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        r = fail_result(postgres, result);
    if (r == 0 && ret_result)
        *ret_result = result;
    else
        PQclear(result);
    return r;
}

static void ignore_notice(void *arg, const char *text)
{
    (void)arg, (void)text;
}

static int check_server(struct clew__postgres *postgres)
{
    const char *encoding = PQparameterStatus(postgres->handle, "server_encoding");
    int r;

    if (PQserverVersion(postgres->handle) < SERVER_OLDEST)
        r = clew__postgres_fail(-ENOTSUP, "version 14 or newer is needed");
    else if (!encoding || strcmp(encoding, "UTF8") != 0)
        r = clew__postgres_fail(-ENOTSUP, "the database's encoding has to be UTF8");
    else
        r = clew__postgres_run(postgres, settings, NULL);
    if (r == 0 && postgres->read_only)
        r = clew__postgres_run(postgres, "SET default_transaction_read_only = on", NULL);
    if (r < 0)
        drop(postgres);
    return r;
}

/* The bounds come before the text, which may change them. */
int clew__postgres_connect(struct clew__postgres *postgres)
{
    const char *const keys[] = {"connect_timeout",
                                "tcp_user_timeout",
                                "keepalives_idle",
                                "fallback_application_name",
                                "dbname",
                                "client_encoding",
                                NULL};
    const char *const values[] = {"5",    "10000", "10", "alertbridge", postgres->conninfo,
                                  "UTF8", NULL};

    postgres->handle = PQconnectdbParams(keys, values, 1);
    if (!postgres->handle)
        return clew_set_error(-ENOMEM, "out of memory");
    if (PQstatus(postgres->handle) != CONNECTION_OK)
        return clew__postgres_lost(postgres);
    postgres->session++;
    (void)PQsetNoticeProcessor(postgres->handle, ignore_notice, NULL);
    (void)PQsetnonblocking(postgres->handle, 1);
    return check_server(postgres);
}

/* Whether the server has closed the connection since it was used. */
static bool is_stale(struct clew__postgres *postgres)
{
    struct pollfd fd = {PQsocket(postgres->handle), POLLIN, 0};

    return poll(&fd, 1, 0) > 0 &&
           (!PQconsumeInput(postgres->handle) || PQstatus(postgres->handle) != CONNECTION_OK);
}

/* Before everything that may begin something. */
int clew__postgres_ready(struct clew__postgres *postgres)
{
    int r;

    if (postgres->transaction)
        return postgres->handle
                   ? 0
                   : clew__postgres_fail(-EIO, "the connection was lost in a transaction");
    if (postgres->handle && is_stale(postgres))
        drop(postgres);
    if (!postgres->handle && postgres->session_only)
        return clew__postgres_fail(-EIO, "the connection was lost");
    if (postgres->handle)
        return 0;
    /* Who waits in line for a server that is away is told so at once. */
    if (clew__instant_steady() < postgres->not_before)
        return clew__postgres_fail(-EIO, "it cannot be reached");
    r = clew__postgres_connect(postgres);
    if (r < 0)
        postgres->not_before = clew__instant_steady() + PAUSE_NS;
    return r;
}
