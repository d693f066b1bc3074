/* SPDX-License-Identifier: Apache-2.0
 *
 * The local outputs, CLEW_LOG_OUTPUT: stdout, stderr and files. Each takes
 * whole lines from whoever empties rings, one writer at a time.
 */
#ifndef CLEW_TARGET_PRIV_H
#define CLEW_TARGET_PRIV_H

#include "core_priv.h"

/* Opens what the configuration names; 0 or -errno, nothing open then. */
int clew__targets_open(void);
void clew__targets_close(void);
void clew__targets_after_fork(void);
/* Says to the ring file where lines go. */
void clew__targets_describe(void);
unsigned clew__targets_count(void);
/* Whether a thread of the program may write to all of them: writing to a file
 * ends, writing to a pipe may not. */
bool clew__targets_never_block(void);
/* How much is written at once: what is lost or comes twice in the worst case
 * where the output is not a file. */
size_t clew__targets_batch_bytes(void);
bool clew__target_wants(unsigned i, unsigned level);
bool clew__target_is_text(unsigned i);
bool clew__target_has_colour(unsigned i);
/* How long the files are now: lines written from here on lie behind that. */
void clew__targets_positions(struct clew__position ret[CLEW__TARGETS_MAX]);
/* data: whole lines. What is refused is counted. */
void clew__target_write(unsigned i, const char *data, size_t len);
/* Whether the last write to some target failed. */
bool clew__targets_failing(void);
/* Once in a while: files that were moved are opened anew. Collector thread. */
void clew__targets_tend(uint64_t now_ns);

#endif
