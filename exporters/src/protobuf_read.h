/* SPDX-License-Identifier: Apache-2.0
 * Reading protobuf's wire format (encoding specification, "Message structure")
 * field by field over borrowed bytes. Never reads past the end; what is
 * malformed sets bad and ends the message. */
#ifndef CLEW_PROTOBUF_READ_H
#define CLEW_PROTOBUF_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clew__pb {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

enum clew__pb_wire {
    CLEW__PB_VARINT = 0,
    CLEW__PB_FIXED64 = 1,
    CLEW__PB_BYTES = 2,
    CLEW__PB_FIXED32 = 5
};

struct clew__pb_field {
    uint32_t number;
    enum clew__pb_wire wire;
    uint64_t value;       /* varint, fixed64, fixed32 */
    const uint8_t *bytes; /* BYTES: borrowed */
    size_t len;
};

static inline struct clew__pb clew__pb_of(const void *bytes, size_t len)
{
    return (struct clew__pb){(const uint8_t *)bytes, (const uint8_t *)bytes + len, false};
}

/* The next field; false at the end and when the message is malformed. */
bool clew__pb_next(struct clew__pb *pb, struct clew__pb_field *ret);

#endif
