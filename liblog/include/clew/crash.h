/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/crash.h: a program that crashes says so in its log, as its last line.
 *
 * SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP and SIGSYS become one FATAL
 * line "crashed", with the request's ids as any line of that thread, and
 *
 *     signal     "SIGSEGV"         number  11
 *     reason     what si_code says, as "no memory at the address (SEGV_MAPERR)"
 *     address    of the fault, "0x0"; null where there is none
 *     sender     the process that sent the signal, 0 for a fault
 *     thread     the thread's name  tid  its number
 *     backtrace  "module+0xoffset module+0xoffset …", innermost first, at most 48.
 *                The offset is from where the module begins in memory, as
 *                `addr2line -e module` wants it of anything built as PIC or PIE;
 *                all but the first are return addresses
 *
 * Then what was there before happens: a handler of the program is called with
 * the original siginfo; or the process dies of the same signal, with its core.
 */
#ifndef CLEW_CRASH_H
#define CLEW_CRASH_H

#include <clew/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Installs the handlers and gives the calling thread a stack for them.
 *
 * A signal that is ignored stays so. Handlers installed later replace these;
 * those installed earlier are called after the line, once: then they stay in
 * force alone. Install in the main thread, after logging was started: it is
 * started otherwise.
 *
 * The line is in the ring file at once. The handler waits up to 2 s until it is
 * in the outputs too; where it cannot get there (the crash was in the collector,
 * or the outputs hang) the next start of the service writes it. A crash while a
 * crash is being reported ends the process at once; a report that hangs ends
 * after 6 s. Two threads that crash at the same time report one after the other.
 *
 * A thread that blocks the signal of a fault dies of it without a report: so
 * the kernel does it.
 *
 * threads  MT-Safe      signals AS-Unsafe (allocates)
 * fork     in force in the child too
 * returns  0; 1 when it was done already; -errno, clew_last_error() says why
 */
CLEW_PUBLIC int clew_crash_install(void);

/* Gives the calling thread a stack for the handlers, so that an overflow of its
 * own can be reported: call it at the beginning of a thread. Other crashes of a
 * thread are reported without. The stack is kept when the thread has one of its
 * own, and is freed when it ends.
 *
 * threads  MT-Safe      signals AS-Unsafe
 * limits   64 KiB of address space a thread, of which what is used is memory
 * returns  0; 1 when the thread had one; -ENOMEM
 */
CLEW_PUBLIC int clew_crash_thread_init(void);

#ifdef __cplusplus
}
#endif

#endif
