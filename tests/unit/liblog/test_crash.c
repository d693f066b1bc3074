/* SPDX-License-Identifier: Apache-2.0
 * Programs that crash in many ways: each dies of the signal it would have died
 * of, and its log has one line that says so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/capture.h>
#include <clew/context.h>
#include <clew/crash.h>
#include <clew/sink.h>

#include <core_priv.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BARE __attribute__((noinline, no_sanitize("address", "undefined")))

/* AddressSanitizer has handlers of its own for these, which exit. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:"
           "handle_sigtrap=0:use_sigaltstack=0";
}

static json_t *context_of_crash(void)
{
    json_t *line = child_line("crashed");

    return line ? json_object_get(line, "context") : NULL;
}

static const char *text(const char *key)
{
    const char *value = json_string_value(json_object_get(context_of_crash(), key));

    return value ? value : "";
}

static long long number(const char *key)
{
    return json_integer_value(json_object_get(context_of_crash(), key));
}

static int install(void)
{
    static const struct rlimit none;

    (void)setrlimit(RLIMIT_CORE, &none);
    return clew_log_start("mortal", NULL) < 0 ? -1 : clew_crash_install();
}

/* Without the handlers of the test framework before ours. */
static int ready(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        (void)signal(signals[i], SIG_DFL);
    return install();
}

static int heir(void *arg)
{
    (void)arg;
    CHECK(clew_log_start("mortal", NULL) == 0);
    CHECK(clew_log_flush(20000) == 0);
    return 0;
}

/* The child died of the signal, and said so once. Where others log meanwhile
 * the last line may be cut: theirs, of a write in which the process ended. */
static void died(int (*scenario)(void *), void *arg, int sig)
{
    child_run(scenario, arg);
    assert_true(WIFSIGNALED(child.status));
    assert_int_equal(WTERMSIG(child.status), sig);
    assert_int_equal(child_count("crashed"), 1);
    assert_string_equal(json_string_value(json_object_get(child_line("crashed"), "level")),
                        "FATAL");
    assert_int_equal(number("number"), sig);
    assert_non_null(strstr(text("backtrace"), "+0x"));
}

/* The same where the collector may not have been able to write the line: then
 * the next start does. */
static void died_and_recovered(int (*scenario)(void *), int sig)
{
    child_run(scenario, NULL);
    assert_true(WIFSIGNALED(child.status));
    assert_int_equal(WTERMSIG(child.status), sig);
    if (child_count("crashed") == 0) {
        child_run(heir, NULL);
        assert_int_equal(child.status, 0);
    }
    assert_int_equal(child_count("crashed"), 1);
}

/* ---- faults ------------------------------------------------------------------------ */

static BARE void write_to(volatile int *where)
{
    *where = 1;
}

static int null_write(void *arg)
{
    struct clew_scope scope = {clew_context_new(), 0};

    CHECK(ready() == 0);
    CHECK(clew_crash_install() == 1);
    clew_context_set_request_id(scope.context, "request-7", 9);
    (void)clew_scope_enter(scope);
    (void)prctl(PR_SET_NAME, "unlucky");
    write_to(arg);
    return 0;
}

static void test_crash_null_write(void **state)
{
    (void)state;
    died(null_write, NULL, SIGSEGV);
    assert_true(child.whole);
    assert_string_equal(text("signal"), "SIGSEGV");
    assert_string_equal(text("address"), "0x0");
    assert_string_equal(text("reason"), "no memory at the address (SEGV_MAPERR)");
    assert_string_equal(text("thread"), "unlucky");
    assert_true(number("tid") > 1);
    assert_int_equal(number("sender"), 0);
    assert_memory_equal(text("backtrace"), "test_crash+0x", 13); /* the innermost is ours */
    assert_non_null(strstr(text("backtrace"), "libc"));
    assert_string_equal(json_string_value(json_object_get(child_line("crashed"), "request_id")),
                        "request-7");
    died(null_write, (void *)0xdead0000, SIGSEGV);
    assert_string_equal(text("address"), "0xdead0000");
}

static BARE int divide(volatile int a, volatile int b)
{
    return a / b;
}

static int division(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    return divide(1, 0);
}

static int file_end(void *arg)
{
    char path[128];
    volatile char *map;
    int fd;

    (void)arg;
    CHECK(ready() == 0);
    (void)snprintf(path, sizeof(path), "%s/empty", child.directory);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    return map[0];
}

static int read_only(void *arg)
{
    int *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)arg;
    CHECK(ready() == 0);
    write_to(page);
    return 0;
}

static int trap(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
#if defined(__x86_64__)
    __asm__ volatile("int3");
#else
    raise(SIGTRAP);
#endif
    return 0; /* after a trap instruction the program would just go on */
}

static int illegal(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
#if defined(__x86_64__)
    __asm__ volatile("ud2");
#else
    raise(SIGILL);
#endif
    return 0;
}

static void test_crash_of_each_kind(void **state)
{
    (void)state;
#if defined(__x86_64__)
    died(division, NULL, SIGFPE);
    assert_string_equal(text("reason"), "integer division by zero (FPE_INTDIV)");
    assert_memory_equal(text("backtrace"), "test_crash+0x", 13);
#endif
    died(file_end, NULL, SIGBUS);
    assert_string_equal(text("reason"),
                        "nothing behind the address, as past a file's end (BUS_ADRERR)");
    died(read_only, NULL, SIGSEGV);
    assert_string_equal(text("reason"), "the memory does not allow this access (SEGV_ACCERR)");
    died(trap, NULL, SIGTRAP);
    died(illegal, NULL, SIGILL);
    assert_string_equal(text("signal"), "SIGILL");
}

static int aborts(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    abort();
}

static int sends(void *arg)
{
    CHECK(ready() == 0);
    kill(getpid(), (int)(intptr_t)arg);
    pause();
    return 0;
}

static void test_crash_sent(void **state)
{
    (void)state;
    died(aborts, NULL, SIGABRT);
    assert_string_equal(text("signal"), "SIGABRT");
    assert_true(json_is_null(json_object_get(context_of_crash(), "address")));
    assert_non_null(strstr(text("reason"), "SI_TKILL"));
    assert_non_null(strstr(text("backtrace"), "test_crash+0x"));
    died(sends, (void *)(intptr_t)SIGSYS, SIGSYS);
    assert_non_null(strstr(text("reason"), "SI_USER"));
    assert_int_equal(number("sender"), number("tid"));
    died(sends, (void *)(intptr_t)SIGSEGV, SIGSEGV);
}

/* ---- stacks ------------------------------------------------------------------------- */

static BARE int fall(volatile int depth)
{
    volatile char room[512];

    room[0] = (char)depth;
    return depth < 0 ? 0 : fall(depth + 1) + room[0];
}

static int overflow(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    return fall(0);
}

static void *overflow_thread(void *arg)
{
    (void)arg;
    if (clew_crash_thread_init() != 0 || clew_crash_thread_init() != 1)
        exit(3);
    return (void *)(intptr_t)fall(0);
}

static int overflow_in_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    CHECK(ready() == 0);
    CHECK(pthread_create(&thread, NULL, overflow_thread, NULL) == 0);
    pthread_join(thread, NULL);
    return 0;
}

static void test_crash_stack_overflow(void **state)
{
    (void)state;
    died(overflow, NULL, SIGSEGV);
    assert_string_equal(text("reason"), "stack overflow");
    assert_memory_equal(text("backtrace"), "test_crash+0x", 13);
    died(overflow_in_thread, NULL, SIGSEGV);
    assert_string_equal(text("reason"), "stack overflow");
}

/* The stack that the unwinder would walk is gone. */
static BARE int lose_stack(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
#if defined(__x86_64__)
    __asm__ volatile("mov $0x10, %%rsp\n\tmov $0x20, %%rbp\n\tmovl $1, 0" ::: "memory");
#else
    write_to(NULL);
#endif
    return 0;
}

static int call_nowhere(void *arg)
{
    int (*volatile nowhere)(void) = NULL;

    (void)arg;
    CHECK(ready() == 0);
    return nowhere() + 1;
}

static void test_crash_with_a_damaged_stack(void **state)
{
    (void)state;
    died(lose_stack, NULL, SIGSEGV);
    assert_memory_equal(text("backtrace"), "test_crash+0x", 13);
    died(call_nowhere, NULL, SIGSEGV);
    assert_memory_equal(text("backtrace"), "?+0x0", 5);
#if defined(__x86_64__)
    assert_memory_equal(text("backtrace") + 6, "test_crash+0x", 13);
#endif
}

static void *ends_at_once(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)clew_crash_thread_init();
}

static size_t mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t n = 0;

    for (int c; (c = getc(maps)) != EOF;)
        n += c == '\n';
    (void)fclose(maps);
    return n;
}

static int many_threads(void *arg)
{
    size_t before = 0;

    (void)arg;
    CHECK(ready() == 0);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        void *result;

        CHECK(pthread_create(&thread, NULL, ends_at_once, NULL) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == NULL);
        if (i == 0)
            before = mappings();
    }
    CHECK(mappings() < before + 20);
    return 0;
}

static void test_crash_stacks_are_freed(void **state)
{
    (void)state;
    child_run(many_threads, NULL);
    assert_int_equal(child.status, 0);
}

/* ---- others log meanwhile ------------------------------------------------------------- */

static _Atomic unsigned chatted[4];

static void *chatter(void *arg)
{
    intptr_t me = (intptr_t)arg;

    for (unsigned i = 0;; i++) {
        clew_info("chatter", clew_kv("t", (int)me), clew_kv("i", i));
        chatted[me] = i + 1;
        if (i % 100 == 99)
            usleep(100);
    }
    return NULL;
}

static bool start_chatter(void)
{
    for (intptr_t i = 0; i < 4; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, chatter, (void *)i) != 0)
            return false;
    }
    for (int i = 0; i < 4; i++)
        while (chatted[i] < 200)
            usleep(100);
    return true;
}

static void *crash_thread(void *arg)
{
    (void)prctl(PR_SET_NAME, "second");
    write_to(arg);
    return NULL;
}

/* The thread has never logged, and has no stack of its own for handlers. */
static int in_second_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    CHECK(ready() == 0);
    CHECK(start_chatter());
    CHECK(pthread_create(&thread, NULL, crash_thread, NULL) == 0);
    pthread_join(thread, NULL);
    return 0;
}

static void test_crash_in_a_second_thread(void **state)
{
    (void)state;
    died(in_second_thread, NULL, SIGSEGV);
    assert_string_equal(text("thread"), "second");
    assert_true(child_count("chatter") >= 800);
}

/* malloc finds its list of free chunks damaged and says so with the heap's lock
 * held. Which allocation it looks at first is not known, hence several. */
#if !defined(__SANITIZE_ADDRESS__) /* its heap is another, and ends otherwise */
static BARE void break_heap(void)
{
    size_t *volatile chunks[64];

    for (int i = 0; i < 64; i++)
        chunks[i] = malloc(20000);
    for (int i = 0; i < 64; i += 2)
        free(chunks[i]);
    for (int i = 0; i < 64; i += 2)
        chunks[i][1] = (size_t)&chunks; /* the link backwards */
    for (int i = 0; i < 64; i++)
        chunks[i] = malloc(5000);
}

static int in_malloc(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    CHECK(start_chatter());
    break_heap();
    return 0;
}

static void test_crash_in_malloc(void **state)
{
    (void)state;
    died_and_recovered(in_malloc, SIGABRT);
    assert_non_null(strstr(text("backtrace"), "test_crash+0x"));
    assert_non_null(strstr(text("backtrace"), "libc"));
}
#endif

/* A lazy value runs inside the log call. */
static size_t crash_in_call(void *arg, char *to, size_t room)
{
    (void)to;
    (void)room;
    write_to(arg);
    return 0;
}

/* The mark that a call is being written is up: what is logged now comes from
 * a handler that interrupted it. */
static int inside_a_call(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    clew_info("before");
    clew_hot.busy = 1;
    write_to(NULL);
    return 0;
}

static int inside_lazy(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    clew_info("never", clew_lazy("v", crash_in_call, NULL));
    return 0;
}

static void test_crash_inside_a_log_call(void **state)
{
    (void)state;
    died(inside_a_call, NULL, SIGSEGV);
    assert_int_equal(child_count("before"), 1);
    died(inside_lazy, NULL, SIGSEGV);
    assert_int_equal(child_count("never"), 0);
}

/* The collector waits for the lock as well: the next start has the line. */
static int with_a_lock(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    clew_info("before");
    clew__registry_lock();
    write_to(NULL);
    return 0;
}

static void test_crash_with_a_lock_of_the_library(void **state)
{
    (void)state;
    died_and_recovered(with_a_lock, SIGSEGV);
}

/* ---- the collector ---------------------------------------------------------------------- */

static void deadly_line(void *self, const struct clew_line *line)
{
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, SIGSEGV);
    (void)pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    if (strcmp(line->site->message, "deadly") == 0)
        write_to(self);
}

static int in_collector(void *arg)
{
    static const struct clew_sink_ops deadly = {.name = "deadly", .line = deadly_line};

    (void)arg;
    CHECK(clew_sink_add(&deadly, NULL) == 0);
    CHECK(ready() == 0);
    clew_info("deadly");
    (void)clew_log_flush(20000);
    return 0;
}

static void test_crash_of_the_collector_is_recovered(void **state)
{
    uint64_t from = clew__monotonic_ns();

    (void)state;
    child_run(in_collector, NULL);
    assert_true(WIFSIGNALED(child.status));
    assert_int_equal(WTERMSIG(child.status), SIGSEGV);
    assert_true(clew__monotonic_ns() - from < UINT64_C(1500000000)); /* waits for nobody */
    assert_int_equal(child_count("crashed"), 0);
    child_run(heir, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("crashed"), 1);
    assert_string_equal(text("thread"), "clew-collector");
}

/* ---- two at once -------------------------------------------------------------------------- */

static pthread_barrier_t barrier;

static void *crash_together(void *arg)
{
    clew_info("thread", clew_kv("n", (int)(intptr_t)arg));
    pthread_barrier_wait(&barrier);
    write_to((int *)arg);
    return NULL;
}

static int together(void *arg)
{
    pthread_t threads[2];

    (void)arg;
    CHECK(ready() == 0);
    CHECK(start_chatter());
    pthread_barrier_init(&barrier, NULL, 2);
    for (intptr_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, crash_together, (void *)(0x100 * (i + 1))) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_crash_of_two_threads_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        child_run(together, NULL);
        assert_true(WIFSIGNALED(child.status));
        assert_int_equal(WTERMSIG(child.status), SIGSEGV);
        assert_in_range(child_count("crashed"), 1, 2);
    }
}

/* ---- what comes after the report ------------------------------------------------------------ */

static sigjmp_buf back;
static void *volatile seen_address;
static volatile int seen_calls;

static void own_handler(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    seen_address = info->si_addr;
    seen_calls++;
    siglongjmp(back, 1);
}

static int has_a_handler(void *arg)
{
    struct sigaction action = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO};

    (void)arg;
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    CHECK(install() == 0);
    if (sigsetjmp(back, 1) == 0)
        write_to((int *)0x5550);
    CHECK(seen_calls == 1 && seen_address == (void *)0x5550);
    if (sigsetjmp(back, 1) == 0)
        write_to((int *)0x5560);
    CHECK(seen_calls == 2);
    clew_info("alive");
    return 0;
}

static void test_crash_calls_the_programs_handler(void **state)
{
    (void)state;
    child_run(has_a_handler, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("crashed"), 1);
    assert_int_equal(child_count("alive"), 1);
}

static int ignores(void *arg)
{
    (void)arg;
    signal(SIGTRAP, SIG_IGN);
    CHECK(install() == 0);
    raise(SIGTRAP);
    return 0;
}

static void test_crash_leaves_ignored_signals(void **state)
{
    (void)state;
    child_run(ignores, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("crashed"), 0);
}

/* The level of the log: no event, and the same death. */
static int when_off(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    CHECK(clew_log_set_level(CLEW_LEVEL_OFF) == 0);
    write_to(NULL);
    return 0;
}

static int when_stopped(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    clew_log_stop();
    write_to(NULL);
    return 0;
}

static void test_crash_without_a_log(void **state)
{
    (void)state;
    child_run(when_off, NULL);
    assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV);
    assert_int_equal(child_count("crashed"), 0);
    child_run(when_stopped, NULL);
    assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV);
}

/* A fault while the report is made: an observer of its site is called in the
 * handler, and crashes or hangs. */
static void *match_crashed(void *self, const struct clew_site *site)
{
    return strcmp(site->message, "crashed") == 0 ? self : NULL;
}

static void observe_badly(void *state, const struct clew_site *site,
                          const struct clew_logger *logger, const struct clew_value *values,
                          const struct clew_scope *scope)
{
    (void)site;
    (void)logger;
    (void)values;
    (void)scope;
    if (*(const char *)state == 'c')
        write_to(NULL);
    for (;;)
        pause();
}

static int fails_to_report(void *arg)
{
    static const struct clew_observer_ops bad = {"bad", match_crashed, observe_badly};

    CHECK(clew_observer_add(&bad, arg) == 0);
    CHECK(ready() == 0);
    abort();
}

static void test_crash_inside_the_handler_ends_at_once(void **state)
{
    uint64_t from = clew__monotonic_ns();

    (void)state;
    child_run(fails_to_report, (void *)"crash");
    assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT);
    assert_true(clew__monotonic_ns() - from < UINT64_C(1500000000));
    child_run(fails_to_report, (void *)"hang");
    assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT);
    assert_true(clew__monotonic_ns() - from < UINT64_C(20000000000));
}

/* Nobody takes the log's lines: the handler waits, bounded, and the next start
 * has the line. */
static int stuck_output(void *arg)
{
    int ends[2];

    (void)arg;
    CHECK(pipe(ends) == 0 && dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    while (write(STDOUT_FILENO, "x", 1) == 1)
        ;
    fcntl(STDOUT_FILENO, F_SETFL, 0);
    CHECK(ready() == 0);
    write_to(NULL);
    return 0;
}

static void test_crash_with_a_stuck_output(void **state)
{
    (void)state;
    child_run(stuck_output, NULL);
    assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV);
    child_run(heir, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("crashed"), 1);
}

/* ---- with the other parts ----------------------------------------------------------------------
 */

static int in_child_of_fork(void *arg)
{
    int status;
    pid_t pid;

    (void)arg;
    CHECK(ready() == 0);
    clew_info("parent");
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0) {
        write_to((int *)0x40);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    return 0;
}

static void test_crash_in_the_child_of_a_fork(void **state)
{
    (void)state;
    child_run(in_child_of_fork, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("crashed"), 1);
    assert_string_equal(text("address"), "0x40");
}

static int says_why(void *arg)
{
    (void)arg;
    CHECK(ready() == 0);
    CHECK(clew_capture_stderr(CLEW_LEVEL_ERROR) == 0);
    fprintf(stderr, "assertion failed: the reason\n");
    abort();
}

static void test_crash_lets_the_capture_finish(void **state)
{
    json_t *line;

    (void)state;
    for (int i = 0; i < 10; i++) {
        died(says_why, NULL, SIGABRT);
        line = json_object_get(child_line("captured output"), "context");
        assert_string_equal(json_string_value(json_object_get(line, "text")),
                            "assertion failed: the reason");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_setup, child_teardown)
        TEST(test_crash_null_write),
        TEST(test_crash_of_each_kind),
        TEST(test_crash_sent),
        TEST(test_crash_stack_overflow),
        TEST(test_crash_with_a_damaged_stack),
        TEST(test_crash_stacks_are_freed),
        TEST(test_crash_in_a_second_thread),
#if !defined(__SANITIZE_ADDRESS__)
        TEST(test_crash_in_malloc),
#endif
        TEST(test_crash_inside_a_log_call),
        TEST(test_crash_with_a_lock_of_the_library),
        TEST(test_crash_of_the_collector_is_recovered),
        TEST(test_crash_of_two_threads_at_once),
        TEST(test_crash_calls_the_programs_handler),
        TEST(test_crash_leaves_ignored_signals),
        TEST(test_crash_without_a_log),
        TEST(test_crash_inside_the_handler_ends_at_once),
        TEST(test_crash_with_a_stuck_output),
        TEST(test_crash_in_the_child_of_a_fork),
        TEST(test_crash_lets_the_capture_finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
