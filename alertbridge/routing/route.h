/* SPDX-License-Identifier: Apache-2.0
 * The route tree, with Alertmanager's rules: an alert enters at the root; among
 * the children the first that matches takes it, and the following ones too as
 * long as the taker says "continue"; a node whose children all pass gives the
 * alert to its own receiver. A node without a receiver has its parent's. */
#ifndef CLEW_ALERTBRIDGE_ROUTE_H
#define CLEW_ALERTBRIDGE_ROUTE_H

#include "matcher.h"

#include <common/digest.h>
#include <escalation/interval.h>

#include <stddef.h>

#define CLEW__ROUTE_DEPTH_MAX 16
#define CLEW__ROUTES_MAX 1000
#define CLEW__ROUTE_MATCHERS_MAX 64
#define CLEW__ROUTE_STEPS_MAX 32
#define CLEW__ROUTE_HITS_MAX 64 /* receivers of one alert; further ones are left out */

/* Who is told next, if nobody has acknowledged so long after the step before. */
struct clew__step {
    char *receiver;
    int64_t after_ns;
};

struct clew__route {
    char *receiver; /* never NULL once the configuration is loaded */
    struct clew__matcher **matchers;
    size_t nmatchers;
    bool go_on; /* "continue" */
    struct clew__route *routes;
    size_t nroutes;
    char *why;                  /* the matchers from the root to here, for people */
    char id[CLEW__DIGEST_TEXT]; /* of these and the receiver: names it in the store */
    int64_t after_ns;           /* before its receiver is told, if it still fires then */
    struct clew__step *steps;
    size_t nsteps;
    int64_t repeat_ns; /* after the last step, it all begins again; 0: it does not */
    struct clew__hours hours;
};

/* Frees what route holds, not route itself. */
void clew__route_done(struct clew__route *route);

/* Which routes take an alert, in the order of the file, each receiver once.
 * ret_hits: CLEW__ROUTE_HITS_MAX of them; borrowed from the tree.
 * returns  how many, at least 1 */
size_t clew__route_match(const struct clew__route *root, const json_t *labels,
                         const struct clew__route **ret_hits);
/* The route with this id, NULL when there is none. */
const struct clew__route *clew__route_find(const struct clew__route *root, const char *id);

#endif
