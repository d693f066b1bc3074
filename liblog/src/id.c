/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids from xoshiro256++ (Blackman and Vigna, 2019), one generator per thread,
 * seeded by the kernel and seeded again in the child of a fork.
 */
#include "id_priv.h"

#include <json.h>

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

void clew_id_uuid7(char ret_text[37])
{
    uint64_t ms, a = clew__random(), b = clew__random();
    struct timespec t;
    uint8_t bytes[16];
    char hex[32];

    /* Of the last timer interrupt, some milliseconds ago: a fifth of the cost. */
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    ms = (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(bytes + 6, &a, 2);
    memcpy(bytes + 8, &b, 8);
    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x70);
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
    clew__hex(hex, bytes, 16);
    memcpy(ret_text, hex, 8);
    memcpy(ret_text + 9, hex + 8, 4);
    memcpy(ret_text + 14, hex + 12, 4);
    memcpy(ret_text + 19, hex + 16, 4);
    memcpy(ret_text + 24, hex + 20, 12);
    ret_text[8] = ret_text[13] = ret_text[18] = ret_text[23] = '-';
    ret_text[36] = '\0';
}
