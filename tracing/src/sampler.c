/* SPDX-License-Identifier: Apache-2.0
 *
 * The sampling decision, made once per request and service, where its first span
 * starts; every span of the request follows it. Ratios are consistent: 56 bits of
 * randomness, the trace id's low ones or "rv" of the tracestate, against a
 * threshold, which goes out as "th" (OpenTelemetry, "TraceState: Probability
 * Sampling"). So every service with the same ratio keeps the same traces, and
 * who counts spans knows how many each stands for.
 */
#include "sampler_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TH_DIGITS 14u   /* of 56 bits */
#define TH_PRECISION 4u /* digits behind leading f's */
#define OT_MAX 256u     /* of the value of "ot" */
#define RATE_BURST_NS UINT64_C(1000000000)

static struct {
    bool follow_parent;
    bool disabled;
    struct clew__action part[CLEW__NPARTS];
} sampler;
_Atomic uint32_t clew__sampler_table = 0x2AA; /* ask: nothing was read yet */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- the environment -------------------------------------------------------------- */

static const char *get(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

uint64_t clew__ratio_threshold(double ratio)
{
    uint64_t t = (uint64_t)((1 - ratio) * (double)CLEW__NEVER), unit;
    unsigned digits = TH_PRECISION;

    for (unsigned i = 1; i <= TH_DIGITS && (t >> 4 * (TH_DIGITS - i) & 15) == 15; i++)
        digits++;
    if (digits >= TH_DIGITS)
        return t;
    unit = UINT64_C(1) << 4 * (TH_DIGITS - digits);
    return (t + unit / 2) / unit * unit;
}

/* The specification wants a bad ratio to be told and passed over. */
static struct clew__action read_ratio(void)
{
    const char *text = get("OTEL_TRACES_SAMPLER_ARG");
    double ratio = 1;
    char *end;

    if (text) {
        ratio = strtod(text, &end);
        if (*end || !(ratio >= 0 && ratio <= 1)) {
            clew_warn("OTEL_TRACES_SAMPLER_ARG is not a ratio from 0 to 1, using 1",
                      clew_kv("value", text));
            ratio = 1;
        }
    }
    return (struct clew__action){.kind = CLEW__RATIO, .threshold = clew__ratio_threshold(ratio)};
}

static void read_sampler(void)
{
    const char *name = get("OTEL_TRACES_SAMPLER"), *base;

    sampler.follow_parent = true;
    sampler.part[CLEW__ROOT].kind = CLEW__KEEP;
    if (!name)
        return;
    sampler.follow_parent = strncasecmp(name, "parentbased_", 12) == 0;
    base = sampler.follow_parent ? name + 12 : name;
    if (strcasecmp(base, "always_off") == 0) {
        sampler.part[CLEW__ROOT].kind = CLEW__DROP;
    } else if (strcasecmp(base, "traceidratio") == 0) {
        sampler.part[CLEW__ROOT] = read_ratio();
    } else if (strcasecmp(base, "always_on") != 0) {
        sampler.follow_parent = true;
        clew_warn("OTEL_TRACES_SAMPLER is not known here, using parentbased_always_on",
                  clew_kv("value", name));
    }
}

/* Which answers are always the same. A request has one decision: below its first
 * span the answer is that one, but where a rule of a part says otherwise. */
static uint32_t make_table(unsigned by_rule)
{
    uint32_t table = 0;

    for (unsigned i = 0; i < CLEW__NPARTS; i++) {
        bool is_local = i == CLEW__LOCAL_SAMPLED || i == CLEW__LOCAL_NOT_SAMPLED;
        bool follows = sampler.follow_parent || is_local;
        const struct clew__action *action = &sampler.part[i && follows ? i : CLEW__ROOT];
        uint32_t answer = action->kind == CLEW__KEEP ? 1 : action->kind == CLEW__DROP ? 0 : 2;

        if (!(by_rule & (1u << i)) && !(i && follows) && clew__rules_exist())
            answer = 2;
        if (sampler.disabled)
            answer = i == CLEW__LOCAL_SAMPLED || i == CLEW__REMOTE_SAMPLED;
        table |= answer << 2 * i;
    }
    return table;
}

static void read_environment(void)
{
    const char *off = get("OTEL_SDK_DISABLED");
    unsigned by_rule;

    sampler.disabled = off && strcasecmp(off, "true") == 0;
    read_sampler();
    for (unsigned i = CLEW__LOCAL_NOT_SAMPLED; i < CLEW__NPARTS; i++)
        sampler.part[i].kind =
            i == CLEW__LOCAL_SAMPLED || i == CLEW__REMOTE_SAMPLED ? CLEW__KEEP : CLEW__DROP;
    by_rule = clew__rules_read(sampler.part);
    atomic_store_explicit(&clew__sampler_table, make_table(by_rule), memory_order_release);
}

bool clew__tracing_disabled(void)
{
    pthread_once(&once, read_environment);
    return sampler.disabled;
}

/* ---- tracestate's "ot" --------------------------------------------------------------- */

/* The value of a two-letter key in "k:v;k2:v2"; NULL. */
static const char *find_in_ot(const char *ot, const char *key, size_t *ret_len)
{
    while (*ot) {
        size_t len = strcspn(ot, ";");

        if (len > 3 && memcmp(ot, key, 2) == 0 && ot[2] == ':') {
            *ret_len = len - 3;
            return ot + 3;
        }
        ot += len;
        ot += *ot == ';';
    }
    return NULL;
}

static bool get_ot(const struct clew_context *context, char ot[OT_MAX + 1])
{
    int len = context && context->trace_state ? clew_tracestate_get(context, "ot", ot, OT_MAX + 1)
                                              : -ENOENT;

    return len >= 0 && len <= (int)OT_MAX;
}

static uint64_t randomness(const struct clew__sampling *s)
{
    char ot[OT_MAX + 1], *end;
    const char *rv;
    uint64_t random;
    size_t len;

    if (get_ot(s->context, ot) && (rv = find_in_ot(ot, "rv", &len)) && len == TH_DIGITS &&
        strspn(rv, "0123456789abcdef") >= len) {
        random = strtoull(rv, &end, 16);
        if (end == rv + len)
            return random;
    }
    random = 0;
    for (int i = 9; i < 16; i++)
        random = random << 8 | s->trace_id[i];
    return random;
}

/* "th:" and the threshold, trailing zeros cut; returns the end. */
static char *put_th(char *to, uint64_t threshold)
{
    to = mempcpy(to, "th:", 3);
    do {
        *to++ = "0123456789abcdef"[threshold >> 52 & 15];
        threshold = threshold << 4 & (CLEW__NEVER - 1);
    } while (threshold);
    return to;
}

static void write_th(struct clew_context *context, const struct clew__sampled *sampled)
{
    char ot[OT_MAX + 1], now[OT_MAX + TH_DIGITS + 8], *to = now;
    const char *p = ot;

    if (!get_ot(context, ot)) {
        if (sampled->th == CLEW__TH_REMOVE)
            return;
        ot[0] = '\0';
    }
    if (sampled->th == CLEW__TH_SET)
        to = put_th(to, sampled->threshold);
    while (*p) { /* the others, as they are */
        size_t len = strcspn(p, ";");

        if (len && strncmp(p, "th:", 3) != 0) {
            if (to > now)
                *to++ = ';';
            to = mempcpy(to, p, len);
        }
        p += len;
        p += *p == ';';
    }
    *to = '\0';
    if (to == now)
        (void)clew_tracestate_remove(context, "ot");
    else if (to - now <= (long)OT_MAX)
        (void)clew_tracestate_set(context, "ot", now);
}

/* ---- decisions ------------------------------------------------------------------------- */

/* One each interval, and what a second without any has saved. */
static bool rate_passes(struct clew__action *action)
{
    uint64_t now = clew__monotonic_ns();
    uint64_t due = atomic_load_explicit(&action->due_ns, memory_order_relaxed), base;

    do {
        base = due > now ? due : now;
        if (base + action->interval_ns > now + RATE_BURST_NS)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&action->due_ns, &due,
                                                    base + action->interval_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static struct clew__sampled run(struct clew__action *action, const struct clew__sampling *s)
{
    switch (action->kind) {
    case CLEW__KEEP:
        return (struct clew__sampled){true, CLEW__TH_REMOVE, 0};
    case CLEW__RATIO:
        if (randomness(s) >= action->threshold)
            return (struct clew__sampled){true, CLEW__TH_SET, action->threshold};
        break;
    case CLEW__RATE:
        if (rate_passes(action))
            return (struct clew__sampled){true, CLEW__TH_REMOVE, 0};
        break;
    case CLEW__DROP:
        break;
    }
    return (struct clew__sampled){false, CLEW__TH_REMOVE, 0};
}

static struct clew__sampled follow(bool sampled)
{
    return (struct clew__sampled){sampled, CLEW__TH_KEEP, 0};
}

/* What the parent's flags say, or what its part's action makes of them. */
static struct clew__sampled by_parent(const struct clew__sampling *s)
{
    struct clew__action *action =
        &sampler.part[CLEW__LOCAL_NOT_SAMPLED + 2 * s->parent_is_remote + s->parent_sampled];

    if (action->kind == (s->parent_sampled ? CLEW__KEEP : CLEW__DROP))
        return follow(s->parent_sampled);
    return run(action, s);
}

struct clew__sampled clew__sampler_decide(const struct clew__sampling *s)
{
    unsigned decision = s->context ? s->context->decision : CLEW__DECIDED;
    struct clew__action *action;

    pthread_once(&once, read_environment);
    if (s->context && s->context->b3_debug && decision != CLEW__DECIDED)
        return follow(true); /* debug: whatever the sampler is */
    if (sampler.disabled)
        return follow(s->has_parent && s->parent_sampled);
    if (sampler.follow_parent && (decision == CLEW__WANTED || decision == CLEW__UNWANTED))
        return follow(decision == CLEW__WANTED);
    if (s->has_parent && decision != CLEW__DEFERRED &&
        (sampler.follow_parent || !s->parent_is_remote))
        return by_parent(s);
    action = clew__rules_find(s);
    return run(action ? action : &sampler.part[CLEW__ROOT], s);
}

void clew__sampler_apply(struct clew_context *context, const struct clew__sampled *sampled)
{
    uint8_t flags = context->trace_flags & (uint8_t)~CLEW_TRACE_SAMPLED;

    if (sampled->sampled)
        flags |= CLEW_TRACE_SAMPLED;
    context->decision = CLEW__DECIDED;
    if (flags != context->trace_flags) {
        context->trace_flags = flags;
        clew__context_changed(context);
    }
    if (sampled->th == CLEW__TH_SET || (sampled->th == CLEW__TH_REMOVE && context->trace_state))
        write_th(context, sampled);
}
