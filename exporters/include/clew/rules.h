/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/rules.h: metrics from log events by rules, without code.
 *
 * A rule turns the events that it matches into a counter, a gauge or a histogram.
 * Those of requests are built in (README, "RED and rules"); further ones are in
 * the file that CLEW_METRICS_RULES names. They are applied at the call site, in
 * the caller's thread, before levels, limits or a full ring can take the line
 * away. The deriver below applies the same rules to lines in JSON.
 */
#ifndef CLEW_RULES_H
#define CLEW_RULES_H

#include <clew/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_RULES_MAX 512u      /* rules in a file */
#define CLEW_RULE_FIELDS_MAX 64u /* different fields that all rules name */
#define CLEW_RULE_TEXT_MAX 4096u /* bytes of a value that tests and labels look at */

/* Reads the file that CLEW_METRICS_RULES names once more, after clew_start().
 * That happens by itself within some seconds after the file changed; this is for
 * a handler of SIGHUP's (not in the handler itself). What was counted stays.
 *
 * threads  MT-Safe (lock)          signals AS-Unsafe
 * returns  0; 1 when the file has not changed, or no file is named; -errno and
 *          the rules stay as they were: clew_last_error() has
 *          "file:line:column: reason" */
CLEW_PUBLIC int clew_rules_reload(void);

/* Reads a file of rules without using it.
 *
 * args     warn: called for each thing that is allowed but probably not meant,
 *          with "file:line:column: reason"; may be NULL
 * returns  the number of rules; -errno, clew_last_error() */
CLEW_PUBLIC int clew_rules_check(const char *file, void (*warn)(void *arg, const char *text),
                                 void *arg);

/* Applies rules to log lines in JSON, ours or others': any order of keys, any
 * escapes. Fields are looked for at the top of a line, which goes first, and in
 * its object "context"; "a.b" is the member b of the object a, or the key "a.b".
 * Of a key that comes twice the first counts. The message is message or msg, the
 * level is level, lvl or severity, the logger is logger. Metrics go where those
 * of the process are.
 *
 * args     file: NULL for the built-in rules alone
 * owner    clew_deriver_free()
 * threads  MT-Unsafe per object
 * returns  NULL, clew_last_error() says why */
struct clew_deriver;
CLEW_PUBLIC struct clew_deriver *clew_deriver_new(const char *file);
/* Accepts NULL, returns NULL. What was counted stays. */
CLEW_PUBLIC struct clew_deriver *clew_deriver_free(struct clew_deriver *deriver);

/* Takes the whole lines that the text begins with.
 *
 * args     last: what is behind the last newline is a line as well
 * limits   no memory but for label values that are new
 * returns  the number of bytes taken */
CLEW_PUBLIC size_t clew_derive(struct clew_deriver *deriver, const char *text, size_t len,
                               bool last);

struct clew_deriver_stats {
    uint64_t lines;    /* all */
    uint64_t matched;  /* to which at least one rule applied */
    uint64_t not_json; /* neither a JSON object nor blank */
};
CLEW_PUBLIC void clew_deriver_stats(const struct clew_deriver *deriver,
                                    struct clew_deriver_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
