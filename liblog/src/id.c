/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids from xoshiro256++ (Blackman and Vigna, 2019), one generator per thread,
 * seeded by the kernel and seeded again in the child of a fork.
 */
#include "id_priv.h"

#include <json.h>

#include <endian.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

void clew__random_seed(struct clew__thread *self, unsigned epoch)
{
    if (getrandom(self->random, sizeof(self->random), 0) != (ssize_t)sizeof(self->random)) {
        /* No entropy to be had: distinct is what is left to aim for. */
        self->random[0] = clew__realtime_ns();
        self->random[1] = (uint64_t)(uintptr_t)self;
        self->random[2] = clew__ticks();
        self->random[3] = (uint64_t)getpid() << 32 | epoch;
    }
    self->random[0] |= 1; /* never all zero */
    self->epoch = epoch;
}

uint64_t clew_id_span(void)
{
    return clew__id_span();
}

void clew_id_trace(uint8_t ret_id[16])
{
    uint64_t high = clew_id_span(), low = clew__random();

    memcpy(ret_id, &high, 8);
    memcpy(ret_id + 8, &low, 8);
}

static inline void put_uuid(char *text, const char hex[32])
{
    memcpy(text, hex, 8);
    memcpy(text + 9, hex + 8, 4);
    memcpy(text + 14, hex + 12, 4);
    memcpy(text + 19, hex + 16, 4);
    memcpy(text + 24, hex + 20, 12);
    text[8] = text[13] = text[18] = text[23] = '-';
    text[36] = '\0';
}

void clew__id_uuid7_twice(char ret_text[37], char ret_same[37])
{
    uint64_t ms, high, low = clew__random(), bytes[2];
    struct timespec t;
    char hex[32];

    /* Of the last timer interrupt, some milliseconds ago: a fifth of the cost. */
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    ms = (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
    high = ms << 16 | 0x7000 | (clew__random() >> 52);
    bytes[0] = htobe64(high);
    bytes[1] = htobe64(UINT64_C(1) << 63 | low >> 2);
    clew__hex(hex, bytes, 16);
    put_uuid(ret_text, hex);
    if (ret_same)
        put_uuid(ret_same, hex);
}

void clew_id_uuid7(char ret_text[37])
{
    clew__id_uuid7_twice(ret_text, NULL);
}
