/* SPDX-License-Identifier: Apache-2.0
 *
 * W3C Trace Context, level 2, over HTTP: what the service of service.c makes of
 * the headers of a request, seen in the requests it sends on. The 41 groups are
 * those of the working group's own harness, which is run against the same
 * service by hand (README.md).
 *
 *     test_w3c SERVICE
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE "12345678901234567890123456789012"
#define PARENT "1234567890123456"
#define GOOD "00-" TRACE "-" PARENT "-01"
#define OFF "00-" TRACE "-" PARENT "-00"
#define CALLS_MAX 3

/* ---- who is called back ------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    int n;
    struct call {
        int nparents;
        char parent[128];
        char state[2048]; /* of all headers, joined */
    } calls[CALLS_MAX];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct call *call = cls;
    size_t len = strlen(call->state);

    (void)kind;
    if (strcasecmp(name, "traceparent") == 0) {
        call->nparents++;
        (void)snprintf(call->parent, sizeof(call->parent), "%s", value);
    } else if (strcasecmp(name, "tracestate") == 0) {
        (void)snprintf(call->state + len, sizeof(call->state) - len, "%s%s", len ? "," : "", value);
    }
    return MHD_YES;
}

static enum MHD_Result on_call(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *data_len, void **con_cls)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    (void)cls, (void)url, (void)method, (void)version, (void)data;
    if (!*con_cls) {
        *con_cls = &seen;
        return MHD_YES;
    }
    if (*data_len) {
        *data_len = 0;
        return MHD_YES;
    }
    pthread_mutex_lock(&seen.lock);
    if (seen.n < CALLS_MAX)
        (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header,
                                        &seen.calls[seen.n]);
    seen.n++;
    pthread_mutex_unlock(&seen.lock);
    response = MHD_create_response_from_buffer(2, (void *)"{}", MHD_RESPMEM_PERSISTENT);
    result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the service, and requests to it ---------------------------------------------- */

static struct {
    const char *path;
    pid_t pid;
    int stdin_fd;
    uint16_t port, back_port;
    struct MHD_Daemon *back;
    char rings[64];
} service;

static int start(void **state)
{
    extern char **environ;
    int in[2], out[2];
    char *argv[] = {(char *)service.path, NULL}, text[32] = "";
    posix_spawn_file_actions_t actions;
    ssize_t n;

    (void)state;
    strcpy(service.rings, "/tmp/clew-w3c-XXXXXX");
    if (!mkdtemp(service.rings) || pipe(in) < 0 || pipe(out) < 0)
        return -1;
    setenv("CLEW_RING_DIR", service.rings, 1);
    setenv("CLEW_LOG_OUTPUT", "stderr level=warn", 1);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addclose(&actions, in[1]);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    if (posix_spawn(&service.pid, service.path, &actions, NULL, argv, environ) != 0)
        return -1;
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    service.stdin_fd = in[1];
    n = read(out[0], text, sizeof(text) - 1);
    close(out[0]);
    service.port = (uint16_t)(n > 0 ? atoi(text) : 0);
    service.back = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_call, NULL,
                                    MHD_OPTION_END);
    if (!service.back || !service.port)
        return -1;
    service.back_port = MHD_get_daemon_info(service.back, MHD_DAEMON_INFO_BIND_PORT)->port;
    return 0;
}

static int stop(void **state)
{
    int status = 0;

    (void)state;
    close(service.stdin_fd);
    (void)waitpid(service.pid, &status, 0);
    MHD_stop_daemon(service.back);
    (void)rmdir(service.rings);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* Asks for n callbacks; the headers go out byte for byte as they are given. */
static void ask(const char *headers, int n)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(service.port)};
    char body[512] = "[", request[8192], answer[1024];
    int fd = socket(AF_INET, SOCK_STREAM, 0), len;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(&seen.calls, 0, sizeof(seen.calls));
    seen.n = 0;
    for (int i = 0; i < n; i++)
        sprintf(body + strlen(body), "%s{\"url\":\"http://127.0.0.1:%u/%d\",\"arguments\":[]}",
                i ? "," : "", service.back_port, i);
    strcat(body, "]");
    len = snprintf(request, sizeof(request),
                   "POST /test HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
                   strlen(body), headers, body);
    assert_true(len < (int)sizeof(request));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, request, (size_t)len), len);
    while (read(fd, answer, sizeof(answer)) > 0)
        ;
    close(fd);
    assert_int_equal(seen.n, n);
}

/* One traceparent of version 00 that is as it must be. */
static void assert_valid(const struct call *call)
{
    const char *p = call->parent;

    assert_int_equal(call->nparents, 1);
    assert_int_equal(strlen(p), 55);
    assert_memory_equal(p, "00-", 3);
    for (int i = 0; i < 55; i++)
        if (i == 2 || i == 35 || i == 52)
            assert_int_equal(p[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", p[i]));
    assert_true(strspn(p + 3, "0") < 32 && strspn(p + 36, "0") < 16);
}

/* ---- cases with one callback --------------------------------------------------------- */

enum expect {
    NEW, /* a trace of its own, and no tracestate */
    SAME /* the trace goes on, with another parent */
};

struct request {
    int group;
    enum expect expect;
    const char *headers;
    const char *state; /* exactly this goes out; NULL: none of our business */
};

#define P(value) "traceparent: " value "\r\n"
#define S(value) "tracestate: " value "\r\n"
#define ALL_KEY "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
#define ALL_VALUE                                                   \
    " !\"#$%&'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\" \
    "]^_`abcdefghijklmnopqrstuvwxyz{|}~"

static const struct request requests[] = {
    {1, NEW, "", ""},
    {2, SAME, P(GOOD), ""},
    {3, NEW, P("00-12345678901234567890123456789011-" PARENT "-01") P(GOOD) S("a=1"), ""},
    {4, NEW, "trace-parent: " GOOD "\r\n", ""},
    {4, NEW, "trace.parent: " GOOD "\r\n", ""},
    {5, SAME, "TraceParent: " GOOD "\r\n", ""},
    {5, SAME, "TrAcEpArEnT: " GOOD "\r\n", ""},
    {5, SAME, "TRACEPARENT: " GOOD "\r\n", ""},
    {6, NEW, P(GOOD "."), ""},
    {6, NEW, P(GOOD "-from-a-later-version"), ""},
    {7, SAME, P("cc-" TRACE "-" PARENT "-01"), ""},
    {7, SAME, P("cc-" TRACE "-" PARENT "-01-from-a-later-version"), ""},
    {7, NEW, P("cc-" TRACE "-" PARENT "-01.from-a-later-version"), ""},
    {8, NEW, P("ff-" TRACE "-" PARENT "-01"), ""},
    {9, NEW, P(".0-" TRACE "-" PARENT "-01"), ""},
    {9, NEW, P("0.-" TRACE "-" PARENT "-01"), ""},
    {10, NEW, P("000-" TRACE "-" PARENT "-01"), ""},
    {10, NEW, P("0000-" TRACE "-" PARENT "-01"), ""},
    {11, NEW, P("0-" TRACE "-" PARENT "-01"), ""},
    {12, NEW, P("00-00000000000000000000000000000000-" PARENT "-01"), ""},
    {13, NEW, P("00-.2345678901234567890123456789012-" PARENT "-01"), ""},
    {13, NEW, P("00-1234567890123456789012345678901.-" PARENT "-01"), ""},
    {13, NEW, P("00-1234567890ABCDEF1234567890ABCDEF-" PARENT "-01"), ""},
    {14, NEW, P("00-" TRACE "3-" PARENT "-01"), ""},
    {15, NEW, P("00-1234567890123456789012345678901-" PARENT "-01"), ""},
    {16, NEW, P("00-" TRACE "-0000000000000000-01"), ""},
    {17, NEW, P("00-" TRACE "-.234567890123456-01"), ""},
    {17, NEW, P("00-" TRACE "-123456789012345.-01"), ""},
    {18, NEW, P("00-" TRACE "-" PARENT "7-01"), ""},
    {19, NEW, P("00-" TRACE "-123456789012345-01"), ""},
    {20, NEW, P("00-" TRACE "-" PARENT "-.0"), ""},
    {20, NEW, P("00-" TRACE "-" PARENT "-0."), ""},
    {21, NEW, P("00-" TRACE "-" PARENT "-001"), ""},
    {22, NEW, P("00-" TRACE "-" PARENT "-1"), ""},
    {23, SAME, "traceparent:" GOOD "\r\n", ""},
    {23, SAME, "traceparent:  " GOOD "\r\n", ""},
    {23, SAME, "traceparent:\t" GOOD "\r\n", ""},
    {23, SAME, P(GOOD " "), ""},
    {23, SAME, P(GOOD "\t"), ""},
    {23, SAME, "traceparent:\t " GOOD " \t\r\n", ""},
    {24, NEW, S("foo=1"), ""},
    {24, NEW, S("foo=1,bar=2"), ""},
    {25, SAME, P(OFF) S("foo=1,bar=2"), "foo=1,bar=2"},
    {26, SAME, P(OFF) "trace-state: foo=1\r\n", ""},
    {26, SAME, P(OFF) "trace.state: foo=1\r\n", ""},
    {27, SAME, P(OFF) "TraceState: foo=1\r\n", "foo=1"},
    {27, SAME, P(OFF) "TrAcEsTaTe: foo=1\r\n", "foo=1"},
    {27, SAME, P(OFF) "TRACESTATE: foo=1\r\n", "foo=1"},
    {28, SAME, P(OFF) S(""), ""},
    {28, SAME, P(OFF) S("foo=1") S(""), "foo=1"},
    {28, SAME, P(OFF) S("") S("foo=1"), "foo=1"},
    {29, SAME, P(OFF) S("foo=1,bar=2") S("rojo=1,congo=2") S("baz=3"),
     "foo=1,bar=2,rojo=1,congo=2,baz=3"},
    {30, SAME, P(OFF) S("foo=1,foo=1"), "foo=1,foo=1"},
    {30, SAME, P(OFF) S("foo=1,foo=2"), "foo=1,foo=2"},
    {30, SAME, P(OFF) S("foo=1") S("foo=1"), "foo=1,foo=1"},
    {30, SAME, P(OFF) S("foo=1") S("foo=2"), "foo=1,foo=2"},
    {31, SAME, P(OFF) S(ALL_KEY "=" ALL_VALUE), ALL_KEY "=" ALL_VALUE},
    {31, SAME, P(OFF) S(ALL_KEY "@a-z0-9_-*/=" ALL_VALUE), ALL_KEY "@a-z0-9_-*/=" ALL_VALUE},
    {32, SAME, P(OFF) S("foo=1 \t , \t bar=2, \t baz=3"), "foo=1,bar=2,baz=3"},
    {32, SAME, P(OFF) S("foo=1\t \t,\t \tbar=2,\t \tbaz=3"), "foo=1,bar=2,baz=3"},
    {32, SAME, P(OFF) "tracestate:  foo=1\r\n", "foo=1"},
    {32, SAME, P(OFF) "tracestate:\tfoo=1\r\n", "foo=1"},
    {32, SAME, P(OFF) S("foo=1 "), "foo=1"},
    {32, SAME, P(OFF) S("foo=1\t"), "foo=1"},
    {32, SAME, P(OFF) "tracestate:\t foo=1 \t\r\n", "foo=1"},
    {33, SAME, P(OFF) S("foo =1"), ""},
    {33, SAME, P(OFF) S("FOO=1"), ""},
    {33, SAME, P(OFF) S("foo.bar=1"), ""},
    {34, SAME, P(OFF) S("foo@=1,bar=2"), "foo@=1,bar=2"},
    {34, SAME, P(OFF) S("@foo=1,bar=2"), ""},
    {34, SAME, P(OFF) S("foo@@bar=1,bar=2"), "foo@@bar=1,bar=2"},
    {34, SAME, P(OFF) S("foo@bar@baz=1,bar=2"), "foo@bar@baz=1,bar=2"},
    {37, SAME, P(OFF) S("foo=bar=baz"), ""},
    {37, SAME, P(OFF) S("foo=,bar=3"), ""},
    {41, SAME, P("00-" TRACE "-" PARENT "-02"), ""},
};

static void check(const struct request *r)
{
    const struct call *call = &seen.calls[0];
    bool same;

    ask(r->headers, 1);
    assert_valid(call);
    same = memcmp(call->parent + 3, TRACE, 32) == 0;
    if (same != (r->expect == SAME) || strstr(call->parent, "-" PARENT "-"))
        fail_msg("group %d: %s-> %s", r->group, r->headers, call->parent);
    if (!same && strstr(call->parent, "1234567890123456789"))
        fail_msg("group %d: a part of a bad id went on: %s", r->group, call->parent);
    if (r->state && strcmp(call->state, r->state) != 0)
        fail_msg("group %d: %s-> tracestate \"%s\"", r->group, r->headers, call->state);
}

static void test_w3c_single_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        check(&requests[i]);
}

/* ---- cases that are made, and those with more callbacks ---------------------------------- */

static void add_members(char *to, int from, int until)
{
    strcat(to, "tracestate: ");
    for (int i = from; i <= until; i++)
        sprintf(to + strlen(to), "%sbar%02d=%02d", i > from ? "," : "", i, i);
    strcat(to, "\r\n");
}

static void test_w3c_35_member_count(void **state)
{
    char headers[1024] = P(OFF), more[1024];
    int members = 1;

    (void)state;
    for (int i = 1; i <= 21; i += 10)
        add_members(headers, i, i + 9);
    strcpy(more, headers);
    add_members(headers, 31, 32);
    ask(headers, 1);
    assert_memory_equal(seen.calls[0].state, "bar01=01,", 9);
    for (const char *p = seen.calls[0].state; (p = strchr(p, ',')); p++)
        members++;
    assert_int_equal(members, 32);
    add_members(more, 31, 33);
    ask(more, 1);
    assert_string_equal(seen.calls[0].state, "");
}

/* foo=1 and, in a header of its own, a key of a times 'a', and what is behind. */
static void key_length(char a, int n, const char *behind, bool good)
{
    char key[300], headers[1024], expected[400];

    memset(key, a, (size_t)n);
    strcpy(key + n, behind);
    sprintf(headers, P(OFF) "tracestate: foo=1\r\ntracestate: %s=1\r\n", key);
    sprintf(expected, "foo=1,%s=1", key);
    ask(headers, 1);
    assert_string_equal(seen.calls[0].state, good ? expected : "");
}

static void test_w3c_36_key_length(void **state)
{
    (void)state;
    key_length('z', 256, "", true);
    key_length('z', 257, "", false);
    key_length('t', 241, "@vvvvvvvvvvvvvv", true);
    key_length('t', 242, "@v", true);
    key_length('t', 1, "@vvvvvvvvvvvvvvv", true);
}

/* Three callbacks of one request: one trace, three parents. */
static void thrice(const char *headers, bool same)
{
    ask(headers, 3);
    for (int i = 0; i < 3; i++) {
        assert_valid(&seen.calls[i]);
        assert_int_equal(memcmp(seen.calls[i].parent + 3, TRACE, 32) == 0, same);
        assert_memory_equal(seen.calls[i].parent, seen.calls[0].parent, 35);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen.calls[i].parent + 36, seen.calls[j].parent + 36, 16);
    }
}

static void test_w3c_38_to_40_several_callbacks(void **state)
{
    (void)state;
    thrice(P(GOOD), true);
    thrice("", false);
    thrice(P("00-00000000000000000000000000000000-" PARENT "-01"), false);
}

static void test_w3c_41_random_flag(void **state)
{
    (void)state;
    ask(P("00-" TRACE "-" PARENT "-02"), 1);
    assert_int_equal(seen.calls[0].parent[54], '2');
    ask(P("00-" TRACE "-" PARENT "-01"), 1);
    assert_int_equal(seen.calls[0].parent[54], '1');
    ask(P("00-" TRACE "-" PARENT "-ff"), 1); /* what is not known does not go on */
    assert_string_equal(seen.calls[0].parent + 52, "-03");
    ask("", 1); /* our own ids are random */
    assert_string_equal(seen.calls[0].parent + 52, "-03");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_w3c_single_requests),
        cmocka_unit_test(test_w3c_35_member_count),
        cmocka_unit_test(test_w3c_36_key_length),
        cmocka_unit_test(test_w3c_38_to_40_several_callbacks),
        cmocka_unit_test(test_w3c_41_random_flag),
    };

    if (argc != 2)
        return 64;
    service.path = argv[1];
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start, stop);
}
