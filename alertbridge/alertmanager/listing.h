/* SPDX-License-Identifier: Apache-2.0
 * The answer to GET /api/v2/alerts, read as it comes: of each alert its fingerprint,
 * its beginning and whether it is suppressed are kept, 24 bytes. The whole answer is
 * never in memory; 100,000 alerts are some 80 MB of it. MT-Unsafe. */
#ifndef CLEW_ALERTBRIDGE_LISTING_H
#define CLEW_ALERTBRIDGE_LISTING_H

#include <buf.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEW__LISTING_ALERTS_MAX 2000000u
#define CLEW__LISTING_ALERT_MAX (1u << 20) /* bytes of one */

struct clew__listed {
    uint64_t fingerprint;
    int64_t starts_ms; /* Alertmanager's API knows milliseconds */
    uint16_t by;       /* 1u << Alertmanager: who has it */
    bool active;       /* neither silenced nor inhibited */
};

struct clew__listing {
    struct clew__listed *items;
    size_t n, room;
    uint16_t by; /* put into each item */
    /* where the reading is */
    enum {
        CLEW__LISTING_BEGIN,
        CLEW__LISTING_FIRST,
        CLEW__LISTING_OBJECT,
        CLEW__LISTING_COMMA,
        CLEW__LISTING_NEXT,
        CLEW__LISTING_END,
        CLEW__LISTING_FAILED
    } at;
    unsigned depth;
    bool in_string, escaped;
    struct clew__buf object;
};

/* Reads from here on; what is listed already stays. */
void clew__listing_begin(struct clew__listing *listing, uint16_t by);
/* returns 0; -EINVAL: no such list, or a limit; -ENOMEM; the same again after that */
int clew__listing_feed(struct clew__listing *listing, const char *data, size_t len);
/* The answer has ended. returns 0; -EINVAL: too early */
int clew__listing_end(struct clew__listing *listing);
/* Sorts by fingerprint and beginning, and makes one of those that several have. */
void clew__listing_unite(struct clew__listing *listing);
void clew__listing_done(struct clew__listing *listing);

/* In a united listing: that of this beginning if there is one, else one with the
 * fingerprint, else NULL. *ret_active: any with the fingerprint is. */
const struct clew__listed *clew__listing_find(const struct clew__listing *listing,
                                              uint64_t fingerprint, int64_t starts_ms,
                                              bool *ret_active);
/* The first 16 hex digits; false when there are not so many. */
bool clew__fingerprint_number(const char *text, uint64_t *ret_fingerprint);

#endif
