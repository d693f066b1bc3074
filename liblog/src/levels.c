/* SPDX-License-Identifier: Apache-2.0
 *
 * Levels: a threshold for all, and rules for loggers, files, functions and
 * messages. A new set is parsed whole before it takes the place of the old
 * one; then the gates of all call sites and the thresholds of all loggers are
 * set, which every thread sees with its next call.
 *
 * Threads: the rules are under the registry's lock.
 */
#include "levels_priv.h"

#include "core_priv.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#define RULES_MAX 64u
#define PATTERN_BYTES 128u

enum kind { LOGGER, FILE_NAME, FUNCTION, MESSAGE };

static const char *const prefixes[] = {"", "file:", "function:", "message:"};

struct rules {
    size_t n;
    struct rule {
        enum kind kind;
        int level;
        char pattern[PATTERN_BYTES];
    } at[RULES_MAX];
};

/* A rule's text: ",function:" and "=fatal" around the pattern. */
_Static_assert(8 + RULES_MAX * (PATTERN_BYTES + 16) <= CLEW_LOG_LEVELS_MAX, "room for all rules");

static int threshold = CLEW_LEVEL_INFO;
static struct rules rules;

/* ---- matching ------------------------------------------------------------------- */

static bool is_below(const char *name, const char *ancestor)
{
    size_t len = strlen(ancestor);

    return strncmp(name, ancestor, len) == 0 && (name[len] == '\0' || name[len] == '.');
}

int clew__logger_threshold(const char *name)
{
    size_t longest = 0;
    int level = threshold;

    for (size_t i = 0; i < rules.n; i++) {
        const struct rule *rule = &rules.at[i];

        if (rule->kind == LOGGER && strlen(rule->pattern) >= longest &&
            is_below(name, rule->pattern)) {
            longest = strlen(rule->pattern);
            level = rule->level;
        }
    }
    return level;
}

static int lowest_threshold(void)
{
    int level = threshold;

    for (size_t i = 0; i < rules.n; i++)
        if (rules.at[i].kind == LOGGER && rules.at[i].level < level)
            level = rules.at[i].level;
    return level;
}

static const char *subject(const struct clew_site *site, enum kind kind)
{
    const char *slash;

    switch (kind) {
    case FILE_NAME:
        slash = strrchr(site->file, '/');
        return slash ? slash + 1 : site->file;
    case FUNCTION:
        return site->function;
    case MESSAGE:
        return site->message;
    case LOGGER:
        break;
    }
    return NULL;
}

int clew__site_threshold(const struct clew_site *site, bool *ret_forced)
{
    *ret_forced = false;
    for (size_t i = rules.n; i-- > 0;) {
        const char *text = subject(site, rules.at[i].kind);

        if (text && fnmatch(rules.at[i].pattern, text, 0) == 0) {
            *ret_forced = true;
            return rules.at[i].level;
        }
    }
    return site->kind == CLEW_SITE_TO_LOGGER ? lowest_threshold()
                                             : clew__logger_threshold(site->logger);
}

/* ---- parsing -------------------------------------------------------------------- */

static int bad(const char *part, size_t len, const char *why)
{
    return clew_set_error(-EINVAL, "log levels: \"%.*s\": %s", (int)(len < 100 ? len : 100), part,
                          why);
}

static int read_rule(struct rules *ret, const char *part, size_t len, const char *equals)
{
    struct rule *rule = &ret->at[ret->n];
    size_t name_len = (size_t)(equals - part);

    if (ret->n == RULES_MAX)
        return bad(part, len, "more than 64 rules");
    rule->kind = LOGGER;
    for (enum kind kind = FILE_NAME; kind <= MESSAGE; kind++) {
        size_t n = strlen(prefixes[kind]);

        if (name_len >= n && memcmp(part, prefixes[kind], n) == 0) {
            rule->kind = kind;
            part += n;
            name_len -= n;
            len -= n;
        }
    }
    if (name_len == 0 || name_len >= PATTERN_BYTES)
        return bad(part, len, "the name is empty or longer than 127 bytes");
    memcpy(rule->pattern, part, name_len);
    rule->pattern[name_len] = '\0';
    ret->n++;
    return 0;
}

/* LEVEL or NAME=LEVEL; a message pattern may have '=' in it, the last counts. */
static int read_part(struct rules *ret, int *ret_threshold, const char *part, size_t len)
{
    const char *equals = memrchr(part, '=', len), *name = equals ? equals + 1 : part;
    size_t n = len - (size_t)(name - part);
    char text[16];
    enum clew_level level;

    if (n < sizeof(text)) {
        memcpy(text, name, n);
        text[n] = '\0';
    }
    if (n >= sizeof(text) || clew_level_parse(text, &level) < 0)
        return bad(part, len, "use trace, debug, info, warn, error, fatal or off");
    if (!equals) {
        *ret_threshold = (int)level;
        return 0;
    }
    if (read_rule(ret, part, len, equals) < 0)
        return -EINVAL;
    ret->at[ret->n - 1].level = (int)level;
    return 0;
}

static int read_rules(struct rules *ret, int *ret_threshold, const char *spec)
{
    ret->n = 0;
    *ret_threshold = CLEW_LEVEL_INFO;
    while (spec && *spec) {
        size_t len = strcspn(spec, ",");

        if (len && read_part(ret, ret_threshold, spec, len) < 0)
            return -EINVAL;
        spec += len;
        spec += *spec == ',';
    }
    return 0;
}

/* ---- setting --------------------------------------------------------------------- */

static void apply(void)
{
    clew__loggers_set_thresholds();
    clew__sites_regate();
}

int clew_log_set_levels(const char *spec)
{
    struct rules fresh;
    int fresh_threshold;

    if (read_rules(&fresh, &fresh_threshold, spec) < 0)
        return -EINVAL;
    clew__registry_lock();
    rules.n = fresh.n;
    memcpy(rules.at, fresh.at, fresh.n * sizeof(fresh.at[0]));
    threshold = fresh_threshold;
    apply();
    clew__registry_unlock();
    return 0;
}

int clew_log_set_level(enum clew_level level)
{
    if (level < CLEW_LEVEL_TRACE || level > CLEW_LEVEL_OFF)
        return clew_set_error(-EINVAL, "level %d: not a level", (int)level);
    clew__registry_lock();
    threshold = (int)level;
    apply();
    clew__registry_unlock();
    return 0;
}

enum clew_level clew_log_level(void)
{
    enum clew_level level;

    clew__registry_lock();
    level = (enum clew_level)threshold;
    clew__registry_unlock();
    return level;
}

/* A level's name in small letters, behind at. */
static char *put_level(char *at, int level)
{
    for (const char *name = clew_level_name((enum clew_level)level); *name; name++)
        *at++ = (char)(*name | 0x20);
    return at;
}

size_t clew_log_levels(char ret_spec[CLEW_LOG_LEVELS_MAX])
{
    char *at = ret_spec;

    clew__registry_lock();
    at = put_level(at, threshold);
    for (size_t i = 0; i < rules.n; i++) {
        *at++ = ',';
        at = stpcpy(stpcpy(at, prefixes[rules.at[i].kind]), rules.at[i].pattern);
        *at++ = '=';
        at = put_level(at, rules.at[i].level);
    }
    clew__registry_unlock();
    *at = '\0';
    return (size_t)(at - ret_spec);
}
