/* SPDX-License-Identifier: Apache-2.0
 *
 * The sampling decision, made once per request and service, where its context
 * is made; every span of the request follows it. Ratios are consistent: the
 * low 56 bits of the trace id against a threshold (OpenTelemetry, "Probability
 * sampling"), so every service with the same ratio keeps the same traces.
 */
#include "tracing_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct {
    bool follow_parent;
    uint64_t threshold; /* sampled when the trace's 56 bits are not below it */
    bool disabled;
} sampler = {.follow_parent = true};
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define NEVER (UINT64_C(1) << 56)

static const char *get(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* The specification wants a bad ratio to be told and passed over. */
static uint64_t read_ratio(void)
{
    const char *text = get("OTEL_TRACES_SAMPLER_ARG");
    char *end;
    double ratio;

    if (!text)
        return 0;
    ratio = strtod(text, &end);
    if (*end || !(ratio >= 0 && ratio <= 1)) {
        clew_warn("OTEL_TRACES_SAMPLER_ARG is not a ratio from 0 to 1, using 1",
                  clew_kv("value", text));
        return 0;
    }
    return (uint64_t)((1 - ratio) * (double)NEVER);
}

static void read_environment(void)
{
    const char *name = get("OTEL_TRACES_SAMPLER"), *off = get("OTEL_SDK_DISABLED");
    const char *base;

    sampler.disabled = off && strcasecmp(off, "true") == 0;
    if (!name)
        return;
    sampler.follow_parent = strncasecmp(name, "parentbased_", 12) == 0;
    base = sampler.follow_parent ? name + 12 : name;
    if (strcasecmp(base, "always_off") == 0) {
        sampler.threshold = NEVER;
    } else if (strcasecmp(base, "traceidratio") == 0) {
        sampler.threshold = read_ratio();
    } else if (strcasecmp(base, "always_on") != 0) {
        sampler.follow_parent = true;
        clew_warn("OTEL_TRACES_SAMPLER is not known here, using parentbased_always_on",
                  clew_kv("value", name));
    }
}

bool clew__tracing_disabled(void)
{
    pthread_once(&once, read_environment);
    return sampler.disabled;
}

bool clew__sampler_decide(const uint8_t trace_id[16], bool has_parent, uint8_t parent_flags)
{
    uint64_t random = 0;

    pthread_once(&once, read_environment);
    if (has_parent && (sampler.follow_parent || sampler.disabled))
        return parent_flags & CLEW_TRACE_SAMPLED;
    if (sampler.disabled)
        return false;
    for (int i = 9; i < 16; i++)
        random = random << 8 | trace_id[i];
    return random >= sampler.threshold;
}
