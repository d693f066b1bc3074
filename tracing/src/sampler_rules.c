/* SPDX-License-Identifier: Apache-2.0
 *
 * CLEW_TRACES_SAMPLER_RULES, read once:
 *
 *     GET /health*=drop; POST /orders=keep; kind:consumer=10/s; GET *=0.05; *=100/s
 *
 * PATTERN=ACTION, separated by ';', the first that matches counts; where none
 * does, OTEL_TRACES_SAMPLER decides. A pattern is for the whole of the hint
 * ("METHOD path") or the span's name; '*' stands for any characters, '?' for one;
 * "kind:" and a kind of span is for those. Actions: drop, keep, a ratio from 0 to
 * 1, N/s for that many traces a second. With a sampler by parent, rules are for
 * requests without one; @local_sampled, @local_not_sampled, @remote_sampled and
 * @remote_not_sampled in place of a pattern say what becomes of the others.
 */
#include "sampler_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE "CLEW_TRACES_SAMPLER_RULES"
#define RULES_MAX 32u
#define TEXT_MAX 4096u

static struct rule {
    const char *pattern;      /* in text */
    enum clew_span_kind kind; /* if by_kind, in place of a pattern */
    bool by_kind;
    struct clew__action action;
} rules[RULES_MAX];
static unsigned nrules;
static char text[TEXT_MAX];

static const char *const parts[CLEW__NPARTS] = {
    [CLEW__LOCAL_NOT_SAMPLED] = "@local_not_sampled",
    [CLEW__LOCAL_SAMPLED] = "@local_sampled",
    [CLEW__REMOTE_NOT_SAMPLED] = "@remote_not_sampled",
    [CLEW__REMOTE_SAMPLED] = "@remote_sampled",
};
static const struct {
    const char *name;
    enum clew_span_kind kind;
} kinds[] = {{"internal", CLEW_SPAN_INTERNAL},
             {"server", CLEW_SPAN_SERVER},
             {"client", CLEW_SPAN_CLIENT},
             {"producer", CLEW_SPAN_PRODUCER},
             {"consumer", CLEW_SPAN_CONSUMER}};

/* ---- reading --------------------------------------------------------------------- */

static bool read_action(const char *s, struct clew__action *ret)
{
    char *end;
    double n;

    ret->kind = CLEW__KEEP;
    if (strcmp(s, "keep") == 0)
        return true;
    ret->kind = CLEW__DROP;
    if (strcmp(s, "drop") == 0)
        return true;
    if (*s < '0' || *s > '9')
        return false;
    n = strtod(s, &end);
    if (strcmp(end, "/s") == 0 && n >= 1 && n <= 1e9) {
        ret->kind = CLEW__RATE;
        ret->interval_ns = (uint64_t)(1e9 / n);
        return true;
    }
    ret->kind = CLEW__RATIO;
    ret->threshold = *end == '\0' && n >= 0 && n <= 1 ? clew__ratio_threshold(n) : 0;
    return *end == '\0' && n >= 0 && n <= 1;
}

static bool read_kind(const char *name, struct rule *rule)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0) {
            rule->kind = kinds[i].kind;
            return rule->by_kind = true;
        }
    return false;
}

static unsigned find_part(const char *name)
{
    unsigned i = CLEW__LOCAL_NOT_SAMPLED;

    while (i < CLEW__NPARTS && strcmp(parts[i], name) != 0)
        i++;
    return i;
}

static void set_action(struct clew__action *to, const struct clew__action *from)
{
    to->kind = from->kind;
    to->threshold = from->threshold;
    to->interval_ns = from->interval_ns;
}

/* One rule, ended by NUL; what is wrong with it, or NULL. */
static const char *read_rule(char *s, struct clew__action *part, unsigned *ret_parts)
{
    char *equals = strrchr(s, '=');
    struct rule rule = {.pattern = s};
    unsigned i;

    if (!equals || equals == s)
        return "it is not PATTERN=ACTION";
    for (char *end = equals; end > s && end[-1] == ' '; end--)
        end[-1] = '\0';
    *equals++ = '\0';
    if (!read_action(equals + strspn(equals, " "), &rule.action))
        return "the action is none of drop, keep, a ratio from 0 to 1, N/s";
    if (s[0] == '@') {
        i = find_part(s);
        if (i == CLEW__NPARTS)
            return "use @local_sampled, @local_not_sampled, @remote_sampled, @remote_not_sampled";
        set_action(&part[i], &rule.action);
        *ret_parts |= 1u << i;
        return NULL;
    }
    if (strncmp(s, "kind:", 5) == 0 && !read_kind(s + 5, &rule))
        return "use kind:internal, server, client, producer or consumer";
    if (nrules == RULES_MAX)
        return "there are 32 already";
    rules[nrules] = rule;
    nrules++;
    return NULL;
}

unsigned clew__rules_read(struct clew__action *part)
{
    const char *all = getenv(VARIABLE);
    unsigned by_rule = 0, number = 0;
    char said[128];

    if (!all || !*all)
        return 0;
    if (strlen(all) >= sizeof(text)) {
        clew_warn(VARIABLE " is longer than 4095 bytes, there are no rules");
        return 0;
    }
    memcpy(text, all, strlen(all) + 1);
    for (char *s = text, *next; s; s = next) {
        const char *problem;
        size_t at;

        next = strchr(s, ';');
        if (next)
            *next++ = '\0';
        s += strspn(s, " ");
        for (size_t len = strlen(s); len && s[len - 1] == ' '; len--)
            s[len - 1] = '\0';
        if (!*s)
            continue;
        number++;
        at = (size_t)(s - text) + 1;
        (void)snprintf(said, sizeof(said), "%s", s);
        problem = read_rule(s, part, &by_rule);
        if (problem)
            clew_warn("a rule of " VARIABLE " is passed over", clew_kv("rule", (const char *)said),
                      clew_kv("number", number), clew_kv("at_byte", at),
                      clew_kv("reason", problem));
    }
    return by_rule;
}

/* ---- matching ------------------------------------------------------------------------ */

/* Linear but for the last star, to which it goes back: bounded by both lengths. */
static bool matches(const char *pattern, const char *s)
{
    const char *star = NULL, *resume = NULL;

    while (*s) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = s;
        } else if (*pattern == '?' || *pattern == *s) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star;
            s = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

bool clew__rules_exist(void)
{
    return nrules > 0;
}

struct clew__action *clew__rules_find(const struct clew__sampling *sampling)
{
    const char *s = sampling->hint ? sampling->hint : sampling->name ? sampling->name : "";

    for (unsigned i = 0; i < nrules; i++)
        if (rules[i].by_kind ? rules[i].kind == sampling->kind : matches(rules[i].pattern, s))
            return &rules[i].action;
    return NULL;
}
