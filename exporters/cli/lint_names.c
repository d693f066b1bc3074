/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of metrics and labels. Sources: Prometheus, "Metric and label naming"
 * and "Data model"; OpenMetrics 1.0, "Units and base units". A name that cannot
 * be changed, because dashboards ask for it, is in order as soon as a twin in the
 * base unit is on the page.
 */
#include "lint.h"

#include <string.h>

/* What stands at the end of a name, and what should. */
static const struct unit {
    const char *word, *base, *how;
} units[] = {
    {"percent", "ratio", "divide by 100"},
    {"percentage", "ratio", "divide by 100"},
    {"pct", "ratio", "divide by 100"},
    {"nanoseconds", "seconds", "divide by 1e9"},
    {"ns", "seconds", "divide by 1e9"},
    {"microseconds", "seconds", "divide by 1e6"},
    {"us", "seconds", "divide by 1e6"},
    {"milliseconds", "seconds", "divide by 1000"},
    {"millis", "seconds", "divide by 1000"},
    {"ms", "seconds", "divide by 1000"},
    {"minutes", "seconds", "multiply by 60"},
    {"hours", "seconds", "multiply by 3600"},
    {"days", "seconds", "multiply by 86400"},
    {"bits", "bytes", "divide by 8"},
    {"kb", "bytes", "multiply by 1000"},
    {"kilobytes", "bytes", "multiply by 1000"},
    {"kib", "bytes", "multiply by 1024"},
    {"kibibytes", "bytes", "multiply by 1024"},
    {"mb", "bytes", "multiply by 1e6"},
    {"megabytes", "bytes", "multiply by 1e6"},
    {"mib", "bytes", "multiply by 1048576"},
    {"mebibytes", "bytes", "multiply by 1048576"},
    {"gb", "bytes", "multiply by 1e9"},
    {"gigabytes", "bytes", "multiply by 1e9"},
    {"gib", "bytes", "multiply by 1073741824"},
    {"fahrenheit", "celsius", "subtract 32, multiply by 5/9"},
    {"kilometers", "meters", "multiply by 1000"},
    {"kilograms", "grams", "multiply by 1000"},
};

/* Quantities that have a unit, and the name does not say which. */
static const struct unit bare[] = {
    {"timestamp", "timestamp_seconds", "say that it is in seconds"},
    {"duration", "duration_seconds", "give it in seconds, and say so"},
    {"latency", "latency_seconds", "give it in seconds, and say so"},
    {"uptime", "uptime_seconds", "give it in seconds, and say so"},
    {"elapsed", "elapsed_seconds", "give it in seconds, and say so"},
    {"memory", "memory_bytes", "give it in bytes, and say so"},
    {"size", "size_bytes", "give it in bytes, and say so"},
};

#define N(list) (sizeof(list) / sizeof(list[0]))

/* The name without what its type puts behind it. */
static struct cli_text stem(const struct cli_family *family)
{
    struct cli_text name = family->name;

    if (cli_text_ends(name, "_total"))
        name.len -= 6;
    return name;
}

static struct cli_text last_word(struct cli_text name)
{
    const char *at = name.at + name.len;

    while (at > name.at && at[-1] != '_')
        at--;
    return (struct cli_text){at, (size_t)(name.at + name.len - at)};
}

/* Says what the name should be, or that it is there already. */
static void offer(struct cli_lint *lint, const struct cli_family *family, const struct unit *unit,
                  const char *what)
{
    struct cli_text name = stem(family), word = last_word(name);
    const char *tail = name.len < family->name.len ? "_total" : "";
    char twin[512];
    int len;

    if (name.len >= 256)
        return;
    len = snprintf(twin, sizeof(twin), "%.*s%s%s", (int)(name.len - word.len), name.at, unit->base,
                   tail);
    if (cli_lint_find(lint, twin, (size_t)len))
        cli_lint_say(lint, CLI_LINT_NOTE, family->line, family->name,
                     "%s; its twin %s is there: use that one", what, twin);
    else
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                     "%s: name it %s (%s), or if the name is fixed add that one beside it", what,
                     twin, unit->how);
}

static void check_unit(struct cli_lint *lint, const struct cli_family *family)
{
    struct cli_text name = stem(family), word = last_word(name);
    char what[64];

    if (word.len == name.len)
        return; /* one word has no unit */
    for (size_t i = 0; i < N(units); i++)
        if (cli_text_is(word, units[i].word)) {
            (void)snprintf(what, sizeof(what), "\"%s\" is no base unit", units[i].word);
            offer(lint, family, &units[i], what);
        }
    for (size_t i = 0; i < N(bare); i++)
        if (cli_text_is(word, bare[i].word)) {
            (void)snprintf(what, sizeof(what), "\"%s\" without a unit", bare[i].word);
            offer(lint, family, &bare[i], what);
        }
}

static void check_type(struct cli_lint *lint, const struct cli_family *family)
{
    static const char *const reserved[] = {"_total", "_count", "_sum", "_bucket", "_created"};
    static const char *const types[] = {"_counter", "_gauge", "_histogram", "_summary"};

    if (family->type == CLI_METRIC_COUNTER && !family->has_total && family->series)
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                     "a counter: name it %.*s_total", (int)family->name.len, family->name.at);
    for (size_t i = 0; i < N(reserved); i++)
        if (family->type != CLI_METRIC_COUNTER && family->has_type &&
            cli_text_ends(family->name, reserved[i]))
            cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                         "\"%s\" at the end of a name is for counters and parts of histograms",
                         reserved[i]);
    for (size_t i = 0; i < N(types); i++)
        if (cli_text_ends(family->name, types[i]))
            cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                         "leave the type out of the name");
}

static void check_letters(struct cli_lint *lint, const struct cli_family *family)
{
    struct cli_text name = family->name;

    if (!cli_exposition_is_name(name, true)) {
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, name,
                     "use [a-zA-Z_][a-zA-Z0-9_]*: others are for Prometheus 3 alone, in quotes");
        return;
    }
    if (memchr(name.at, ':', name.len))
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, name,
                     "a colon is for the names of recording rules");
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] >= 'A' && name.at[i] <= 'Z') {
            cli_lint_say(lint, CLI_LINT_WARNING, family->line, name,
                         "use small letters and underscores");
            break;
        }
}

/* ---- labels ------------------------------------------------------------------------- */

static bool is_id(struct cli_text label)
{
    static const char *const ids[] = {"user", "username", "userid", "email",    "session", "token",
                                      "uuid", "guid",     "ip",     "password", "phone",   "iban",
                                      "guid", "address",  "peer",   "client_ip"};

    for (size_t i = 0; i < N(ids); i++)
        if (cli_text_is(label, ids[i]))
            return true;
    return cli_text_ends(label, "_id") || cli_text_ends(label, "_uuid");
}

static void check_label(struct cli_lint *lint, const struct cli_family *family,
                        const struct cli_label *label)
{
    int len = (int)(label->name.len < 100 ? label->name.len : 100);
    const char *at = label->name.at;

    if (label->name.len >= 2 && memcmp(at, "__", 2) == 0)
        cli_lint_say(lint, CLI_LINT_ERROR, family->line, family->name,
                     "label %.*s: names with two underscores in front are Prometheus' own", len,
                     at);
    if ((cli_text_is(label->name, "le") && family->type != CLI_METRIC_HISTOGRAM &&
         family->type != CLI_METRIC_OTHER) ||
        (cli_text_is(label->name, "quantile") && family->type != CLI_METRIC_SUMMARY))
        cli_lint_say(lint, CLI_LINT_ERROR, family->line, family->name,
                     "label %.*s: reserved for %s", len, at,
                     at[0] == 'l' ? "histograms" : "summaries");
    if (cli_text_is(label->name, "job") || cli_text_is(label->name, "instance"))
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                     "label %.*s: Prometheus sets it, and renames yours exported_%.*s", len, at,
                     len, at);
    if (is_id(label->name))
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                     "label %.*s: each id is a series of its own; put it into the log, or into "
                     "an exemplar",
                     len, at);
    if (label->values > lint->values_max && !cli_text_is(label->name, "le"))
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                     "label %.*s: %zu values; more than %zu are too many", len, at, label->values,
                     lint->values_max);
}

void cli_lint_family(struct cli_lint *lint, struct cli_family *family)
{
    if (!family->has_help)
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name, "no HELP");
    if (!family->has_type)
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name, "no TYPE");
    check_letters(lint, family);
    check_type(lint, family);
    check_unit(lint, family);
    for (size_t i = 0; i < family->nlabels; i++)
        check_label(lint, family, &family->labels[i]);
    if (family->series > lint->series_max)
        cli_lint_say(lint, CLI_LINT_WARNING, family->line, family->name,
                     "%zu series; more than %zu are too many for one metric", family->series,
                     lint->series_max);
}
