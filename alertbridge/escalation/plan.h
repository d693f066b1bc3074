/* SPDX-License-Identifier: Apache-2.0
 * What a route does with time: when its receiver is told, who is next, and when it
 * all begins again. Pure functions of the route and an instant. */
#ifndef CLEW_ALERTBRIDGE_PLAN_H
#define CLEW_ALERTBRIDGE_PLAN_H

#include <routing/route.h>

/* Where an alert is on its way. */
struct clew__place {
    unsigned step;  /* 0: the route's own receiver, n: the nth of its steps */
    unsigned round; /* how often it has begun again */
    bool held;      /* it only waits for the hours to open, for a digest */
    bool rest;      /* it is only about those that were suppressed when it was reached */
};

/* When a place is reached. */
struct clew__due {
    bool now;
    int64_t at; /* else */
    struct clew__place place;
    char why[512]; /* for people */
};

/* The route's own receiver, for an alert that fires now. */
void clew__plan_first(const struct clew__route *route, int64_t now, struct clew__due *ret_due);
/* What follows a place that is done now; false: nothing. */
bool clew__plan_next(const struct clew__route *route, struct clew__place place, int64_t now,
                     struct clew__due *ret_due);
/* Whether the hours hold back what is due now; *ret_due says until when. */
bool clew__plan_held(const struct clew__route *route, struct clew__place place, int64_t now,
                     struct clew__due *ret_due);
/* Who is told there. The place may be of another configuration: NULL, no such step. */
const char *clew__plan_receiver(const struct clew__route *route, struct clew__place place);
/* Why who is there is told now. */
void clew__plan_reason(const struct clew__route *route, struct clew__place place, char *text,
                       size_t size);

/* The place as a text in the store, and back; false when it is none. */
#define CLEW__PLACE_TEXT 32
void clew__place_format(struct clew__place place, char ret_text[CLEW__PLACE_TEXT]);
bool clew__place_parse(const char *text, struct clew__place *ret_place);

#endif
