/* SPDX-License-Identifier: Apache-2.0
 *
 * Crash reports. The handler runs in the thread that crashed, on a stack of its
 * own, and may have interrupted anything: malloc with the heap's lock held, a
 * log call, a holder of one of this library's locks. So it
 *
 * - takes no lock and calls nothing that does. The event is a log call like any
 *   other: it goes to the thread's ring, or to its ring for handlers when it
 *   interrupted a log call, with one release store. Its site is registered at
 *   install. A thread's first record maps its ring without malloc
 * - does not use clew_log_flush(), which has a lock and a condition: it looks at
 *   the ring's tail until the collector has passed the record, bounded
 * - lets one thread report at a time, the owner; others wait for their turn,
 *   bounded, and go on without a report then
 * - expects that it fails itself. The handlers do not block the signals they are
 *   for: a fault of the owner while it walks the stack gives up the backtrace,
 *   any later one ends the process. For what hangs, a timer sends the crash
 *   signal again, to this thread, with the same consequences.
 *
 * Afterwards the disposition found at install is put back and the signal sent
 * again with the original siginfo while it is blocked, so that it arrives at the
 * moment the handler returns: with the registers of the crash, for a core or for
 * the program's handler. Returning alone would do for a faulting instruction,
 * but not for abort(), kill(), a trap or a system call.
 */
#include "capture_priv.h"
#include "core_priv.h"
#include "crash_priv.h"

#include <clew/crash.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES 65536u
#define TURN_MS 4000
#define CAPTURED_MS 200
#define WRITTEN_MS 2000
#define WATCHDOG_S 3 /* a period: walking has one, the rest another */
#define NEAR_BYTES 65536u

static struct sigaction previous[CLEW__CRASH_SIGNALS];

static _Atomic pid_t owner; /* the thread that reports */
static _Atomic int phase;   /* of its report: */
enum { WALKING = 1, LOGGING };
/* The owner's. */
static sigjmp_buf escape;
static int first_signal;
static struct report {
    const char *signal;
    int number;
    const char *reason;
    char address[19]; /* "" for none */
    int sender;
    char thread[17];
    int tid;
    size_t trace_len;
    char trace[CLEW__CRASH_TRACE_BYTES];
} report;

static pid_t thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static void sleep_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};

    (void)nanosleep(&t, NULL);
}

/* ---- the event ---------------------------------------------------------------- */

#define EVENT(r)                                                                      \
    "crashed", clew_kv("signal", (r)->signal), clew_kv("number", (r)->number),        \
        clew_kv("reason", (r)->reason),                                               \
        clew_kv("address", (r)->address[0] ? (const char *)(r)->address : NULL),      \
        clew_kv("sender", (r)->sender), clew_kv("thread", (const char *)(r)->thread), \
        clew_kv("tid", (r)->tid), clew_kvn("backtrace", (const char *)(r)->trace, (r)->trace_len)
#define SITE(...) CLEW__SITE(CLEW_LEVEL_FATAL, 0, __VA_ARGS__)
#define CALL(gate, ...) CLEW__CALL(CLEW_LEVEL_FATAL, gate, __VA_ARGS__)

/* NULL: only makes the site known. Whether there is an event. */
static bool log_crash(const struct report *r)
{
    SITE(EVENT(r));
    CLEW__GATE(gate);

    if (gate == 0 || !r)
        return false;
    CALL(gate, EVENT(r));
    return true;
}

static bool is_written(const struct clew__ring *ring)
{
    return __atomic_load_n(&ring->control->head, __ATOMIC_ACQUIRE) ==
           (atomic_load_explicit(&ring->control->tail, memory_order_acquire) & ~UINT64_C(7));
}

/* The ring of an interrupted log call may be held by this very thread, which
 * will not let go of it: then only the record in the other one counts. */
static void wait_until_written(void)
{
    const struct clew__ring *ring = clew__self.ring;

    if (!ring || clew__in_collector())
        return;
    if (clew_hot.busy)
        ring = ring->nested;
    for (int ms = 0; ms < WRITTEN_MS && !is_written(ring); ms++)
        sleep_ms(1);
}

/* ---- the report ---------------------------------------------------------------- */

/* Sends sig to this thread again and again until it is deleted; -1 if it cannot
 * be had. The C library's timer_create() may allocate, the system call does not. */
static int start_watchdog(int sig)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig};
    long period[4] = {WATCHDOG_S, 0, WATCHDOG_S, 0};
    int timer;

    event._sigev_un._tid = thread_id();
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0)
        return -1;
    (void)syscall(SYS_timer_settime, timer, 0, period, NULL);
    return timer;
}

static bool is_stack_overflow(const siginfo_t *info, const struct clew__crash_place *place)
{
    uintptr_t address = (uintptr_t)info->si_addr;

    return info->si_signo == SIGSEGV && place->sp &&
           (info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR) &&
           address + NEAR_BYTES > place->sp && address < place->sp + NEAR_BYTES;
}

static void describe(const siginfo_t *info, const struct clew__crash_place *place)
{
    bool sent = info->si_code <= 0;

    memset(&report, 0, offsetof(struct report, trace));
    report.signal = clew__crash_signal_name(info->si_signo);
    report.number = info->si_signo;
    report.reason = is_stack_overflow(info, place) ? "stack overflow" : clew__crash_reason(info);
    if (sent)
        report.sender = info->si_pid;
    else if (info->si_code != SI_KERNEL && info->si_signo != SIGSYS)
        (void)clew__crash_hex(report.address, (uintptr_t)info->si_addr);
    (void)prctl(PR_GET_NAME, report.thread);
    report.tid = thread_id();
}

static void tell(const siginfo_t *info, const void *ucontext)
{
    struct clew__crash_place place = clew__crash_place(ucontext);
    int timer;

    first_signal = info->si_signo;
    atomic_store(&phase, LOGGING);
    timer = start_watchdog(info->si_signo);
    if (sigsetjmp(escape, 1) == 0) {
        atomic_store(&phase, WALKING);
        clew__crash_trace_walk(&place);
    }
    atomic_store(&phase, LOGGING);
    describe(info, &place);
    report.trace_len = clew__crash_trace_text(report.trace);
    /* The reason that assert() or malloc gave stands before the crash. */
    for (int ms = 0; ms < CAPTURED_MS && !clew__capture_is_idle(); ms++)
        sleep_ms(1);
    if (log_crash(&report))
        wait_until_written();
    if (timer >= 0)
        (void)syscall(SYS_timer_delete, timer);
}

/* ---- the handler ----------------------------------------------------------------- */

static bool take_turn(pid_t me)
{
    for (int ms = 0; ms < TURN_MS; ms++) {
        pid_t nobody = 0;

        if (atomic_compare_exchange_strong(&owner, &nobody, me))
            return true;
        sleep_ms(1);
    }
    return false;
}

/* The owner crashed again, or hangs. */
static void give_up(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};

    if (atomic_load(&phase) == WALKING) {
        atomic_store(&phase, LOGGING);
        siglongjmp(escape, 1);
    }
    (void)sigaction(first_signal, &standard, NULL);
    (void)raise(first_signal); /* not blocked: does not return */
}

static void pass_on(int sig, siginfo_t *info)
{
    sigset_t one;

    for (int i = 0; i < CLEW__CRASH_SIGNALS; i++)
        if (clew__crash_signals[i] == sig)
            (void)sigaction(sig, &previous[i], NULL);
    sigemptyset(&one);
    sigaddset(&one, sig);
    (void)pthread_sigmask(SIG_BLOCK, &one, NULL); /* until the handler returns */
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_id(), sig, info) < 0)
        (void)raise(sig);
}

static void on_crash(int sig, siginfo_t *info, void *ucontext)
{
    pid_t me = thread_id();
    int saved = errno;

    if (atomic_load(&owner) == me) {
        give_up();
        return;
    }
    if (take_turn(me)) {
        tell(info, ucontext);
        atomic_store(&owner, 0);
    }
    pass_on(sig, info);
    errno = saved;
}

/* ---- stacks ------------------------------------------------------------------------ */

static pthread_key_t stack_key;
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;
static bool have_stack_key;

static void free_stack(void *stack)
{
    stack_t current, off = {.ss_flags = SS_DISABLE};

    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == (char *)stack + getpagesize())
        (void)sigaltstack(&off, NULL);
    (void)munmap(stack, STACK_BYTES + (size_t)getpagesize());
}

static void make_stack_key(void)
{
    have_stack_key = pthread_key_create(&stack_key, free_stack) == 0;
}

int clew_crash_thread_init(void)
{
    size_t guard = (size_t)getpagesize();
    stack_t stack;
    char *memory;

    if (sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE))
        return 1;
    memory = mmap(NULL, guard + STACK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return clew_set_error(-ENOMEM, "crash: no memory for a signal stack");
    (void)mprotect(memory, guard, PROT_NONE);
    stack = (stack_t){.ss_sp = memory + guard, .ss_size = STACK_BYTES};
    if (sigaltstack(&stack, NULL) < 0) {
        int err = -errno;

        (void)munmap(memory, guard + STACK_BYTES);
        return clew_set_error(err, "crash: sigaltstack: %s", strerror(-err));
    }
    pthread_once(&stack_once, make_stack_key);
    if (have_stack_key)
        (void)pthread_setspecific(stack_key, memory);
    return 0;
}

/* ---- installing ---------------------------------------------------------------------- */

static int install(int i)
{
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    if (sigaction(clew__crash_signals[i], NULL, &previous[i]) < 0)
        return -errno;
    if (!(previous[i].sa_flags & SA_SIGINFO) && previous[i].sa_handler == SIG_IGN)
        return 0;
    /* Nothing else is to run in this thread meanwhile; see the file's head for
     * why crashes are. */
    sigfillset(&action.sa_mask);
    for (int j = 0; j < CLEW__CRASH_SIGNALS; j++)
        sigdelset(&action.sa_mask, clew__crash_signals[j]);
    return sigaction(clew__crash_signals[i], &action, NULL) < 0 ? -errno : 0;
}

int clew_crash_install(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool installed;
    int err = clew_log_start(NULL, NULL);

    if (err < 0)
        return err;
    err = clew_crash_thread_init();
    if (err < 0)
        return err;
    pthread_mutex_lock(&lock);
    err = installed ? 1 : 0;
    if (!installed) {
        (void)log_crash(NULL);
        clew__crash_trace_prepare();
        for (int i = 0; i < CLEW__CRASH_SIGNALS && err == 0; i++)
            err = install(i);
        if (err < 0)
            (void)clew_set_error(err, "crash: sigaction: %s", strerror(-err));
        else
            installed = true;
    }
    pthread_mutex_unlock(&lock);
    return err;
}
