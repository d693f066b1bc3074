/* SPDX-License-Identifier: Apache-2.0
 *
 * The filter decides in one pass over a line's members. It may say no before
 * the end, where a text that is no JSON would get a no as well; a yes needs the
 * whole line. What a condition names may be there more than once (at the top,
 * in the context, a key repeated): K=V holds if any of them is V, and K!=V is
 * the opposite of that.
 *
 * The search makes most lines cheap: a condition that must hold names bytes
 * that the raw line must contain, if no escape stands for them.
 */
#include "filter.h"
#include "line.h"

#include <level.h>
#include <time_text.h>

#include <stdlib.h>
#include <string.h>

const char *cli_filter_add(struct cli_filter *f, const char *text)
{
    size_t key_len = strcspn(text, "=~"), dots = 0;
    char sign = text[key_len];
    struct cli_condition c = {.op = CLI_PRESENT, .key = text, .key_len = key_len};

    if (sign) {
        c.op = sign == '~' ? CLI_MATCHES : CLI_EQUAL;
        c.value = text + key_len + 1;
        c.value_len = strlen(c.value);
        c.number = clew__scan_is_number(c.value, c.value_len);
    }
    if (sign == '=' && key_len > 0 && text[key_len - 1] == '!') {
        c.op = CLI_NOT_EQUAL;
        c.key_len--;
    }
    for (size_t i = 0; i < c.key_len; i++)
        dots += c.key[i] == '.';
    if (c.key_len == 0)
        return "the name of the field is missing: K=V, K!=V, K~REGEX or K";
    if (dots > CLI_PATH_DOTS_MAX)
        return "the path of the field has more than 15 dots";
    if (f->n == CLI_CONDITIONS_MAX)
        return "more than 32 conditions";
    if (c.op == CLI_MATCHES && regcomp(&c.regex, c.value, REG_EXTENDED | REG_NOSUB) != 0)
        return "that is no POSIX extended regular expression";
    f->conditions[f->n++] = c;
    return NULL;
}

const char *cli_filter_add_equal(struct cli_filter *f, const char *key, const char *value)
{
    if (f->n == CLI_CONDITIONS_MAX)
        return "more than 32 conditions";
    f->conditions[f->n++] =
        (struct cli_condition){.op = CLI_EQUAL,
                               .key = key,
                               .key_len = strlen(key),
                               .value = value,
                               .value_len = strlen(value),
                               .number = clew__scan_is_number(value, strlen(value))};
    return NULL;
}

/* ---- the search ------------------------------------------------------------ */

static enum cli_hide hides(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || strchr("\"\\/", text[i]))
            return CLI_HIDE_ANY;
    return CLI_HIDE_U;
}

/* Searches for the text, with the quotes around it that are sure to be there. */
static int use(struct cli_filter *f, const char *text, size_t len, bool before, bool behind)
{
    char *needle = malloc(len + 2);

    if (!needle)
        return -1;
    needle[0] = '"';
    memcpy(needle + before, text, len);
    needle[before + len] = '"';
    free(f->needle);
    f->needle = needle;
    cli_find_init(&f->find, needle, before + len + behind, hides(text, len));
    return 1;
}

/* A string of these very bytes can only stand in quotes; a word or a number
 * also without. */
static bool only_quoted(const struct cli_condition *c)
{
    return !c->number && strcmp(c->value, "true") != 0 && strcmp(c->value, "false") != 0 &&
           strcmp(c->value, "null") != 0;
}

int cli_filter_prepare(struct cli_filter *f)
{
    const struct cli_condition *best = NULL;
    const char *dot;

    clew__buf_init(&f->scratch, 32u << 20);
    if (f->grep && *f->grep) {
        cli_find_init(&f->find, f->grep, strlen(f->grep), CLI_HIDE_NOT);
        return 1;
    }
    for (size_t i = 0; i < f->n; i++) {
        const struct cli_condition *c = &f->conditions[i];

        if (c->op == CLI_EQUAL && !c->number && (!best || c->value_len > best->value_len))
            best = c;
    }
    if (best)
        return use(f, best->value, best->value_len, only_quoted(best), only_quoted(best));
    for (size_t i = 0; i < f->n; i++)
        if (f->conditions[i].op != CLI_NOT_EQUAL)
            best = &f->conditions[i];
    if (!best)
        return 0;
    dot = memrchr(best->key, '.', best->key_len);
    if (!dot)
        return use(f, best->key, best->key_len, true, true);
    /* "a.b" may be one key or two: what is behind the last dot ends one. */
    return use(f, dot + 1, (size_t)(best->key + best->key_len - dot - 1), false, true);
}

void cli_filter_done(struct cli_filter *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->conditions[i].op == CLI_MATCHES)
            regfree(&f->conditions[i].regex);
    free(f->needle);
    clew__buf_done(&f->scratch);
}

/* ---- one line -------------------------------------------------------------- */

/* A copy with a NUL behind it, although the length is given: not every regexec()
 * that may be linked honours that. */
static bool matches(struct cli_filter *f, const regex_t *regex, const struct clew__scan_value *v)
{
    regmatch_t range = {.rm_so = 0};

    clew__buf_reset(&f->scratch);
    clew__scan_decode(&f->scratch, v);
    range.rm_eo = (regoff_t)f->scratch.len;
    clew__buf_addc(&f->scratch, '\0');
    return !f->scratch.failed && regexec(regex, f->scratch.data, 1, &range, REG_STARTEND) == 0;
}

/* Whether the value is what the condition asks for. A NOT_EQUAL is asked as an
 * EQUAL here. */
static bool fits(struct cli_filter *f, const struct cli_condition *c,
                 const struct clew__scan_value *v)
{
    if (c->op == CLI_PRESENT)
        return true;
    if (v->type >= CLEW__SCAN_ARRAY)
        return false;
    if (c->op == CLI_MATCHES)
        return matches(f, &c->regex, v);
    if (v->type == CLEW__SCAN_NUMBER && c->number)
        return clew__scan_same_number(v->at, v->len, c->value, c->value_len);
    return clew__scan_equals(v, c->value, c->value_len);
}

static bool search(struct cli_filter *f, const struct cli_condition *c, const char *path,
                   size_t path_len, const struct clew__scan_value *object);

/* Whether the member, or something in it, is at the path and fits. c is NULL:
 * anything there fits. */
static bool reached(struct cli_filter *f, const struct cli_condition *c, const char *path,
                    size_t path_len, const struct clew__scan_member *m)
{
    const char *dot;

    if (clew__scan_equals(&m->key, path, path_len))
        return fits(f, c, &m->value);
    if (m->value.type != CLEW__SCAN_OBJECT)
        return false;
    for (dot = path; (dot = memchr(dot, '.', path_len - (size_t)(dot - path))) != NULL; dot++)
        if (clew__scan_equals(&m->key, path, (size_t)(dot - path)))
            return search(f, c, dot + 1, path_len - (size_t)(dot + 1 - path), &m->value);
    return false;
}

static bool search(struct cli_filter *f, const struct cli_condition *c, const char *path,
                   size_t path_len, const struct clew__scan_value *object)
{
    struct clew__scan scan;
    struct clew__scan_member m;

    if (!clew__scan_open(&scan, object->at, object->len))
        return false;
    while (clew__scan_next(&scan, &m) == 1)
        if (reached(f, c, path, path_len, &m))
            return true;
    return false;
}

/* What of the line was seen so far. */
struct seen {
    uint32_t fits; /* a bit for each condition */
    int rank;
    bool timed;
    int64_t time_ns;
};

static void look_at(struct cli_filter *f, const struct clew__scan_member *m, struct seen *seen)
{
    bool context = m->value.type == CLEW__SCAN_OBJECT && cli_role_of(&m->key) == CLI_CONTEXT;

    for (size_t i = 0; i < f->n; i++) {
        const struct cli_condition *c = &f->conditions[i];

        if (seen->fits >> i & 1)
            continue;
        if (reached(f, c, c->key, c->key_len, m) ||
            (context && search(f, c, c->key, c->key_len, &m->value)))
            seen->fits |= 1u << i;
    }
}

/* False when the line's level or time is known and not asked for. */
static bool in_range(const struct cli_filter *f, const struct clew__scan_member *m,
                     struct seen *seen)
{
    enum cli_role role = cli_role_of(&m->key);

    if (role == CLI_LEVEL && seen->rank < 0)
        seen->rank = clew__level_value(&m->value);
    else if (role == CLI_TIME && !seen->timed)
        seen->timed = clew__time_value(&m->value, &seen->time_ns);
    return (seen->rank < 0 || seen->rank >= f->rank) &&
           !(seen->timed && ((f->has_since && seen->time_ns < f->since_ns) ||
                             (f->has_until && seen->time_ns >= f->until_ns)));
}

static bool all_hold(const struct cli_filter *f, const struct seen *seen)
{
    for (size_t i = 0; i < f->n; i++)
        if ((seen->fits >> i & 1) == (f->conditions[i].op == CLI_NOT_EQUAL))
            return false;
    return (f->rank < 0 || seen->rank >= f->rank) &&
           (seen->timed || !(f->has_since || f->has_until));
}

bool cli_filter_selects(struct cli_filter *f, const char *line, size_t len)
{
    struct seen seen = {.rank = -1};
    bool ranged = f->rank >= 0 || f->has_since || f->has_until;
    struct clew__scan scan;
    struct clew__scan_member m;
    int more = -1;

    if (f->grep && !memmem(line, len, f->grep, strlen(f->grep)))
        return false;
    if (!ranged && f->n == 0)
        return true;
    if (clew__scan_open(&scan, line, len))
        while ((more = clew__scan_next(&scan, &m)) == 1) {
            if (ranged && !in_range(f, &m, &seen))
                return false;
            if (f->n)
                look_at(f, &m, &seen);
        }
    if (more < 0)
        seen = (struct seen){.rank = -1};
    return all_hold(f, &seen);
}

bool cli_filter_selects_text(const struct cli_filter *f, const char *text, size_t len)
{
    return (!f->grep || memmem(text, len, f->grep, strlen(f->grep))) &&
           all_hold(f, &(struct seen){.rank = -1});
}

static bool value_at(struct clew__scan *scan, const char *path, size_t path_len,
                     struct clew__scan_value *ret)
{
    struct clew__scan_member m;

    while (clew__scan_next(scan, &m) == 1) {
        const char *dot = path;
        struct clew__scan nested;

        if (clew__scan_equals(&m.key, path, path_len)) {
            *ret = m.value;
            return true;
        }
        if (m.value.type != CLEW__SCAN_OBJECT)
            continue;
        for (; (dot = memchr(dot, '.', path_len - (size_t)(dot - path))) != NULL; dot++)
            if (clew__scan_equals(&m.key, path, (size_t)(dot - path)) &&
                clew__scan_open(&nested, m.value.at, m.value.len) &&
                value_at(&nested, dot + 1, path_len - (size_t)(dot + 1 - path), ret))
                return true;
    }
    return false;
}

bool cli_field_at(const char *line, size_t len, const char *path, size_t path_len,
                  struct clew__scan_value *ret)
{
    struct clew__scan scan;
    struct clew__scan_value context;

    return (clew__scan_open(&scan, line, len) && value_at(&scan, path, path_len, ret)) ||
           (clew__scan_open(&scan, line, len) && value_at(&scan, "context", 7, &context) &&
            context.type == CLEW__SCAN_OBJECT && clew__scan_open(&scan, context.at, context.len) &&
            value_at(&scan, path, path_len, ret));
}
