/* SPDX-License-Identifier: Apache-2.0
 * OTEL_PROPAGATORS, read once. */
#include "propagate_priv.h"
#include "tracing_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct clew__propagators clew__propagators;

#define COUNT_ONE(propagators, member, header, variable) +1
#define NHEADERS (0 CLEW__HEADERS(COUNT_ONE))

static const char *names[NHEADERS + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct {
    const char *name;
    enum clew__propagator propagator;
} known[] = {{"tracecontext", CLEW__TRACECONTEXT},
             {"baggage", CLEW__BAGGAGE},
             {"b3", CLEW__B3},
             {"b3multi", CLEW__B3MULTI},
             {"jaeger", CLEW__JAEGER},
             {"none", (enum clew__propagator)0}};

/* Adds one of the list to mask; those that are there already are not repeated. */
static void add(const char *name, size_t len, unsigned *mask)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0) {
            enum clew__propagator p = known[i].propagator;

            if (p && p != CLEW__BAGGAGE && !(*mask & p))
                clew__propagators.traces[clew__propagators.ntraces++] = p;
            *mask |= p;
            return;
        }
    clew_warn("OTEL_PROPAGATORS names one that is not known here, it is passed over",
              clew_kvn("value", name, len),
              clew_kv("known", "tracecontext, baggage, b3, b3multi, jaeger, none"));
}

static void read_environment(void)
{
    const char *list = getenv("OTEL_PROPAGATORS");
    unsigned mask = CLEW__PROPAGATORS_READ, n = 0;
    struct clew__member member;
    size_t at = 0;

    if (!list || !*list)
        list = "tracecontext,baggage";
    while (clew__member_next(list, strlen(list), &at, &member))
        add(member.text, member.len, &mask);
#define ADD_NAME(propagators, member, header, variable) \
    if (!(propagators) || (mask & (propagators)))       \
        names[n++] = header;
    CLEW__HEADERS(ADD_NAME)
#undef ADD_NAME
    atomic_store_explicit(&clew__propagators.mask, mask, memory_order_release);
}

void clew__propagators_read(void)
{
    pthread_once(&once, read_environment);
}

const char *const *clew_propagation_names(void)
{
    (void)clew__propagators_mask();
    return names;
}
