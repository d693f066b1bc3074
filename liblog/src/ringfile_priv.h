/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring file: what one process leaves behind if it dies. It is mapped
 * shared, so its bytes are the kernel's from the moment they are written.
 *
 *   header | chunk | chunk | …       chunks: dictionaries and rings
 *
 * All numbers are in the byte order of the machine: a file is read where it
 * was written. Records are 8-byte aligned. A ring's data is mapped twice in a
 * row, so that no record wraps. Each thread has two: its own, and a small one
 * for signal handlers that interrupt a log call.
 *
 * The file has storage for what may be written, no more: a program that lives
 * for a millisecond is not to pay for pages it never uses. The header has it as
 * far as there are chunks, a ring for its first bytes until its thread or the
 * collector finds that they will not do. What has none is a hole, and is not
 * read: head says so.
 */
#ifndef CLEW_RINGFILE_PRIV_H
#define CLEW_RINGFILE_PRIV_H

#include <clew/sink.h>

#include <stdatomic.h>

#define CLEW__FILE_MAGIC "CLEWRNG3"
#define CLEW__FILE_HEADER_BYTES 65536u
#define CLEW__CHUNKS_MAX 2400u
#define CLEW__DICTIONARY_FIRST_BYTES 16384u /* of most programs the only one */
#define CLEW__DICTIONARY_BYTES 65536u
#define CLEW__RING_CONTROL_BYTES 4096u
#define CLEW__NESTED_DATA_BYTES 8192u
#define CLEW__RING_FIRST_BYTES 49152u /* of a ring's data have storage at once */
#define CLEW__RECORD_MAX 32768u       /* of a thread's ring */
#define CLEW__NESTED_RECORD_MAX 4096u /* of the one for signal handlers */
#define CLEW__CONTEXT_MAX 1536u
#define CLEW__BOUND_FIELDS_MAX 64u
#define CLEW__TARGETS_MAX 4u

/* ns = ns0 + (ticks - ticks0) * mult / 2^32 */
struct clew__clock {
    uint64_t ticks0;
    uint64_t ns0;
    uint64_t mult;
};

enum clew__chunk_kind {
    CLEW__CHUNK_DICTIONARY = 1,
    CLEW__CHUNK_RING = 2,
    CLEW__CHUNK_SPANS = 3 /* open spans: tracing's span_slots.c */
};

struct clew__file_header {
    char magic[8];
    uint64_t pid;
    char service[256];
    char version[64];
    /* Where lines go; a path that is not empty is a file whose lines can be
     * looked for. Set before the first record. */
    struct clew__file_target {
        char path[512];
        uint8_t level;
        uint8_t as_text;
    } target[CLEW__TARGETS_MAX];
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

enum clew__entry_kind { CLEW__ENTRY_SITE = 0, CLEW__ENTRY_LOGGER = 1 };

/* SITE: then types[nfields], then message, file, function, logger and the keys,
 * each ended by NUL. LOGGER: then its name, ended by NUL, then bytes of fields
 * (fields_priv.h). */
struct clew__dictionary_entry {
    uint32_t size; /* a multiple of 8 */
    uint32_t id;
    int32_t line;
    uint8_t level;
    uint8_t nfields;
    uint8_t kind;
    uint8_t pad;
    uint32_t bytes;
    uint32_t pad2;
};

/* What held when the ring was read up to its tail, and how the records after
 * it were formatted: enough to make exactly the same bytes again and to find
 * out which of them a file has already. */
struct clew__checkpoint {
    struct clew__clock clock;
    struct clew__position {
        uint64_t inode;  /* 0: not a file */
        uint64_t offset; /* no line from the tail on lies before this */
    } position[CLEW__TARGETS_MAX];
    uint32_t context_len;
    char context[CLEW__CONTEXT_MAX];
};

/* The first page of a ring chunk. head and tail count bytes for ever. The low
 * bit of tail names the checkpoint in force: one store moves both, so no moment
 * exists at which they disagree. */
struct clew__ring_control {
    _Alignas(64) uint64_t head;         /* written by the thread, atomically */
    _Alignas(64) _Atomic uint64_t tail; /* written by who empties the ring */
    _Alignas(64) struct clew__checkpoint checkpoint[2];
};
_Static_assert(sizeof(struct clew__ring_control) <= CLEW__RING_CONTROL_BYTES, "control fits");

/* What a record is: the number of its call site, or one of these. */
#define CLEW__WHAT_CONTEXT 0xFFFFFFF1u
#define CLEW__WHAT_SPAN 0xFFFFFFF2u

/* As <clew/site.h> writes it. */
struct clew__record {
    uint16_t units;  /* of 8 bytes, all of it */
    uint16_t logger; /* 0: none but the site's own */
    uint32_t what;
    uint64_t ticks;
    uint64_t span_id;
};

static inline size_t clew__record_size(const struct clew__record *record)
{
    return (size_t)record->units * 8;
}

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
const char *clew__file_name(void); /* "" when it has none */
/* Service names are any text; file names are not. */
void clew__file_safe_name(char *ret, size_t size, const char *service);
/* Adds a thread's two rings, whose sizes are set: maps control and data (the
 * latter twice). returns 0, -ENOSPC, -ENOMEM, … */
int clew__file_add_rings(struct clew__ring *own, struct clew__ring *nested);
/* Storage for all of a ring, from now on; at once when it has it. Not with a
 * lock of the library held. returns 0, -ENOSPC, -ENOMEM, … */
int clew__file_back_ring(struct clew__ring *ring);
/* Adds a chunk of open spans; pages of zeros, NULL when there is no room. */
void *clew__file_add_spans(size_t bytes);
/* Write into the dictionary. The registry's lock is held. */
int clew__file_add_site(const struct clew_site *site);
int clew__file_add_logger(uint32_t id, const char *name, const char *fields, size_t len);
/* Says where lines go; before the first record. */
void clew__file_set_target(unsigned i, const struct clew__file_target *target);

#endif
