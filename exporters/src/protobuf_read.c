/* SPDX-License-Identifier: Apache-2.0
 * The pull decoder of protobuf_read.h. Stateless. */
#include "protobuf_read.h"

#include <string.h>

static bool read_varint(struct clew__pb *pb, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70 && pb->at < pb->end; shift += 7) {
        uint8_t byte = *pb->at++;

        if (shift == 63 && byte > 1)
            return false; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct clew__pb *pb, size_t n, uint64_t *ret)
{
    if ((size_t)(pb->end - pb->at) < n)
        return false;
    *ret = 0;
    for (size_t i = 0; i < n; i++)
        *ret |= (uint64_t)pb->at[i] << (8 * i);
    pb->at += n;
    return true;
}

static bool read_field(struct clew__pb *pb, struct clew__pb_field *ret)
{
    uint64_t tag, len;

    if (!read_varint(pb, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF)
        return false;
    *ret = (struct clew__pb_field){.number = (uint32_t)(tag >> 3),
                                   .wire = (enum clew__pb_wire)(tag & 7)};
    switch (ret->wire) {
    case CLEW__PB_VARINT:
        return read_varint(pb, &ret->value);
    case CLEW__PB_FIXED64:
        return read_fixed(pb, 8, &ret->value);
    case CLEW__PB_FIXED32:
        return read_fixed(pb, 4, &ret->value);
    case CLEW__PB_BYTES:
        if (!read_varint(pb, &len) || len > (uint64_t)(pb->end - pb->at))
            return false;
        ret->bytes = pb->at;
        ret->len = (size_t)len;
        pb->at += len;
        return true;
    }
    return false; /* groups are of another age */
}

bool clew__pb_next(struct clew__pb *pb, struct clew__pb_field *ret)
{
    if (pb->bad || pb->at >= pb->end)
        return false;
    if (read_field(pb, ret))
        return true;
    pb->bad = true;
    return false;
}
