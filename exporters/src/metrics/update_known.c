/* SPDX-License-Identifier: Apache-2.0 */
#include "update_known.h"

struct clew__update clew__update_new(struct clew__shard *shard, struct clew__series *series,
                                     enum clew__update_how to, double factor, uint8_t value)
{
    bool is_constant = value == CLEW__UPDATE_ONE && clew__is_whole(factor);
    enum clew__kind kind = series->metric->kind;
    struct clew__update update = {
        .series = series, .factor = factor, .how = (uint8_t)to, .value = value};

    update.cell = shard == &clew__shared ? NULL : clew__cells(shard, series->place);
    if (!update.cell)
        return update;
    if (to == CLEW__UPDATE_OBSERVE && value != CLEW__UPDATE_ONE && kind == CLEW__HISTOGRAM) {
        update.how = CLEW__UPDATE_OBSERVE_CLASSIC;
        update.of.buckets = series->buckets;
    } else if (to == CLEW__UPDATE_ADD && is_constant) {
        if (kind == CLEW__COUNTER && factor >= 0)
            update.how = CLEW__UPDATE_COUNT;
        else if (kind == CLEW__GAUGE)
            update.how = CLEW__UPDATE_UP_OR_DOWN;
        update.of.whole = (uint64_t)(int64_t)factor;
    }
    return update;
}

void clew__update_any(struct clew__shard *shard, const struct clew__update *update, double value,
                      const struct clew__exemplar *exemplar)
{
    switch (update->how) {
    case CLEW__UPDATE_SET:
        clew__update_set(update->series, value);
        break;
    case CLEW__UPDATE_OBSERVE:
    case CLEW__UPDATE_OBSERVE_CLASSIC:
        clew__update_observe(shard, update->series, value, exemplar);
        break;
    default:
        clew__update_add(shard, update->series, value, exemplar);
        break;
    }
}
