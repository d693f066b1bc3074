/* SPDX-License-Identifier: Apache-2.0
 * What the sampler is made of: actions, and the rules that choose among them. */
#ifndef CLEW_SAMPLER_PRIV_H
#define CLEW_SAMPLER_PRIV_H

#include "tracing_priv.h"

#define CLEW__NEVER (UINT64_C(1) << 56) /* a threshold that nothing reaches */

struct clew__action {
    enum { CLEW__DROP, CLEW__KEEP, CLEW__RATIO, CLEW__RATE } kind;
    uint64_t threshold;      /* RATIO: 56 bits */
    uint64_t interval_ns;    /* RATE: between two traces */
    _Atomic uint64_t due_ns; /* RATE: when the next would be due at an even pace */
};

/* Where a decision begins: at a root, or by the parent (ParentBased's parts). */
enum clew__part {
    CLEW__ROOT,
    CLEW__LOCAL_NOT_SAMPLED,
    CLEW__LOCAL_SAMPLED,
    CLEW__REMOTE_NOT_SAMPLED,
    CLEW__REMOTE_SAMPLED,
    CLEW__NPARTS
};

/* sampler_rules.c: CLEW_TRACES_SAMPLER_RULES. Sets what rules begin with '@' say
 * of parts; returns a mask of those. */
unsigned clew__rules_read(struct clew__action *parts);
bool clew__rules_exist(void);
/* The action of the first rule that matches; NULL. */
struct clew__action *clew__rules_find(const struct clew__sampling *sampling);

/* 0..1 as a threshold, rounded as "th" is written. */
uint64_t clew__ratio_threshold(double ratio);

#endif
