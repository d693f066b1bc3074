/* SPDX-License-Identifier: Apache-2.0
 *
 * Which context and span are current in a thread. Each thread remembers what
 * was replaced by each scope entered, so that leaving in the wrong order is
 * noticed: the innermost ones that were forgotten are then left too, and what
 * was never entered here is not left. Deeper than CLEW_SCOPES_MAX nothing is
 * remembered, and nothing checked.
 */
#include "context_priv.h"

#include <string.h>

static const struct clew_scope nothing;

static bool same(struct clew_scope a, struct clew_scope b)
{
    return a.context == b.context && a.span_id == b.span_id;
}

/* Current, unless the program released it already. */
static void set(struct clew_scope scope)
{
    if (__builtin_expect(scope.context && !clew__context_is_live(scope.context), 0)) {
        clew__scope_set(nothing);
        clew__misuse("a scope with a released context was entered");
        return;
    }
    clew__scope_set(scope);
}

struct clew_scope clew_scope_current(void)
{
    return clew__scope_current();
}

struct clew_scope clew_scope_enter(struct clew_scope scope)
{
    struct clew__thread *self = &clew__self;
    struct clew_scope previous = clew__scope_current();

    if (__builtin_expect(self->nentered < CLEW_SCOPES_MAX, 1))
        self->entered[self->nentered] = previous;
    self->nentered++;
    set(scope);
    return previous;
}

/* previous is not what the innermost scope replaced. */
static __attribute__((noinline)) void leave_out_of_order(struct clew_scope previous)
{
    struct clew__thread *self = &clew__self;
    unsigned i = self->nentered;

    while (i > 0 && !same(self->entered[i - 1], previous))
        i--;
    if (i == 0) {
        clew__misuse("a scope was left that was not entered in this thread, or left already");
        return;
    }
    self->nentered = i - 1;
    set(previous);
    clew__misuse("a scope was left before those entered in it");
}

void clew_scope_leave(struct clew_scope previous)
{
    struct clew__thread *self = &clew__self;
    unsigned n = self->nentered;

    if (__builtin_expect(n <= CLEW_SCOPES_MAX, 1) &&
        (n == 0 || !same(self->entered[n - 1], previous))) {
        leave_out_of_order(previous);
        return;
    }
    self->nentered = n - 1;
    set(previous);
}

/* ---- to other threads and times ----------------------------------------------- */

struct clew_scope clew_scope_capture(void)
{
    struct clew_scope scope = clew_scope_current();

    scope.context = clew_context_ref(scope.context);
    return scope;
}

struct clew_scope clew_scope_detach(void)
{
    struct clew_scope scope = clew_scope_current();

    scope.context = clew_context_copy(scope.context);
    clew_context_set_deadline(scope.context, 0);
    return scope;
}

void clew_scope_release(struct clew_scope scope)
{
    (void)clew_context_unref(scope.context);
}

void clew_scope_call(struct clew_scope scope, void (*call)(void *arg), void *arg)
{
    struct clew_scope previous = clew_scope_enter(scope);

    call(arg);
    clew_scope_leave(previous);
}

/* ---- coroutines ------------------------------------------------------------------ */

void clew_strand_init(struct clew_strand *strand)
{
    memset(strand, 0, sizeof(*strand));
    strand->base = clew_scope_capture();
    strand->current = strand->base;
    strand->exchange = clew__self.exchange;
    strand->span = clew__self.span;
}

void clew_strand_done(struct clew_strand *strand)
{
    if (strand->running) {
        clew_strand_suspend(strand);
        clew__misuse("a strand ended while it was running");
    }
    clew_scope_release(strand->base);
    strand->base = strand->current = nothing;
}

/* What the strand had entered comes on top of what the thread has; entered[base]
 * holds the thread's own current scope meanwhile. */
void clew_strand_resume(struct clew_strand *strand)
{
    struct clew__thread *self = &clew__self;
    unsigned n = strand->nentered;

    if (strand->running || self->nentered + 1 + n > CLEW_SCOPES_MAX) {
        clew__misuse(strand->running ? "a strand was resumed twice" : "too many scopes entered");
        return;
    }
    strand->running = true;
    strand->outer = self->nentered;
    strand->outer_exchange = self->exchange;
    strand->outer_span = self->span;
    self->entered[self->nentered] = clew_scope_current();
    memcpy(self->entered + self->nentered + 1, strand->entered, n * sizeof(struct clew_scope));
    self->nentered += 1 + n;
    self->exchange = strand->exchange;
    self->span = strand->span;
    set(strand->current);
}

void clew_strand_suspend(struct clew_strand *strand)
{
    struct clew__thread *self = &clew__self;
    unsigned n;

    if (!strand->running || self->nentered <= strand->outer || self->nentered > CLEW_SCOPES_MAX) {
        strand->running = false;
        clew__misuse("a strand was suspended that was not running in this thread");
        return;
    }
    n = self->nentered - strand->outer - 1;
    strand->running = false;
    strand->nentered = n;
    strand->current = clew_scope_current();
    strand->exchange = self->exchange;
    strand->span = self->span;
    memcpy(strand->entered, self->entered + strand->outer + 1, n * sizeof(struct clew_scope));
    self->nentered = strand->outer;
    self->exchange = strand->outer_exchange;
    self->span = strand->outer_span;
    set(self->entered[strand->outer]);
}
