/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring file: what one process leaves behind if it dies. It is mapped
 * shared, so its bytes are the kernel's from the moment they are written.
 *
 *   header | chunk | chunk | …       chunks: dictionaries and rings
 *
 * All numbers are in the byte order of the machine: a file is read where it
 * was written. Records are 8-byte aligned. A ring's data is mapped twice in a
 * row, so that no record wraps.
 */
#ifndef CLEW_RINGFILE_PRIV_H
#define CLEW_RINGFILE_PRIV_H

#include <clew/sink.h>

#include <stdatomic.h>

#define CLEW__FILE_MAGIC "CLEWRNG1"
#define CLEW__FILE_HEADER_BYTES 32768u
#define CLEW__CHUNKS_MAX 1200u
#define CLEW__DICTIONARY_BYTES 65536u
#define CLEW__RING_CONTROL_BYTES 4096u
#define CLEW__RECORD_MAX 32768u
#define CLEW__CONTEXT_MAX 1536u
#define CLEW__BOUND_FIELDS_MAX 64u

/* ns = ns0 + (ticks - ticks0) * mult / 2^32 */
struct clew__clock {
    uint64_t ticks0;
    uint64_t ns0;
    uint64_t mult;
};

enum clew__chunk_kind { CLEW__CHUNK_DICTIONARY = 1, CLEW__CHUNK_RING = 2 };

struct clew__file_header {
    char magic[8];
    uint64_t pid;
    char service[256];
    char version[64];
    _Atomic uint32_t clock_slot; /* which of the two is valid */
    struct clew__clock clock[2];
    _Atomic uint32_t nchunks;
    struct {
        uint32_t kind;
        uint64_t offset;
        uint64_t size;
    } chunk[CLEW__CHUNKS_MAX];
};
_Static_assert(sizeof(struct clew__file_header) <= CLEW__FILE_HEADER_BYTES, "header fits");

/* A dictionary chunk: used bytes of entries after this. */
struct clew__dictionary {
    _Atomic uint64_t used; /* this header included */
};

/* One call site; then types[nfields], then message, file, function and the
 * keys, each ended by NUL. */
struct clew__dictionary_entry {
    uint32_t size; /* a multiple of 8 */
    uint32_t id;
    int32_t line;
    uint8_t level;
    uint8_t nfields;
    uint8_t pad[2];
};

/* The first page of a ring chunk. head and tail count bytes for ever. The low
 * bit of tail names the context slot that was in force there: one store moves
 * both, so no moment exists at which they disagree. */
struct clew__ring_control {
    _Alignas(64) _Atomic uint64_t head; /* written by the thread */
    _Alignas(64) _Atomic uint64_t tail; /* written by the collector */
    _Alignas(64) struct {
        uint32_t len;
        char bytes[CLEW__CONTEXT_MAX];
    } context[2];
};
_Static_assert(sizeof(struct clew__ring_control) <= CLEW__RING_CONTROL_BYTES, "control fits");

/* What a record is: the number of its call site, or one of these. */
#define CLEW__WHAT_CONTEXT 0xFFFFFFF1u
#define CLEW__WHAT_SPAN 0xFFFFFFF2u

struct clew__record {
    uint32_t size; /* all of it, a multiple of 8, at most CLEW__RECORD_MAX */
    uint32_t what;
    uint64_t ticks;
    uint64_t span_id;
};

/* A CONTEXT record's payload; then request id, correlation id, bound fields. */
struct clew__context_record {
    uint8_t request_len;
    uint8_t correlation_len;
    uint8_t trace_flags;
    uint8_t nbound;
    uint16_t bound_len;
    uint16_t pad;
    uint8_t trace_id[16];
};

static inline size_t clew__align8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* ---- ringfile.c: the file of this process ----------------------------- */

struct clew__ring;

/* Opens the file of this process; falls back to memory without a name when
 * the directory cannot be used (a crash loses what was not yet written then).
 * returns 0, 1 when it fell back (clew_last_error() says why), -errno */
int clew__file_open(const char *directory, const char *service, const char *version);
/* Rings stay mapped, threads may be using them. remove_name: nothing is left
 * in them; else the file stays for clew__recover(). */
void clew__file_close(bool remove_name);
/* In the child of a fork: the file belongs to the parent. */
void clew__file_forget(void);
bool clew__file_is_open(void);
const char *clew__file_name(void); /* "" when it has none */
/* Service names are any text; file names are not. */
void clew__file_safe_name(char *ret, size_t size, const char *service);
void clew__file_set_clock(const struct clew__clock *clock);
/* Adds a ring chunk: maps control and data (the latter twice).
 * returns 0, -ENOSPC, -ENOMEM, … */
int clew__file_add_ring(size_t data_bytes, struct clew__ring_control **ret_control,
                        char **ret_data);
/* Writes a call site into the dictionary. The registry's lock is held. */
int clew__file_add_site(const struct clew_site *site);

#endif
