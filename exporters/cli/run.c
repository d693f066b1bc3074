/* SPDX-License-Identifier: Apache-2.0
 *
 * `clew run`: a command as a span. The span is this process's; the command gets
 * the ids in its environment. What it prints comes through two pipes and is
 * logged line by line. One thread does it all: it waits for the pipes and, by a
 * signalfd, for the command's end and for signals to hand on.
 */
#include "cli.h"

#include <clew/export.h>
#include <clew/trace.h>
#include <json.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_BYTES 8192u

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };

static const char usage[] =
    "usage: clew run [options] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND as a span, with the request's ids in its environment (TRACEPARENT,\n"
    "TRACESTATE, BAGGAGE, CLEW_REQUEST_ID, CLEW_CORRELATION_ID), and logs each line\n"
    "it prints. What clew run finds of these in its own environment it continues.\n"
    "\n"
    "  -n, --name NAME      the span's name (the command's, without folder)\n"
    "  -s, --service NAME   the service's name (OTEL_SERVICE_NAME, else as --name)\n"
    "  -o, --stdout LEVEL   of the lines it prints: trace, debug, info, warn, error,\n"
    "                       fatal, off (info)\n"
    "  -e, --stderr LEVEL   the same for stderr (warn)\n"
    "  -p, --pass-through   leave stdout and stderr to the command, log nothing to them\n"
    "  -h, --help\n"
    "\n"
    "Signals are handed on. Exit status: the command's, 128 + n when signal n killed\n"
    "it; 126 it cannot be executed; 127 it was not found; 64 wrong usage.\n";

struct stream {
    const char *name;
    enum clew_level level;
    int fd; /* the end to read, -1: none */
    size_t len;
    char text[LINE_BYTES];
};

struct run {
    char **argv;
    const char *name, *service;
    bool pass_through;
    struct stream out, err;
    sigset_t old_mask;
    int signals; /* a signalfd */
    pid_t pid;
    int status; /* of waitpid() */
    bool ended;
};

/* ---- what it prints ----------------------------------------------------------- */

static void log_line(const struct stream *stream, const char *text, size_t len)
{
    if (len > 0 && text[len - 1] == '\r')
        len--;
    if (len == 0)
        return;
#define X(name_, number, lower)                                                 \
    case CLEW_LEVEL_##name_:                                                    \
        clew_log(CLEW_LEVEL_##name_, "command output", clew_message(text, len), \
                 clew_kv("stream", stream->name));                              \
        break;
    switch (stream->level) {
        CLEW_LEVEL_MAP(X)
    case CLEW_LEVEL_OFF:
        break;
    }
#undef X
}

/* Logs the lines that are whole, and what there is when there is no room. */
static void take_lines(struct stream *stream)
{
    char *from = stream->text, *end = from + stream->len, *newline;

    while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        log_line(stream, from, (size_t)(newline - from));
        from = newline + 1;
    }
    stream->len = (size_t)(end - from);
    if (stream->len == LINE_BYTES) {
        size_t cut = clew__utf8_cut(from, stream->len, stream->len - 1);

        log_line(stream, from, cut);
        from += cut;
        stream->len -= cut;
    }
    memmove(stream->text, from, stream->len);
}

static void close_stream(struct stream *stream)
{
    if (stream->fd < 0)
        return;
    log_line(stream, stream->text, stream->len);
    (void)close(stream->fd);
    stream->fd = -1;
}

/* Reads what is there; false when that is nothing. */
static bool read_stream(struct stream *stream)
{
    ssize_t n;

    if (stream->fd < 0)
        return false;
    n = read(stream->fd, stream->text + stream->len, LINE_BYTES - stream->len);
    if (n > 0) {
        stream->len += (size_t)n;
        take_lines(stream);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_stream(stream);
    return n < 0 && errno == EINTR;
}

/* ---- the command ------------------------------------------------------------------ */

static const int handed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

/* Before any thread is: all inherit the mask. */
static void take_signals(struct run *run)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof(handed_on) / sizeof(handed_on[0]); i++)
        sigaddset(&set, handed_on[i]);
    (void)sigprocmask(SIG_BLOCK, &set, &run->old_mask);
    run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The end to write goes to the command as fd. */
static int make_stream(struct stream *stream, posix_spawn_file_actions_t *actions, int fd)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    stream->fd = ends[0];
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    (void)posix_spawn_file_actions_adddup2(actions, ends[1], fd);
    return ends[1];
}

/* Starts it; 0 or what execve() says. */
static int spawn(struct run *run, char **environment)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int out = -1, err = -1, error = 0;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &run->old_mask);
    if (!run->pass_through) {
        out = make_stream(&run->out, &actions, STDOUT_FILENO);
        err = make_stream(&run->err, &actions, STDERR_FILENO);
        error = out < 0 ? -out : err < 0 ? -err : 0;
    }
    if (!error)
        error =
            posix_spawnp(&run->pid, run->argv[0], &actions, &attributes, run->argv, environment);
    if (out >= 0)
        (void)close(out);
    if (err >= 0)
        (void)close(err);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return error;
}

/* A signal of the terminal went to the command as well. */
static void take_signal(struct run *run)
{
    struct signalfd_siginfo info;

    while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL)
            (void)kill(run->pid, (int)info.ssi_signo);
        else if (info.ssi_signo == SIGCHLD && waitpid(run->pid, &run->status, WNOHANG) == run->pid)
            run->ended = true;
    }
}

/* Until the command has ended; what others still have to write is not waited for. */
static void wait_for_end(struct run *run)
{
    while (!run->ended) {
        struct pollfd ready[] = {{.fd = run->signals, .events = POLLIN},
                                 {.fd = run->out.fd, .events = POLLIN},
                                 {.fd = run->err.fd, .events = POLLIN}};

        if (poll(ready, 3, -1) < 0)
            continue;
        if (ready[1].revents)
            (void)read_stream(&run->out);
        if (ready[2].revents)
            (void)read_stream(&run->err);
        if (ready[0].revents)
            take_signal(run);
    }
    while (read_stream(&run->out))
        ;
    while (read_stream(&run->err))
        ;
    close_stream(&run->out);
    close_stream(&run->err);
}

/* ---- the span ----------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

static void describe_end(struct clew_span *span, int status, int code)
{
    char type[32];

    clew_span_set(span, clew_kv("process.exit.code", code));
    if (code == 0)
        return;
    if (WIFSIGNALED(status) && sigabbrev_np(WTERMSIG(status)))
        (void)snprintf(type, sizeof(type), "SIG%s", sigabbrev_np(WTERMSIG(status)));
    else
        (void)snprintf(type, sizeof(type), "%d", code);
    clew_span_set(span, clew_kv("error.type", (const char *)type));
    clew_span_set_status(span, CLEW_SPAN_ERROR, NULL);
}

static int run_in_span(struct run *run, struct clew_span *span)
{
    char **environment = clew_environment_make(clew_scope_current(), NULL);
    int error = environment ? spawn(run, environment) : ENOMEM;

    clew_span_set(span, clew_kv("process.executable.name", base_name(run->argv[0])));
    free(environment);
    if (error) {
        fprintf(stderr, "clew run: %s: %s\n", run->argv[0], strerror(error));
        clew_error("command not started", clew_kv("command", (const char *)run->argv[0]),
                   clew_errno("error", error));
        clew_span_set(span, clew_kv("error.type", strerrorname_np(error)));
        clew_span_set_status(span, CLEW_SPAN_ERROR, NULL);
        return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    }
    clew_span_set(span, clew_kv("process.pid", (int)run->pid));
    wait_for_end(run);
    int code =
        WIFSIGNALED(run->status) ? EXIT_SIGNAL + WTERMSIG(run->status) : WEXITSTATUS(run->status);
    describe_end(span, run->status, code);
    return code;
}

static struct clew_scope read_parent(bool *ret_remote)
{
    struct clew_extract variables;

    clew_extract_init(&variables);
    clew_extract_environment(&variables, NULL);
    return clew_extract_context(&variables, ret_remote);
}

static int run_command(struct run *run)
{
    struct clew_scope parent, previous;
    struct clew_span *span;
    bool remote;
    int code;

    take_signals(run);
    if (run->pass_through)
        (void)setenv("CLEW_LOG_OUTPUT", "none", 0);
    /* A wrong variable is no reason for the command not to run. */
    if (clew_start(run->service, NULL) < 0)
        fprintf(stderr, "clew run: %s\n", clew_last_error());
    parent = read_parent(&remote);
    previous = clew_scope_enter(parent);
    span = clew_span_start_with(run->name, &(struct clew_span_options){.remote = remote,
                                                                       .enter = true,
                                                                       .kind = CLEW_SPAN_CLIENT,
                                                                       .scope = "clew.run"});
    code = run_in_span(run, span);
    clew_span_end(span);
    clew_scope_leave(previous);
    clew_scope_release(parent);
    clew_stop();
    return code;
}

/* ---- options --------------------------------------------------------------------------- */

static const struct option options[] = {{"name", required_argument, NULL, 'n'},
                                        {"service", required_argument, NULL, 's'},
                                        {"stdout", required_argument, NULL, 'o'},
                                        {"stderr", required_argument, NULL, 'e'},
                                        {"pass-through", no_argument, NULL, 'p'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static bool parse_level(const char *text, enum clew_level *ret)
{
    if (clew_level_parse(text, ret) >= 0)
        return true;
    fprintf(stderr, "clew run: \"%.64s\" is no level\n", text);
    return false;
}

static bool take_option(struct run *run, int option)
{
    switch (option) {
    case 'n':
        run->name = optarg;
        return true;
    case 's':
        run->service = optarg;
        return true;
    case 'o':
        return parse_level(optarg, &run->out.level);
    case 'e':
        return parse_level(optarg, &run->err.level);
    case 'p':
        run->pass_through = true;
        return true;
    default:
        return false;
    }
}

int cli_run(int argc, char **argv)
{
    static struct run run = {.out = {.name = "stdout", .level = CLEW_LEVEL_INFO, .fd = -1},
                             .err = {.name = "stderr", .level = CLEW_LEVEL_WARN, .fd = -1}};
    int option;

    while ((option = getopt_long(argc, argv, "+n:s:o:e:ph", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!take_option(&run, option)) {
            fputs(usage, stderr);
            return EXIT_WRONG_USAGE;
        }
    }
    if (optind == argc || !*argv[optind]) {
        fputs(usage, stderr);
        return EXIT_WRONG_USAGE;
    }
    run.argv = argv + optind;
    if (!run.name || !*run.name)
        run.name = base_name(run.argv[0]);
    if (!run.service || !*run.service)
        run.service = run.name;
    return run_command(&run);
}
