/* SPDX-License-Identifier: Apache-2.0
 * See plan.h. Each span counts from the step before, so a step that comes late
 * (after downtime, or because of the hours) does not bring the next one with it. */
#include "plan.h"

#include <common/duration.h>
#include <common/instant.h>

#include <stdio.h>
#include <string.h>

bool clew__plan_held(const struct clew__route *route, struct clew__place place, int64_t now,
                     struct clew__due *ret_due)
{
    char hours[256], at[CLEW__INSTANT_TEXT];
    int64_t next;

    if (clew__hours_open(&route->hours, now))
        return false;
    next = clew__hours_next(&route->hours, now);
    if (next == 0)
        return false; /* held for ever would be lost */
    *ret_due = (struct clew__due){.at = next, .place = place};
    ret_due->place.held = true;
    (void)snprintf(ret_due->why, sizeof(ret_due->why), "%s is told in the digest at %s, outside %s",
                   clew__plan_receiver(route, place), clew__instant_format(next, at),
                   clew__hours_text(&route->hours, hours, sizeof(hours)));
    return true;
}

void clew__plan_first(const struct clew__route *route, int64_t now, struct clew__due *ret_due)
{
    char span[CLEW__DURATION_TEXT];

    if (route->after_ns > 0) {
        *ret_due = (struct clew__due){.at = now + route->after_ns};
        (void)snprintf(ret_due->why, sizeof(ret_due->why),
                       "%s is told after %s, if it still fires and nobody has acknowledged",
                       route->receiver, clew__duration_format(route->after_ns, span));
    } else if (!clew__plan_held(route, (struct clew__place){0}, now, ret_due)) {
        *ret_due = (struct clew__due){.now = true, .at = now};
        (void)snprintf(ret_due->why, sizeof(ret_due->why), "%s is told at once", route->receiver);
    }
}

bool clew__plan_next(const struct clew__route *route, struct clew__place place, int64_t now,
                     struct clew__due *ret_due)
{
    char span[CLEW__DURATION_TEXT];
    struct clew__place next = {.step = place.step + 1, .round = place.round};
    int64_t after;

    if (place.step < route->nsteps) {
        after = route->steps[place.step].after_ns;
    } else if (route->repeat_ns) {
        after = route->repeat_ns;
        next = (struct clew__place){.round = place.round + 1};
    } else {
        return false;
    }
    *ret_due = (struct clew__due){.at = now + after, .place = next};
    (void)snprintf(ret_due->why, sizeof(ret_due->why),
                   "%s is told%s %s later, if it still fires and nobody has acknowledged",
                   clew__plan_receiver(route, next), next.step == 0 ? " again" : "",
                   clew__duration_format(after, span));
    return true;
}

const char *clew__plan_receiver(const struct clew__route *route, struct clew__place place)
{
    if (place.step == 0)
        return route->receiver;
    return place.step <= route->nsteps ? route->steps[place.step - 1].receiver : NULL;
}

void clew__plan_reason(const struct clew__route *route, struct clew__place place, char *text,
                       size_t size)
{
    char span[CLEW__DURATION_TEXT], hours[256] = "";

    if (place.step > 0)
        (void)snprintf(text, size, "escalation step %u: nobody has acknowledged for %s", place.step,
                       clew__duration_format(route->steps[place.step - 1].after_ns, span));
    else if (place.round > 0)
        (void)snprintf(text, size, "repeat %u: it still fires and nobody has acknowledged",
                       place.round);
    else if (place.rest)
        (void)snprintf(text, size, "it was silenced or inhibited, and still fires");
    else if (place.held)
        (void)snprintf(text, size, "held until %s",
                       clew__hours_text(&route->hours, hours, sizeof(hours)));
    else
        (void)snprintf(text, size, "it still fires after %s",
                       clew__duration_format(route->after_ns, span));
}

void clew__place_format(struct clew__place place, char ret_text[CLEW__PLACE_TEXT])
{
    (void)snprintf(ret_text, CLEW__PLACE_TEXT, "%u %u %c%c", place.step, place.round,
                   place.held ? 'h' : '-', place.rest ? 'r' : '-');
}

bool clew__place_parse(const char *text, struct clew__place *ret_place)
{
    struct clew__place place = {0};
    char held, rest;

    if (sscanf(text, "%9u %9u %c%c", &place.step, &place.round, &held, &rest) != 4)
        return false;
    place.held = held == 'h';
    place.rest = rest == 'r';
    *ret_place = place;
    return true;
}
