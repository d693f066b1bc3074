/* SPDX-License-Identifier: Apache-2.0
 * A trace as a waterfall of lines. */
#ifndef CLEW_CLI_WATERFALL_H
#define CLEW_CLI_WATERFALL_H

#include "cli.h"

/* Appends the waterfall of an encoded TracesData; the number of spans, or
 * -EINVAL when it is malformed. */
int cli_waterfall(struct clew__buf *out, const void *bytes, size_t len, int width, bool colour,
                  bool ascii);

#endif
