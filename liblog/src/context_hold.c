/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread's hold on the context of its open spans: where one begins and ends.
 * It ends with the last of its spans, or when the thread has turned to other
 * contexts and left it with spans that ended in other threads.
 */
#include "context_priv.h"

#define PASSED_OVER_MAX 8u
#define KEYS_OF_A_THREAD (UINT64_C(1) << 20)

/* No two holds of a process have the same key, and none has 0. */
static void next_key(struct clew__hold *hold)
{
    static _Atomic uint64_t taken;

    hold->key++;
    if ((hold->key & (KEYS_OF_A_THREAD - 1)) < 2)
        hold->key = atomic_fetch_add_explicit(&taken, KEYS_OF_A_THREAD, memory_order_relaxed) + 2;
}

static uint64_t begin(struct clew_context *context)
{
    struct clew__hold *hold = &clew__self.hold;

    next_key(hold);
    hold->context = context;
    hold->count = 1;
    hold->passed_over = 0;
    return hold->key;
}

void clew__hold_end(void)
{
    struct clew__hold *hold = &clew__self.hold;
    struct clew_context *context = hold->context;
    int64_t refs, left;

    if (!context)
        return;
    hold->context = NULL;
    refs = atomic_load_explicit(&context->refs, memory_order_acquire);
    if (refs == CLEW__HOLD && hold->count == 0) { /* nobody else has one to give */
        atomic_store_explicit(&context->refs, 0, memory_order_relaxed);
        clew__context_release(context);
        return;
    }
    left = hold->count - CLEW__HOLD;
    left += atomic_fetch_add_explicit(&context->refs, left, memory_order_acq_rel);
    if (left > 0)
        return;
    if (left < 0) {
        clew__misuse("a context was released more often than referenced");
        atomic_store(&context->refs, 0);
    }
    clew__context_release(context);
}

bool clew__hold_take_long(struct clew_context *context, uint64_t *ret_key)
{
    struct clew__hold *hold = &clew__self.hold;

    *ret_key = 0;
    if (hold->context && ++hold->passed_over < PASSED_OVER_MAX)
        return clew__context_ref(context) != NULL;
    clew__hold_end();
    if (!clew__context_is_live(context))
        return clew__context_ref(context) != NULL; /* says so */
    atomic_fetch_add_explicit(&context->refs, CLEW__HOLD, memory_order_relaxed);
    *ret_key = begin(context);
    return true;
}

uint64_t clew__hold_take_new(struct clew_context *context)
{
    if (clew__self.hold.context)
        return 0; /* the maker's reference is the span's */
    atomic_store_explicit(&context->refs, CLEW__HOLD, memory_order_relaxed);
    return begin(context);
}

void clew__hold_forget(void)
{
    clew__self.hold.context = NULL;
}
