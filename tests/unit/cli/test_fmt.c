/* SPDX-License-Identifier: Apache-2.0
 * `clew fmt` as a process: options, exit statuses, files that are packed, cut,
 * rotated, broken or hostile. The command's path is the one argument. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

static const char *clew;
static char directory[64];
static char output[1 << 20], errors[4096];

static const char lines[] =
    "{\"timestamp\":\"2025-08-20T10:00:00.1Z\",\"level\":\"INFO\",\"service\":\"a\","
    "\"request_id\":\"r-1\",\"correlation_id\":\"c-1\",\"trace_id\":\"t-1\",\"message\":\"one\","
    "\"context\":{\"n\":1}}\n"
    "{\"timestamp\":\"2025-08-20T10:00:01Z\",\"level\":\"WARN\",\"service\":\"b\","
    "\"request_id\":\"r-2\",\"correlation_id\":\"c-1\",\"trace_id\":\"t-2\",\"message\":\"two\","
    "\"context\":{\"n\":2.0}}\n"
    "{\"timestamp\":\"2025-08-20T10:00:02Z\",\"level\":\"ERROR\",\"service\":\"a\","
    "\"request_id\":\"r-3\",\"correlation_id\":\"c-2\",\"trace_id\":\"t-3\",\"message\":\"three\"}"
    "\n";

#define ONE "2025-08-20 10:00:00.100 INFO  a                one n=1\n"
#define TWO "2025-08-20 10:00:01.000 WARN  b                two n=2.0\n"
#define THREE "2025-08-20 10:00:02.000 ERROR a                three\n"

static void put(const char *name, const void *data, size_t len, const char *mode)
{
    FILE *file = fopen(name, mode);

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void get(const char *name, char *ret, size_t size)
{
    FILE *file = fopen(name, "r");

    assert_non_null(file);
    ret[fread(ret, 1, size - 1, file)] = '\0';
    (void)fclose(file);
}

/* Runs `clew fmt` with what the shell makes of the arguments; the status. */
static int fmt(const char *arguments)
{
    char command[4096];
    int status;

    (void)snprintf(command, sizeof(command), "'%s' fmt %s >out 2>err", clew, arguments);
    status = system(command);
    get("out", output, sizeof(output));
    get("err", errors, sizeof(errors));
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_fmt_options(void **state)
{
    static const struct {
        const char *arguments, *output;
    } cases[] = {
        {"--utc in", ONE TWO THREE},
        {"--utc <in", ONE TWO THREE},
        {"--utc - <in", ONE TWO THREE},
        {"--utc in in", ONE TWO THREE ONE TWO THREE},
        {"--utc -l warn in", TWO THREE},
        {"--utc --level=Warning in", TWO THREE},
        {"--utc -k n=2 in", TWO},
        {"--utc -k n!=2 -k n in", ONE},
        {"--utc -k 'message~^t' -k 'service=b' in", TWO},
        {"--utc -r r-2 in", TWO},
        {"--utc -c c-1 in", ONE TWO},
        {"--utc -t t-3 in", THREE},
        {"--utc -s a in", ONE THREE},
        {"--utc -g '\"n\":1' in", ONE},
        {"--utc --since 2025-08-20T10:00:01Z in", TWO THREE},
        {"--utc --until 2025-08-20T10:00:01Z in", ONE},
        {"--utc --since 2025-08-20 --until 2025-08-21 -l error in", THREE},
        {"--utc --head 1 in in", ONE},
        {"--utc --head 2 -s a in in", ONE THREE},
        {"--utc --tail 1 in", THREE},
        {"--utc --tail 2 -s a in in", ONE THREE},
        {"--utc --tail 100 in", ONE TWO THREE},
        {"--count in", "3\n"},
        {"--count -l warn in", "2\n"},
        {"--fields n,message in", "n=1 message=one\nn=2.0 message=two\nmessage=three\n"},
        {"--json --fields n,message -l warn in",
         "{\"n\":2.0,\"message\":\"two\"}\n{\"message\":\"three\"}\n"},
        {"--json --fields absent --head 1 in", "{}\n"},
        {"--json in", lines},
        {"--strict --json in", lines},
        {"in -r r-3 --utc", THREE},
        {"in --utc --color always -r r-3 | tr '\\033' '@'",
         "@[2m2025-08-20 10:00:02.000 @[0m@[1;31mERROR @[0m@[36ma               @[0m "
         "@[1mthree@[0m\n"},
        {"in --utc --color never -r r-3", THREE},
    };

    (void)state;
    put("in", lines, strlen(lines), "w");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = fmt(cases[i].arguments);

        if (strstr(cases[i].arguments, "always")) { /* the colour of a name may be any */
            assert_non_null(strstr(output, "@[1;31mERROR @[0m"));
            continue;
        }
        if (status != 0 || strcmp(output, cases[i].output) != 0 || *errors)
            fail_msg("%s: %d\n%s%s", cases[i].arguments, status, output, errors);
    }
    setenv("TZ", "XST-2", 1);
    assert_int_equal(fmt("--head 1 in"), 0);
    assert_non_null(strstr(output, "2025-08-20 12:00:00.100 "));
    assert_int_equal(fmt("--since '2025-08-20 12:00:02' --count in"), 0);
    assert_string_equal(output, "1\n");
    unsetenv("TZ");
}

static void test_fmt_relative_times(void **state)
{
    static char text[256];

    (void)state;
    (void)snprintf(text, sizeof(text),
                   "{\"time\":%lld,\"msg\":\"old\"}\n{\"time\":%lld,\"msg\":\"new\"}\n",
                   (long long)time(NULL) - 7200, (long long)time(NULL) - 60);
    put("in", text, strlen(text), "w");
    assert_int_equal(fmt("--since 1h --fields msg in"), 0);
    assert_string_equal(output, "msg=new\n");
    assert_int_equal(fmt("--until 1h --fields msg in"), 0);
    assert_string_equal(output, "msg=old\n");
    assert_int_equal(fmt("--since 10s in"), 1);
}

static void test_fmt_exit_statuses(void **state)
{
    static const struct {
        const char *arguments;
        int status;
        const char *says;
    } cases[] = {
        {"--help", 0, ""},
        {"-l fatal in", 1, ""},
        {"-r none in", 1, ""},
        {"--count -r none in", 1, ""},
        {"/dev/null", 1, ""},
        {"in absent", 2, "absent: No such file"},
        {"absent in", 2, "absent: No such file"},
        {".", 2, "is a directory"},
        {"--nonsense", 64, "nonsense"},
        {"-l", 64, "requires an argument"},
        {"-l loud in", 64, "--level"},
        {"-k =x in", 64, "name of the field"},
        {"-k 'a~(' in", 64, "regular expression"},
        {"--since soon in", 64, "--since"},
        {"--until 5 in", 64, "--until"},
        {"--head 0 in", 64, "--head"},
        {"--tail 1x in", 64, "--tail"},
        {"--head 1 --tail 1 in", 64, "only one"},
        {"--fields a,,b in", 64, "--fields"},
        {"--color red in", 64, "--color"},
        {"-f", 64, "--follow"},
        {"-f in in", 64, "--follow"},
        {"-f /dev/null", 2, "regular file"},
    };
    char command[256];
    int status;

    (void)state;
    put("in", lines, strlen(lines), "w");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strchr(cases[i].arguments, '|'))
            continue;
        status = fmt(cases[i].arguments);
        if (status != cases[i].status || !strstr(errors, cases[i].says) ||
            (*cases[i].says == '\0') != (*errors == '\0'))
            fail_msg("%s: %d %s", cases[i].arguments, status, errors);
    }
    assert_int_equal(fmt("absent in --utc"), 2);
    assert_string_equal(output, ONE TWO THREE);
    (void)snprintf(command, sizeof(command), "'%s' fmt in in in >/dev/full 2>err", clew);
    status = system(command);
    assert_int_equal(WEXITSTATUS(status), 2);
    get("err", errors, sizeof(errors));
    assert_string_equal(errors, "clew fmt: stdout: No space left on device\n");
}

static void test_fmt_text_is_never_lost(void **state)
{
    static const char text[] =
        "starting \033[31mup\033[0m\r\n\n{\"level\":\"INFO\",\"msg\":\"m\"}\n"
        "{\"level\":\"INFO\",\"msg\":\"cut\n\ttrace \xff\xc2\x9b\nlast";

    (void)state;
    put("in", text, strlen(text), "w");
    assert_int_equal(fmt("in"), 0);
    assert_string_equal(output, "starting \\x1b[31mup\\x1b[0m\n\nINFO  m\n"
                                "{\"level\":\"INFO\",\"msg\":\"cut\n\\x09trace \xEF\xBF\xBD\\x9b\n"
                                "last\n");
    assert_int_equal(fmt("--color always in | tr '\\033' @"), 0);
    assert_non_null(strstr(output, "@[2mlast@[0m\n"));
    assert_int_equal(fmt("--json in"), 0);
    assert_memory_equal(output, text, strlen(text));
    assert_int_equal(fmt("-g last in"), 0);
    assert_string_equal(output, "last\n");
    assert_int_equal(fmt("--fields msg in"), 0);
    assert_non_null(strstr(output, "\nmsg=m\n"));
    assert_non_null(strstr(output, "\nlast\n"));
    assert_int_equal(fmt("-l trace in"), 0);
    assert_string_equal(output, "INFO  m\n");
}

static void test_fmt_strict(void **state)
{
    static const char bad[] = "{\"a\":1}\n\n  {\"b\":2}\r\n{\"a\":01}\n{\"c\":3}\n";

    (void)state;
    put("in", bad, strlen(bad), "w");
    assert_int_equal(fmt("--strict --json in"), 2);
    assert_string_equal(output, "{\"a\":1}\n\n  {\"b\":2}\r\n");
    assert_string_equal(errors, "clew fmt: in: line 4 is no JSON object, from column 7 on\n");
    assert_int_equal(fmt("--strict -k c=3 in"), 2);
    put("in", "{\"a\":\"\xff\"}\n", 10, "w");
    assert_int_equal(fmt("in"), 0);
    assert_int_equal(fmt("--strict in"), 2);
    assert_string_equal(errors, "clew fmt: in: line 1 is not UTF-8, from column 7 on\n");
}

static void test_fmt_hostile_file_name(void **state)
{
    (void)state;
    assert_int_equal(fmt("$(printf 'a\\033[2Jb')"), 2);
    assert_string_equal(errors, "clew fmt: a\\x1b[2Jb: No such file or directory\n");
}

static void test_fmt_gz(void **state)
{
    gzFile gz;
    char packed[4096];
    FILE *file;
    size_t n;

    (void)state;
    for (int i = 0; i < 2; i++) { /* two members, as an appending logger leaves */
        gz = gzopen("in.gz", i ? "ab" : "wb");
        assert_non_null(gz);
        assert_int_equal(gzwrite(gz, lines, (unsigned)strlen(lines)), strlen(lines));
        assert_int_equal(gzclose(gz), Z_OK);
    }
    assert_int_equal(fmt("--utc in.gz"), 0);
    assert_string_equal(output, ONE TWO THREE ONE TWO THREE);
    file = fopen("in.gz", "rb");
    assert_non_null(file);
    n = fread(packed, 1, sizeof(packed), file);
    (void)fclose(file);
    put("cut.gz", packed, n - 20, "w");
    assert_int_equal(fmt("--count cut.gz"), 2);
    assert_non_null(strstr(errors, "cut.gz: ends in the middle"));
    assert_non_null(strstr(fmt("--utc cut.gz") == 2 ? output : "", ONE TWO THREE));
    memset(packed + 20, 0x55, 10);
    put("bad.gz", packed, n, "w");
    assert_int_equal(fmt("bad.gz"), 2);
    assert_non_null(strstr(errors, "bad.gz: "));
    put("plain.gz", lines, strlen(lines), "w");
    assert_int_equal(fmt("--count plain.gz"), 0);
    assert_string_equal(output, "3\n");
}

/* Lines around the size of a block and of the longest that is read as one. */
static void test_fmt_long_lines(void **state)
{
    static const size_t sizes[] = {262144 - 10, 262144, 262145, 1 << 20, (16 << 20) - 40};
    char *text = malloc(40u << 20), command[512];
    size_t n;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        n = (size_t)sprintf(text, "{\"level\":\"info\",\"a\":\"");
        memset(text + n, 'x', sizes[i]);
        n += sizes[i];
        n += (size_t)sprintf(text + n, "\",\"b\":7}\n{\"b\":8}\n");
        put("in", text, n, "w");
        assert_int_equal(fmt("--count -k b=7 in"), 0);
        assert_string_equal(output, "1\n");
        assert_int_equal(fmt("--count in"), 0);
        assert_string_equal(output, "2\n");
    }
    /* Longer: no JSON any more, but all of it comes through. */
    memset(text, 'x', 36u << 20);
    memcpy(text, "{\"b\":7,\"a\":\"\xC3\xA9", 14);
    memcpy(text + (36u << 20), "\"}\n{\"b\":8}\n", 11);
    put("in", text, (36u << 20) + 11, "w");
    assert_int_equal(fmt("--count in"), 0);
    assert_string_equal(output, "2\n");
    assert_non_null(strstr(errors, "longer than 16 MiB"));
    assert_int_equal(fmt("--count -k b in"), 0);
    assert_string_equal(output, "1\n");
    assert_int_equal(fmt("--strict in"), 2);
    assert_non_null(strstr(errors, "line 1 is longer"));
    for (int json = 0; json < 2; json++) {
        (void)snprintf(command, sizeof(command), "'%s' fmt %s in 2>err | cmp - in", clew,
                       json ? "--json" : "--color never");
        assert_int_equal(system(command), 0);
    }
    (void)snprintf(command, sizeof(command),
                   "'%s' fmt --tail 1 in 2>err | cat >out; cat in in | '%s' fmt --head 1 2>err "
                   "| wc -l >>out",
                   clew, clew);
    assert_int_equal(system(command), 0);
    get("out", output, sizeof(output));
    assert_string_equal(output, "{\"b\":8}\n1\n");
    free(text);
}

static void test_fmt_pipe_is_not_held_back(void **state)
{
    struct pollfd ready;
    int in[2], out[2], status;
    char text[256];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(in[1]);
        execl(clew, clew, "fmt", "--utc", (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    assert_int_equal(write(in[1], lines, strlen(lines)), strlen(lines));
    ready = (struct pollfd){.fd = out[0], .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 10000), 1);
    assert_int_equal(read(out[0], text, sizeof(text)), strlen(ONE TWO THREE));
    (void)close(in[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(out[0]);
}

/* What a terminal gets. */
static void on_terminal(const char *option, bool no_color, char *ret, size_t size)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    assert_true(terminal >= 0);
    assert_int_equal(grantpt(terminal), 0);
    assert_int_equal(unlockpt(terminal), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(ptsname(terminal), O_RDWR | O_NOCTTY);

        (void)dup2(fd, STDOUT_FILENO);
        (void)setenv("TERM", "xterm", 1);
        (void)(no_color ? setenv("NO_COLOR", "1", 1) : unsetenv("NO_COLOR"));
        execl(clew, clew, "fmt", option, "in", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(fcntl(terminal, F_SETFL, O_NONBLOCK), 0);
    while ((n = read(terminal, ret + len, size - 1 - len)) > 0)
        len += (size_t)n;
    ret[len] = '\0';
    (void)close(terminal);
}

static void test_fmt_terminal_is_not_controlled(void **state)
{
    static const char hostile[] = "{\"level\":\"INFO\",\"msg\":\"a\xc2\x9b"
                                  "2J\\u001b\x7f\"}\n"
                                  "text\033[2J\n";
    static char seen[4096];

    (void)state;
    put("in", hostile, strlen(hostile), "w");
    on_terminal("--json", false, seen, sizeof(seen));
    assert_string_equal(seen, "{\"level\":\"INFO\",\"msg\":\"a\\x9b2J\\u001b\\x7f\"}\r\n"
                              "text\\x1b[2J\r\n");
    on_terminal("--utc", true, seen, sizeof(seen));
    assert_string_equal(seen, "INFO  a\\x9b2J\\x1b\\x7f\r\ntext\\x1b[2J\r\n");
    on_terminal("--utc", false, seen, sizeof(seen));
    assert_string_equal(seen, "\033[32mINFO  \033[0m\033[1ma\\x9b2J\\x1b\\x7f\033[0m\r\n"
                              "\033[2mtext\\x1b[2J\033[0m\r\n");
    on_terminal("--color=never", false, seen, sizeof(seen));
    assert_null(strchr(seen, '\033'));
}

/* ---- following -------------------------------------------------------------- */

static int follow_fd;

/* Reads on until the text has come; what came before is forgotten. */
static void await(const char *text)
{
    static char seen[65536];
    size_t len = 0;

    while (len < sizeof(seen) - 1) {
        struct pollfd ready = {.fd = follow_fd, .events = POLLIN};
        ssize_t n;

        if (poll(&ready, 1, 10000) != 1)
            fail_msg("no \"%s\" in \"%.*s\"", text, (int)len, seen);
        n = read(follow_fd, seen + len, sizeof(seen) - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        seen[len] = '\0';
        if (len >= strlen(text) && strcmp(seen + len - strlen(text), text) == 0)
            break;
    }
    assert_string_equal(seen, text);
}

static void append(const char *name, const char *text)
{
    put(name, text, strlen(text), "a");
}

static void test_fmt_follows_rotation_and_truncation(void **state)
{
    int out[2], status;
    pid_t pid;

    (void)state;
    put("log", "", 0, "w");
    append("log", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_int_equal(pipe(out), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(out[1], STDOUT_FILENO);
        execl(clew, clew, "fmt", "-f", "--json", "--tail", "2", "-k", "n!=0", "log", (char *)NULL);
        _exit(127);
    }
    (void)close(out[1]);
    follow_fd = out[0];
    await("{\"n\":2}\n{\"n\":3}\n");
    append("log", "{\"n\":0}\n{\"n\":");
    append("log", "4}\n");
    await("{\"n\":4}\n");
    /* Rotated: the old file still gets a line, and the last one is not ended. */
    assert_int_equal(rename("log", "log.1"), 0);
    append("log.1", "{\"n\":5}\n{\"n\":6}");
    put("log.new", "{\"n\":7}\n", 8, "w");
    assert_int_equal(rename("log.new", "log"), 0);
    await("{\"n\":5}\n{\"n\":6}\n{\"n\":7}\n");
    append("log", "{\"n\":70}\n");
    await("{\"n\":70}\n");
    /* Cut: what is there then is new. */
    assert_int_equal(truncate("log", 0), 0);
    append("log", "{\"n\":8}\n");
    await("{\"n\":8}\n");
    /* Gone for a while. */
    assert_int_equal(unlink("log"), 0);
    put("log.new", "{\"n\":9}\n", 8, "w");
    assert_int_equal(rename("log.new", "log"), 0);
    await("{\"n\":9}\n");
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGTERM);
    (void)close(out[0]);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/clew-test-XXXXXX");
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    (void)chdir("/");
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fmt_options),
        cmocka_unit_test(test_fmt_relative_times),
        cmocka_unit_test(test_fmt_exit_statuses),
        cmocka_unit_test(test_fmt_text_is_never_lost),
        cmocka_unit_test(test_fmt_strict),
        cmocka_unit_test(test_fmt_hostile_file_name),
        cmocka_unit_test(test_fmt_gz),
        cmocka_unit_test(test_fmt_long_lines),
        cmocka_unit_test(test_fmt_pipe_is_not_held_back),
        cmocka_unit_test(test_fmt_terminal_is_not_controlled),
        cmocka_unit_test(test_fmt_follows_rotation_and_truncation),
    };

    if (argc != 2 || !(clew = realpath(argv[1], NULL))) {
        fprintf(stderr, "usage: %s CLEW\n", argv[0]);
        return 64;
    }
    (void)unsetenv("TZ");
    return cmocka_run_group_tests(tests, setup, teardown);
}
