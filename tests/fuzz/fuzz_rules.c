/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of metric rules: whatever it says, it is read or refused with the place
 * of the error; what was read can be told apart from what it must not be.
 */
#include <metrics/rules_priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_rules: %s: %s\n", what, clew_last_error());
        abort();
    }
}

static void take_warning(void *arg, const char *text)
{
    (void)arg;
    must(strncmp(text, "f.yml:", 6) == 0, "a warning without a place");
}

static void check(const struct clew__rule *rule)
{
    must(rule->metric && *rule->metric && rule->help, "a rule without a name");
    must(rule->ntests > 0 || rule->level > 0, "a rule for every event");
    must(rule->type != CLEW__RULE_HISTOGRAM || rule->value, "a histogram without a value");
    for (size_t i = 0; i < rule->nlabels; i++)
        must(!rule->labels[i].field || !clew__rules_refuse_label(rule->labels[i].field),
             "a label that must not be");
    for (size_t i = 0; i < rule->ntests; i++)
        must(rule->tests[i].how == CLEW__RULE_EXISTS || rule->tests[i].ntexts > 0,
             "a test of nothing");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct clew__rules *set = clew__rules_new();
    int err;

    if (!set)
        return 0;
    err = clew__rules_parse(set, "f.yml", (const char *)data, size);
    if (err < 0)
        must(err == -ENOMEM || strncmp(clew_last_error(), "f.yml:", 6) == 0,
             "an error without a place");
    for (size_t i = 0; err == 0 && i < set->nrules; i++)
        check(&set->rules[i]);
    if (err == 0)
        clew__rules_lint(set, "f.yml", take_warning, NULL);
    clew__rules_free(set);
    return 0;
}
