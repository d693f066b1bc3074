/* SPDX-License-Identifier: Apache-2.0
 * Instrumentation scopes: their names get numbers, which batches keep. A number
 * once given stays; the collector thread gives them, and hands them over with
 * the batch. */
#include "otlp_priv.h"

#include <stdlib.h>

static const char *names[CLEW__OTLP_SCOPES_MAX] = {""}; /* 0: the program's own */
static uint32_t n = 1;

uint32_t clew__otlp_group(const char *scope)
{
    static uint32_t last;
    char *copy;

    if (!scope[0])
        return 0;
    if (strcmp(names[last], scope) == 0)
        return last;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(names[i], scope) == 0)
            return last = i;
    /* Scopes are literals in instrumentations: where there are this many, they
     * are something else, and stand under the program's own. */
    copy = n < CLEW__OTLP_SCOPES_MAX ? strdup(scope) : NULL;
    if (!copy)
        return 0;
    names[n] = copy;
    return last = n++;
}

const char *clew__otlp_scope_name(uint32_t group)
{
    return names[group];
}

const char *clew__otlp_scope_version(uint32_t group)
{
    return strncmp(names[group], "clew.", 5) == 0 ? CLEW_VERSION : "";
}

static void give_group(const struct clew__batch *batch, uint32_t group,
                       const struct clew__otlp_groups *to, void *arg)
{
    size_t begin = 0, end = 0; /* of the run that is not given yet */

    to->begin(arg, group);
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->items[i].group == group) {
            end = batch->items[i].end;
            continue;
        }
        if (end > begin)
            to->run(arg, batch->records.data + begin, end - begin);
        begin = batch->items[i].end;
    }
    if (end > begin)
        to->run(arg, batch->records.data + begin, end - begin);
    to->end(arg);
}

void clew__otlp_each_group(const struct clew__batch *batch, const struct clew__otlp_groups *to,
                           void *arg)
{
    bool is_in[CLEW__OTLP_SCOPES_MAX] = {false};

    for (size_t i = 0; i < batch->n; i++)
        is_in[batch->items[i].group] = true;
    for (uint32_t group = 0; group < CLEW__OTLP_SCOPES_MAX; group++)
        if (is_in[group])
            give_group(batch, group, to, arg);
}
