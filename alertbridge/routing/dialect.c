/* SPDX-License-Identifier: Apache-2.0
 * Alertmanager's regular expressions are RE2, ours are POSIX extended ones. What RE2
 * has and POSIX lacks (\d, (?i), a+?, …) would be read by libc as something else
 * without a word, so it is refused by name.
 *
 * glibc compiles a repetition by copying what is repeated: a+ is aa*, and nesting
 * multiplies, so 30 characters can ask for all memory. The size after copying is
 * counted here and bounded. No state; MT-Safe. */
#include "dialect.h"

#include <clew/log.h>

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64u
#define SIZE_MAX_ATOMS 10000u

struct walk {
    const char *at;
    uint64_t sums[DEPTH_MAX]; /* of the groups around, without the last atom */
    unsigned depth;
    uint64_t atom; /* size of the last one: what a repetition repeats */
    bool repeated;
};

/* Over a [], whose first ] is a character. */
static int skip_brackets(struct walk *walk)
{
    walk->at += walk->at[1] == '^';
    walk->at += walk->at[1] == ']';
    while (walk->at[1] && walk->at[1] != ']') {
        walk->at++;
        if (*walk->at == '\\')
            return clew_set_error(-EINVAL, "\\ within [] is an ordinary character in POSIX "
                                           "regular expressions; take it out");
    }
    walk->at += walk->at[1] == ']';
    return 0;
}

static int check_escape(struct walk *walk)
{
    if (!walk->at[1])
        return 0;
    walk->at++;
    if (isalnum((unsigned char)*walk->at) && !strchr("wWsSbB", *walk->at))
        return clew_set_error(-EINVAL, "\\%c is not in POSIX regular expressions%s", *walk->at,
                              *walk->at == 'd' ? " (write [0-9])" : "");
    return 0;
}

/* The most copies that {n,m} makes; leaves `at` on its last character. */
static uint64_t copies_of_bounds(struct walk *walk)
{
    char *end;
    uint64_t least = strtoul(walk->at + 1, &end, 10), most = least;

    if (*end == ',')
        most = isdigit((unsigned char)end[1]) ? strtoul(end + 1, &end, 10) : least + 1;
    end += strcspn(end, "}");
    walk->at = *end ? end : end - 1;
    return most ? most : 1;
}

static int repeat(struct walk *walk)
{
    uint64_t copies = *walk->at == '{' ? copies_of_bounds(walk) : *walk->at == '+' ? 2 : 1;

    if (walk->repeated)
        return clew_set_error(-EINVAL, "a repetition of a repetition (as in a+?) is not the same "
                                       "in POSIX regular expressions; use parentheses");
    walk->repeated = true;
    if (copies > SIZE_MAX_ATOMS)
        copies = SIZE_MAX_ATOMS + 1;
    walk->atom *= copies;
    return 0;
}

static void next_atom(struct walk *walk, uint64_t size)
{
    walk->sums[walk->depth] += walk->atom;
    walk->atom = size;
    walk->repeated = false;
}

static int step(struct walk *walk)
{
    int r = 0;

    switch (*walk->at) {
    case '[':
        r = skip_brackets(walk);
        next_atom(walk, 1);
        return r;
    case '\\':
        r = check_escape(walk);
        next_atom(walk, 1);
        return r;
    case '(':
        if (walk->at[1] == '?')
            return clew_set_error(-EINVAL, "(? is not in POSIX regular expressions");
        next_atom(walk, 0);
        if (++walk->depth == DEPTH_MAX)
            return clew_set_error(-EINVAL, "more than %u parentheses in each other", DEPTH_MAX - 1);
        walk->sums[walk->depth] = 0;
        return 0;
    case ')':
        if (walk->depth == 0)
            return clew_set_error(-EINVAL, "a ) without its (");
        next_atom(walk, 0);
        walk->atom = walk->sums[walk->depth--];
        return 0;
    case '*':
    case '+':
    case '?':
    case '{':
        return repeat(walk);
    default:
        next_atom(walk, 1);
        return 0;
    }
}

int clew__dialect_check(const char *pattern)
{
    struct walk walk = {.at = pattern};

    for (; *walk.at; walk.at++) {
        int r = step(&walk);

        if (r < 0)
            return r;
        if (walk.sums[walk.depth] + walk.atom > SIZE_MAX_ATOMS)
            return clew_set_error(-EINVAL, "the repetitions make it too large");
    }
    return 0;
}
