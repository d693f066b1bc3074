/* SPDX-License-Identifier: Apache-2.0
 *
 * What a rule must not do (ids and secrets as labels), and what it may do but
 * probably does not mean: names that are against Prometheus' conventions
 * (https://prometheus.io/docs/practices/naming/), labels that take a new value
 * with every request.
 */
#include "rules_priv.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Lower case, without '_', '-' and '.'. */
static void plain_name(char *to, size_t size, const char *name)
{
    size_t n = 0;

    for (; *name && n + 1 < size; name++)
        if (isalnum((unsigned char)*name))
            to[n++] = (char)tolower((unsigned char)*name);
    to[n] = '\0';
}

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

const char *clew__rules_refuse_label(const char *field)
{
    static const char *const ids[] = {
        "requestid",    "xrequestid", "correlationid", "xcorrelationid",
        "traceid",      "spanid",     "parentspanid",  "traceparent",
        "tracestate",   "sessionid",  "userid",        "username",
        "userlogin",    "useremail",  "email",         "enduserid",
        "userfullname", "clientip",   "clientaddress", "remoteaddr",
        "ipaddress",    "timestamp",  "time",          "ts"};
    char plain[256];

    if (clew_key_is_secret(field))
        return "it is a secret (CLEW_SECRET_FIELDS)";
    plain_name(plain, sizeof(plain), field);
    if (is_one_of(plain, ids, COUNT(ids)))
        return "it tells one request or person from another, so each would make a series of "
               "its own; find them by the exemplars' trace_id";
    return NULL;
}

struct lint {
    void (*warn)(void *arg, const char *text);
    void *arg;
    const char *file;
    const struct clew__rule *rule;
};

static __attribute__((format(printf, 2, 3))) void say(const struct lint *lint, const char *format,
                                                      ...)
{
    char text[768];
    va_list args;
    int n = snprintf(text, sizeof(text), "%s:%zu:%zu: %s: ", lint->file, lint->rule->place.line,
                     lint->rule->place.column, lint->rule->metric);

    if (n < 0 || (size_t)n >= sizeof(text))
        return;
    va_start(args, format);
    (void)vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
    va_end(args);
    lint->warn(lint->arg, text);
}

/* Units that are not base units, and what takes their place. */
static const struct {
    const char *end, *base, *scale;
} units[] = {
    {"_percent", "_ratio", "0.01"},
    {"_percentage", "_ratio", "0.01"},
    {"_pct", "_ratio", "0.01"},
    {"_ms", "_seconds", "0.001"},
    {"_millis", "_seconds", "0.001"},
    {"_milliseconds", "_seconds", "0.001"},
    {"_us", "_seconds", "0.000001"},
    {"_microseconds", "_seconds", "0.000001"},
    {"_ns", "_seconds", "0.000000001"},
    {"_nanoseconds", "_seconds", "0.000000001"},
    {"_minutes", "_seconds", "60"},
    {"_hours", "_seconds", "3600"},
    {"_days", "_seconds", "86400"},
    {"_kb", "_bytes", "1000"},
    {"_kilobytes", "_bytes", "1000"},
    {"_kib", "_bytes", "1024"},
    {"_mb", "_bytes", "1000000"},
    {"_megabytes", "_bytes", "1000000"},
    {"_mib", "_bytes", "1048576"},
    {"_gb", "_bytes", "1000000000"},
    {"_timestamp", "_timestamp_seconds", "1"},
};

static void lint_unit(const struct lint *lint)
{
    static const char *const good[] = {"_seconds", "_bytes", "_ratio",   "_celsius",
                                       "_meters",  "_volts", "_amperes", "_joules",
                                       "_grams",   "_hertz", "_info"};
    char name[256];
    size_t len;

    (void)snprintf(name, sizeof(name), "%s", lint->rule->metric);
    if (ends_in(name, "_total"))
        name[strlen(name) - 6] = '\0';
    len = strlen(name);
    for (size_t i = 0; i < COUNT(units); i++)
        if (ends_in(name, units[i].end)) {
            say(lint, "not a base unit: %.*s%s%s with scale: %s is what dashboards expect",
                (int)(len - strlen(units[i].end)), name, units[i].base,
                lint->rule->type == CLEW__RULE_COUNTER ? "_total" : "", units[i].scale);
            return;
        }
    for (size_t i = 0; i < COUNT(good); i++)
        if (ends_in(name, good[i]))
            return;
    /* A plural says what is counted. */
    if (lint->rule->type == CLEW__RULE_HISTOGRAM && !ends_in(name, "s"))
        say(lint, "no unit: end the name in what the values are, such as _seconds, _bytes or "
                  "_items");
}

static void lint_name(const struct lint *lint)
{
    const char *name = lint->rule->metric;

    for (const char *p = name; *p; p++)
        if (isupper((unsigned char)*p)) {
            say(lint, "upper case in a name; use snake_case");
            break;
        }
    if (strchr(name, ':'))
        say(lint, "':' is for recording rules");
    if (lint->rule->type != CLEW__RULE_COUNTER && ends_in(name, "_total"))
        say(lint, "_total is for counters");
    if (!*lint->rule->help)
        say(lint, "no help: say what is counted, and when");
    lint_unit(lint);
}

static void lint_label(const struct lint *lint, const struct clew__rule_label *label)
{
    static const char *const paths[] = {"path",    "url",     "uri",       "target",   "query",
                                        "rawpath", "urlpath", "urlfull",   "urlquery", "httptarget",
                                        "httpurl", "referer", "useragent", "filename"};
    static const char *const texts[] = {"message",   "msg",       "error",       "errormessage",
                                        "errortext", "reason",    "text",        "stack",
                                        "sql",       "statement", "dbquerytext", "description"};
    char plain[256];

    plain_name(plain, sizeof(plain), label->field);
    if (label->map && label->fallback)
        return; /* takes no value but these */
    if (is_one_of(plain, paths, COUNT(paths)))
        say(lint,
            "label %s: %s is as clients send it, with ids in it; use the template, such as "
            "the field route",
            label->name, label->field);
    else if (is_one_of(plain, texts, COUNT(texts)))
        say(lint, "label %s: %s is free text; use a code or a kind, or a map with a default",
            label->name, label->field);
    else if (ends_in(plain, "id") && (ends_in(label->field, "id") || ends_in(label->field, "Id") ||
                                      ends_in(label->field, "ID")))
        say(lint, "label %s: %s looks like an id: each value is a series of its own", label->name,
            label->field);
}

void clew__rules_lint(const struct clew__rules *set, const char *file,
                      void (*warn)(void *arg, const char *text), void *arg)
{
    for (size_t i = 0; warn && i < set->nrules; i++) {
        const struct clew__rule *rule = &set->rules[i];
        struct lint lint = {warn, arg, file, rule};

        if (!rule->place.line)
            continue;
        lint_name(&lint);
        for (size_t l = 0; l < rule->nlabels; l++)
            if (rule->labels[l].field)
                lint_label(&lint, &rule->labels[l]);
    }
}
