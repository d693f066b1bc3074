/* SPDX-License-Identifier: Apache-2.0
 *
 * What a crash report consists of. Everything here is AS-Safe: system calls and
 * memory that belongs to whoever reports, no lock, no allocation. */
#ifndef CLEW_CRASH_PRIV_H
#define CLEW_CRASH_PRIV_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

/* ---- crash_text.c: numbers as names ----------------------------------------- */

#define CLEW__CRASH_SIGNALS 7
extern const int clew__crash_signals[CLEW__CRASH_SIGNALS];
/* Blocks all signals but these, for a thread of the library to inherit: where
 * the signal of a fault is blocked the kernel ends the process without asking
 * the handler. */
void clew__block_signals(sigset_t *ret_old);
const char *clew__crash_signal_name(int number);
/* What si_code says, "… (SEGV_MAPERR)". Static. */
const char *clew__crash_reason(const siginfo_t *info);
/* Writes "0x…" with a NUL; returns its length. */
size_t clew__crash_hex(char ret[19], uintptr_t value);

/* ---- crash_trace.c: the backtrace --------------------------------------------- */

#define CLEW__CRASH_TRACE_BYTES 3072u

/* Where the thread was, from the handler's third argument; 0 what is unknown. */
struct clew__crash_place {
    uintptr_t pc;
    uintptr_t sp;
};
struct clew__crash_place clew__crash_place(const void *ucontext);

/* Loads what backtrace(3) loads on its first use. Not AS-Safe. */
void clew__crash_trace_prepare(void);
/* The trace in its two steps; one caller at a time. The first walks the stack,
 * which may be damaged: it may fault, and is left by siglongjmp() then; the
 * second makes text of what the first found. */
void clew__crash_trace_walk(const struct clew__crash_place *place);
size_t clew__crash_trace_text(char ret[CLEW__CRASH_TRACE_BYTES]);

#endif
