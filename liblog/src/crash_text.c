/* SPDX-License-Identifier: Apache-2.0
 * Which signals are crashes, their names, and those of the reasons the kernel
 * gives. Tables and arithmetic only: used in a signal handler. */
#include "crash_priv.h"

#define SECCOMP_CODE 1 /* SYS_SECCOMP of the kernel; glibc has no name for it */

const int clew__crash_signals[CLEW__CRASH_SIGNALS] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
                                                      SIGABRT, SIGTRAP, SIGSYS};

void clew__block_signals(sigset_t *ret_old)
{
    sigset_t most;

    sigfillset(&most);
    for (int i = 0; i < CLEW__CRASH_SIGNALS; i++)
        sigdelset(&most, clew__crash_signals[i]);
    (void)pthread_sigmask(SIG_SETMASK, &most, ret_old);
}

const char *clew__crash_signal_name(int number)
{
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    case SIGABRT:
        return "SIGABRT";
    case SIGTRAP:
        return "SIGTRAP";
    case SIGSYS:
        return "SIGSYS";
    default:
        return "unknown";
    }
}

/* sigaction(2); signal 0: any. */
static const struct {
    int signal;
    int code;
    const char *text;
} reasons[] = {
    {SIGSEGV, SEGV_MAPERR, "no memory at the address (SEGV_MAPERR)"},
    {SIGSEGV, SEGV_ACCERR, "the memory does not allow this access (SEGV_ACCERR)"},
    {SIGBUS, BUS_ADRALN, "address not aligned (BUS_ADRALN)"},
    {SIGBUS, BUS_ADRERR, "nothing behind the address, as past a file's end (BUS_ADRERR)"},
    {SIGBUS, BUS_OBJERR, "error of the hardware (BUS_OBJERR)"},
    {SIGBUS, BUS_MCEERR_AR, "memory is broken, needed now (BUS_MCEERR_AR)"},
    {SIGBUS, BUS_MCEERR_AO, "memory is broken (BUS_MCEERR_AO)"},
    {SIGILL, ILL_ILLOPC, "illegal instruction (ILL_ILLOPC)"},
    {SIGILL, ILL_ILLOPN, "illegal operand (ILL_ILLOPN)"},
    {SIGILL, ILL_ILLADR, "illegal addressing mode (ILL_ILLADR)"},
    {SIGILL, ILL_ILLTRP, "illegal trap (ILL_ILLTRP)"},
    {SIGILL, ILL_PRVOPC, "privileged instruction (ILL_PRVOPC)"},
    {SIGILL, ILL_PRVREG, "privileged register (ILL_PRVREG)"},
    {SIGILL, ILL_COPROC, "error of a coprocessor (ILL_COPROC)"},
    {SIGILL, ILL_BADSTK, "internal stack error (ILL_BADSTK)"},
    {SIGFPE, FPE_INTDIV, "integer division by zero (FPE_INTDIV)"},
    {SIGFPE, FPE_INTOVF, "integer overflow (FPE_INTOVF)"},
    {SIGFPE, FPE_FLTDIV, "floating-point division by zero (FPE_FLTDIV)"},
    {SIGFPE, FPE_FLTOVF, "floating-point overflow (FPE_FLTOVF)"},
    {SIGFPE, FPE_FLTUND, "floating-point underflow (FPE_FLTUND)"},
    {SIGFPE, FPE_FLTRES, "floating-point result not exact (FPE_FLTRES)"},
    {SIGFPE, FPE_FLTINV, "invalid floating-point operation (FPE_FLTINV)"},
    {SIGFPE, FPE_FLTSUB, "subscript out of range (FPE_FLTSUB)"},
    {SIGTRAP, TRAP_BRKPT, "breakpoint (TRAP_BRKPT)"},
    {SIGTRAP, TRAP_TRACE, "trace trap (TRAP_TRACE)"},
    {SIGSYS, SECCOMP_CODE, "system call not allowed (SYS_SECCOMP)"},
    {0, SI_KERNEL, "from the kernel (SI_KERNEL)"},
    {0, SI_USER, "sent by a process (SI_USER)"},
    {0, SI_QUEUE, "sent by a process (SI_QUEUE)"},
    {0, SI_TKILL, "sent to the thread, as by abort() or raise() (SI_TKILL)"},
    {0, SI_TIMER, "a timer (SI_TIMER)"},
};

const char *clew__crash_reason(const siginfo_t *info)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if ((reasons[i].signal == info->si_signo || reasons[i].signal == 0) &&
            reasons[i].code == info->si_code)
            return reasons[i].text;
    return "unknown";
}

size_t clew__crash_hex(char ret[19], uintptr_t value)
{
    size_t len = 3;

    for (uintptr_t rest = value >> 4; rest; rest >>= 4)
        len++;
    ret[0] = '0';
    ret[1] = 'x';
    ret[len] = '\0';
    for (size_t i = len; i-- > 2; value >>= 4)
        ret[i] = "0123456789abcdef"[value & 15];
    return len;
}
