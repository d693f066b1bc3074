/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/hiredis.h: Redis commands as client spans, with hiredis (0.14 and later).
 *
 * Header-only, so that libclew needs no hiredis. clew_redis_command() and
 * clew_redis_command_argv() stand where redisCommand() and redisCommandArgv()
 * stood. For pipelines and the asynchronous interface:
 *
 *     struct clew_sql_call *call = &my_request->call;            // until its end
 *     clew_redis_begin(call, &async->c, "GET", 1, 0);
 *     redisAsyncCommand(async, on_reply, my_request, "GET %s", key);
 *     ...
 *     clew_redis_end(call, &async->c, reply);
 *
 * The end is the event "database query completed" (<clew/sql.h>, system redis), of
 * a pipeline one for all its commands; GET and its kin are the event "cache lookup"
 * too, with cache_type redis and hit.
 *
 * A span has the command's name and "?" for each argument: keys and values are
 * not looked at.
 */
#ifndef CLEW_HIREDIS_H
#define CLEW_HIREDIS_H

#include <clew/sql.h>
#include <hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLEW_REDIS_NAME_MAX_ 64u
#define CLEW_REDIS_SHOWN_MAX_ 16u /* arguments */

static inline void clew_redis_set_text_(struct clew_span *span, const char *command,
                                        unsigned narguments)
{
    char text[CLEW_REDIS_NAME_MAX_ + 2 * CLEW_REDIS_SHOWN_MAX_ + 8];
    size_t n = (size_t)snprintf(text, sizeof(text), "%.*s", (int)CLEW_REDIS_NAME_MAX_, command);

    for (unsigned i = 0; i < narguments && i < CLEW_REDIS_SHOWN_MAX_; i++) {
        text[n++] = ' ';
        text[n++] = '?';
    }
    (void)snprintf(text + n, sizeof(text) - n, "%s",
                   narguments > CLEW_REDIS_SHOWN_MAX_ ? " ..." : "");
    clew_span_set(span, clew_kv("db.query.text", (const char *)text));
}

/* Opens the span of a command under the current scope.
 *
 * args     command: its name, copied. narguments: how many follow it
 *          batch: commands in the pipeline, 0 when it is none
 * owner    clew_redis_end() */
static inline void clew_redis_begin(struct clew_sql_call *ret, const redisContext *context,
                                    const char *command, unsigned narguments, unsigned batch)
{
    struct clew_span_options options;
    struct clew_span *span;

    memset(&options, 0, sizeof(options));
    options.kind = CLEW_SPAN_CLIENT;
    options.scope = "clew.hiredis";
    memset(ret, 0, sizeof(*ret));
    ret->span = span = clew_span_start_with(command, &options);
    ret->batch = batch;
    clew_sql_verb(command, strlen(command), ret->operation);
    ret->started_ns = clew_sql_now_ns();
    if (!clew_span_is_recording(span))
        return;
    clew_span_set(span, clew_kv("db.system.name", "redis"), clew_kv("db.operation.name", command));
    clew_redis_set_text_(span, command, narguments);
    if (batch > 1)
        clew_span_set(span, clew_kv("db.operation.batch.size", batch));
    if (context->connection_type == REDIS_CONN_TCP && context->tcp.host)
        clew_span_set(span, clew_kv("server.address", (const char *)context->tcp.host),
                      clew_kv("server.port", context->tcp.port));
    else if (context->connection_type == REDIS_CONN_UNIX && context->unix_sock.path)
        clew_span_set(span, clew_kv("server.address", (const char *)context->unix_sock.path));
}

static inline void clew_redis_completed_(const struct clew_sql_call *call, const redisReply *answer)
{
    static const char *const lookups[] = {"GET", "GETEX", "GETDEL", "HGET"};

    clew_sql_completed("redis", call->operation,
                       !answer                             ? "connection"
                       : answer->type == REDIS_REPLY_ERROR ? "error"
                                                           : "ok",
                       call->started_ns);
    if (!answer || answer->type == REDIS_REPLY_ERROR || call->batch > 1)
        return;
    for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++)
        if (strcmp(call->operation, lookups[i]) == 0)
            clew_trace("cache lookup", clew_kv("cache_type", "redis"),
                       clew_kv("hit", (bool)(answer->type != REDIS_REPLY_NIL)));
}

/* Ends the span and logs its events. reply: a redisReply or NULL, borrowed. Of an
 * error the first word is kept ("WRONGTYPE"): the rest may quote values. */
static inline void clew_redis_end(struct clew_sql_call *call, const redisContext *context,
                                  const void *reply)
{
    static const char *const trouble[] = {"_OTHER", "io", "_OTHER", "eof", "protocol", "memory"};
    const redisReply *answer = (const redisReply *)reply;
    struct clew_span *span = call->span;
    char type[CLEW_REDIS_NAME_MAX_];

    clew_redis_completed_(call, answer);
    if (!answer) {
        unsigned error = (unsigned)context->err;

        clew_span_set(span, clew_kv("error.type", error < 6 ? trouble[error] : "_OTHER"));
        clew_span_set_status(span, CLEW_SPAN_ERROR, NULL);
    } else if (answer->type == REDIS_REPLY_ERROR) {
        (void)snprintf(type, sizeof(type), "%.*s", (int)strcspn(answer->str, " \r\n"), answer->str);
        clew_span_set(span, clew_kv("error.type", (const char *)type),
                      clew_kv("db.response.status_code", (const char *)type));
        clew_span_set_status(span, CLEW_SPAN_ERROR, NULL);
    }
    clew_span_end(span);
}

/* What hiredis made of a command: "*3\r\n$3\r\nSET\r\n…". Returns the number of
 * arguments behind its name. */
static inline unsigned clew_redis_parse_(const char *wire, char ret_name[CLEW_REDIS_NAME_MAX_])
{
    unsigned nwords = 0, len = 0;
    int at = 0;

    ret_name[0] = '\0';
    if (sscanf(wire, "*%u\r\n$%u\r\n%n", &nwords, &len, &at) == 2 && at > 0)
        (void)snprintf(ret_name, CLEW_REDIS_NAME_MAX_, "%.*s", (int)len, wire + at);
    return nwords > 0 ? nwords - 1 : 0;
}

/* Sends it, waits for the answer; wire is freed. */
static inline void *clew_redis_send_(redisContext *context, char *wire, long long len)
{
    char name[CLEW_REDIS_NAME_MAX_];
    struct clew_sql_call call;
    void *reply = NULL;

    if (len <= 0)
        return NULL;
    unsigned narguments = clew_redis_parse_(wire, name);
    clew_redis_begin(&call, context, name[0] ? name : "redis", narguments, 0);
    if (redisAppendFormattedCommand(context, wire, (size_t)len) == REDIS_OK &&
        redisGetReply(context, &reply) != REDIS_OK)
        reply = NULL;
    redisFreeCommand(wire);
    clew_redis_end(&call, context, reply);
    return reply;
}

/* redisvCommand(), redisCommand(), redisCommandArgv() of a blocking context. */
static inline void *clew_redis_vcommand(redisContext *context, const char *format, va_list args)
{
    char *wire = NULL;
    int len = redisvFormatCommand(&wire, format, args);

    return clew_redis_send_(context, wire, len);
}

static inline void *clew_redis_command(redisContext *context, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    void *reply = clew_redis_vcommand(context, format, args);
    va_end(args);
    return reply;
}

static inline void *clew_redis_command_argv(redisContext *context, int argc, const char **argv,
                                            const size_t *lengths)
{
    char *wire = NULL;
    long long len = redisFormatCommandArgv(&wire, argc, argv, lengths);

    return clew_redis_send_(context, wire, len);
}

#endif
