/* SPDX-License-Identifier: Apache-2.0
 * What the subcommands of `clew` share. */
#ifndef CLEW_CLI_H
#define CLEW_CLI_H

#include <buf.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_NOTHING = 1, EXIT_UNREACHABLE = 2, EXIT_TROUBLE = 2, EXIT_WRONG_USAGE = 64 };

int cli_fmt(int argc, char **argv);
int cli_metrics(int argc, char **argv);
int cli_ports(int argc, char **argv);
int cli_recover(int argc, char **argv);
int cli_rules(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_trace(int argc, char **argv);

/* ---- http.c ---- */

/* GET url; headers NULL-terminated or NULL. Body of at most 64 MiB in *ret_body
 * (free()). Returns the status; 0 when there was no answer, after saying why
 * on stderr. */
long cli_get(const char *url, const char *const *headers, char **ret_body, size_t *ret_len);
/* Headers for Loki and Tempo from CLEW_LOKI_TENANT and CLEW_LOKI_BEARER_TOKEN
 * (or …_FILE); NULL-terminated, static. accept may be NULL. */
const char *const *cli_headers(const char *accept);
/* base + path + the rest; free(). */
char *cli_url(const char *base, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *cli_escape(const char *text); /* for a query parameter; free() */

/* ---- terminal.c ---- */

enum cli_colour { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };
/* Reads "auto", "always", "never"; false otherwise. */
bool cli_parse_colour(const char *text, enum cli_colour *ret);
/* Whether to colour stdout: NO_COLOR and the terminal decide for AUTO. */
bool cli_wants_colour(enum cli_colour choice);
int cli_width(void); /* columns of the terminal, 100 when there is none */
/* A colour of its own for a name, always the same. */
const char *cli_colour_of(const char *name, size_t len);
/* Text that cannot move the cursor: controls are shown as \xNN, and invalid
 * UTF-8 as U+FFFD. */
void cli_add_safe(struct clew__buf *out, const char *text, size_t len);

#define CLI_DIM "\033[2m"
#define CLI_BOLD "\033[1m"
#define CLI_RED "\033[31m"
#define CLI_RESET "\033[0m"

#endif
