/* SPDX-License-Identifier: Apache-2.0
 * Looking into protobuf messages; cmocka is included before. */
#ifndef CLEW_TEST_PB_FIELD_H
#define CLEW_TEST_PB_FIELD_H

#include <protobuf_read.h>

/* The n-th field of this number in a message. */
static struct clew__pb_field field(const void *bytes, size_t len, uint32_t number, int n)
{
    struct clew__pb pb = clew__pb_of(bytes, len);
    struct clew__pb_field f;

    while (clew__pb_next(&pb, &f))
        if (f.number == number && n-- == 0)
            return f;
    fail_msg("no field %u", number);
    return f;
}

#endif
