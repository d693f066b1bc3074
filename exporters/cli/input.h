/* SPDX-License-Identifier: Apache-2.0
 * Bytes from a file, a .gz file or stdin, once or for ever. */
#ifndef CLEW_CLI_INPUT_H
#define CLEW_CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct cli_input {
    const char *name;
    int fd;
    void *gz;       /* gzFile; NULL for none */
    bool regular;   /* a read does not wait */
    off_t position; /* of the next read, in a file that is followed */
};

/* "-" is stdin; a name that ends in .gz is unpacked. follow: refuses what is
 * no regular file. 0; -1 after saying why on stderr. */
int cli_input_open(struct cli_input *in, const char *name, bool follow);
/* The number of bytes; 0 at the end; -1 after saying why. */
ssize_t cli_input_read(struct cli_input *in, char *buf, size_t n);
/* At the end of a followed file: waits for more. True when what comes is the
 * beginning of a file: it was cut, or another is there under its name. */
bool cli_input_wait(struct cli_input *in);
void cli_input_close(struct cli_input *in);

/* The command that says so. */
extern const char *cli_command;
/* "clew COMMAND: NAME: what" on stderr, the name made safe. */
void cli_complain(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
