/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of rules, read. Each error names its place and what would be right.
 * Patterns are compiled here. MT-Safe per set.
 */
#include "rules_priv.h"

#include <yaml_tree.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 200u
#define TEXT_MAX_BYTES 1024u
#define TEXTS_MAX 64
#define MAP_MAX 64
#define NO_MEMORY clew_set_error(-ENOMEM, "out of memory")

struct reader {
    struct clew__rules *set;
    struct clew__rule rule;
};

static void *memory(struct reader *r, size_t size)
{
    return clew__rules_memory(r->set, size);
}

/* A text that lives as long as the set. */
static int read_text(struct reader *r, struct clew__yaml_node node, size_t max, const char **ret)
{
    char *text = NULL, *copy;
    int err = clew__yaml_text(node, max, NULL, &text);

    if (err < 0 || !text)
        return err;
    copy = memory(r, strlen(text) + 1);
    if (copy)
        memcpy(copy, text, strlen(text) + 1);
    free(text);
    if (!copy)
        return NO_MEMORY;
    *ret = copy;
    return 0;
}

/* The same, not empty; what says what it is. */
static int read_word(struct reader *r, struct clew__yaml_node node, const char *what,
                     const char **ret)
{
    const char *text = NULL;
    int err = read_text(r, node, NAME_MAX_BYTES, &text);

    if (err == 0 && (!text || !*text))
        return clew__yaml_error(node, "%s is missing: expected a name", what);
    if (err == 0)
        *ret = text;
    return err;
}

/* ---- match ------------------------------------------------------------------------ */

/* One text or a list of them. */
static int read_texts(struct reader *r, struct clew__yaml_node node, struct clew__rule_test *test)
{
    bool list = clew__yaml_is_list(node);
    int n = list ? clew__yaml_count(node, TEXTS_MAX) : 1, err = 0;
    const char **texts;

    if (n < 0)
        return n;
    if (n == 0)
        return clew__yaml_error(node, "an empty list fits nothing");
    texts = memory(r, (size_t)n * sizeof(*texts));
    if (!texts)
        return NO_MEMORY;
    for (int i = 0; i < n && err == 0; i++) {
        struct clew__yaml_node entry = list ? clew__yaml_entry(node, i) : node;

        err = read_text(r, entry, TEXT_MAX_BYTES, &texts[i]);
        if (err == 0 && !texts[i])
            err = clew__yaml_error(entry, "expected a text");
    }
    test->texts = texts;
    test->ntexts = (size_t)n;
    return err;
}

static int compile(struct reader *r, struct clew__yaml_node node, struct clew__rule_test *test)
{
    size_t n = test->ntexts;
    char reason[160];

    test->regexes = memory(r, n * sizeof(*test->regexes));
    if (!test->regexes)
        return NO_MEMORY;
    for (test->ntexts = 0; test->ntexts < n; test->ntexts++) {
        int code = regcomp(&test->regexes[test->ntexts], test->texts[test->ntexts], REG_EXTENDED);

        if (code) {
            (void)regerror(code, &test->regexes[test->ntexts], reason, sizeof(reason));
            return clew__yaml_error(node, "a POSIX extended regular expression: %s", reason);
        }
    }
    return 0;
}

static struct clew__rule_test *new_test(struct reader *r, struct clew__yaml_node node,
                                        const struct clew__rule_test *like)
{
    if (r->rule.ntests == CLEW__RULE_TESTS_MAX) {
        (void)clew__yaml_error(node, "a rule has at most %u conditions", CLEW__RULE_TESTS_MAX);
        return NULL;
    }
    r->rule.tests[r->rule.ntests] = *like;
    return &r->rule.tests[r->rule.ntests++];
}

/* equals, glob, regex, exists and not, each a condition of its own. */
static int read_conditions(struct reader *r, struct clew__yaml_node node,
                           const struct clew__rule_test *like)
{
    static const char *const keys[] = {"equals", "glob", "regex", "exists", "not", NULL};
    static const enum clew__rule_how hows[] = {CLEW__RULE_EQUALS, CLEW__RULE_GLOB,
                                               CLEW__RULE_REGEX};
    struct clew__yaml_node exists, negation;
    int err = clew__yaml_keys(node, keys);

    for (size_t i = 0; i < 3 && err == 0; i++) {
        struct clew__yaml_node texts = clew__yaml_get(node, keys[i]);
        struct clew__rule_test *test;

        if (!texts.node)
            continue;
        test = new_test(r, texts, like);
        if (!test)
            return -EINVAL;
        test->how = hows[i];
        err = read_texts(r, texts, test);
        if (err == 0 && test->how == CLEW__RULE_REGEX)
            err = compile(r, texts, test);
    }
    if (err < 0)
        return err;
    exists = clew__yaml_get(node, "exists");
    if (exists.node) {
        struct clew__rule_test *test = new_test(r, exists, like);
        bool wanted = true;

        if (!test || clew__yaml_bool(exists, &wanted) < 0)
            return -EINVAL;
        test->how = CLEW__RULE_EXISTS;
        test->negate = test->negate != !wanted;
    }
    negation = clew__yaml_get(node, "not");
    if (negation.node) {
        struct clew__rule_test negated = *like;
        struct clew__rule_test *test;

        if (like->negate)
            return clew__yaml_error(negation, "not within not");
        negated.negate = true;
        if (clew__yaml_is_mapping(negation))
            return read_conditions(r, negation, &negated);
        test = new_test(r, negation, &negated);
        return test ? read_texts(r, negation, test) : -EINVAL;
    }
    return 0;
}

static int read_condition(struct reader *r, struct clew__yaml_node node,
                          const struct clew__rule_test *like)
{
    struct clew__rule_test *test;

    if (!node.node)
        return 0;
    if (clew__yaml_is_mapping(node))
        return read_conditions(r, node, like);
    test = new_test(r, node, like);
    return test ? read_texts(r, node, test) : -EINVAL;
}

static int read_fields(struct reader *r, struct clew__yaml_node node)
{
    int n = clew__yaml_pairs(node, CLEW__RULE_TESTS_MAX), err = n < 0 ? n : 0;

    for (int i = 0; i < n && err == 0; i++) {
        struct clew__rule_test like = {.subject = CLEW__RULE_FIELD, .how = CLEW__RULE_EQUALS};
        struct clew__yaml_node value, key = clew__yaml_pair(node, i, &value);

        err = read_word(r, key, "the field", &like.field);
        if (err == 0 && !value.node)
            err = clew__yaml_error(key, "what about this field? A text, {glob: …}, {regex: …} "
                                        "or {exists: true}");
        if (err == 0)
            err = read_condition(r, value, &like);
    }
    return err;
}

static int read_level(struct clew__yaml_node node, int *ret)
{
    enum clew_level level = CLEW_LEVEL_TRACE;
    char *text = NULL;
    int err = clew__yaml_text(node, TEXT_MAX_BYTES, NULL, &text);

    if (err == 0 && text && clew_level_parse(text, &level) < 0)
        err = clew__yaml_error(node, "expected trace, debug, info, warn, error or fatal");
    if (err == 0 && text)
        *ret = (int)level;
    free(text);
    return err;
}

static int read_match(struct reader *r, struct clew__yaml_node rule)
{
    static const char *const keys[] = {"event", "message", "logger", "level", "fields", NULL};
    static const enum clew__rule_subject subjects[] = {CLEW__RULE_EVENT, CLEW__RULE_MESSAGE,
                                                       CLEW__RULE_LOGGER};
    struct clew__yaml_node match = clew__yaml_get(rule, "match");
    int err;

    if (!match.node)
        return clew__yaml_error(rule, "match is missing: which events? For example "
                                      "match: {message: order placed}");
    err = clew__yaml_keys(match, keys);
    for (size_t i = 0; i < 3 && err == 0; i++) {
        struct clew__rule_test like = {.subject = subjects[i], .how = CLEW__RULE_EQUALS};

        err = read_condition(r, clew__yaml_get(match, keys[i]), &like);
    }
    if (err == 0)
        err = read_level(clew__yaml_get(match, "level"), &r->rule.level);
    if (err == 0)
        err = read_fields(r, clew__yaml_get(match, "fields"));
    if (err == 0 && r->rule.ntests == 0 && r->rule.level == 0)
        err = clew__yaml_error(match, "this fits every event; name an event, message, logger, "
                                      "level or field");
    return err;
}

/* ---- labels ------------------------------------------------------------------------- */

static int read_map(struct reader *r, struct clew__yaml_node node, struct clew__rule_label *label)
{
    int n = clew__yaml_pairs(node, MAP_MAX), err = n < 0 ? n : 0;
    struct clew__rule_pair *map;

    if (n <= 0)
        return err;
    map = memory(r, ((size_t)n + 1) * sizeof(*map));
    if (!map)
        return NO_MEMORY;
    for (int i = 0; i < n && err == 0; i++) {
        struct clew__yaml_node value, key = clew__yaml_pair(node, i, &value);

        err = read_text(r, key, TEXT_MAX_BYTES, &map[i].from);
        if (err == 0)
            err = read_text(r, value, TEXT_MAX_BYTES, &map[i].to);
        if (err == 0 && !map[i].to)
            err = clew__yaml_error(key, "expected a text for this value");
    }
    label->map = map;
    return err;
}

static int read_label_field(struct reader *r, struct clew__yaml_node node,
                            struct clew__rule_label *label)
{
    const char *why;
    int err = read_word(r, node, "the label's field", &label->field);

    if (err < 0)
        return err;
    why = clew__rules_refuse_label(label->field);
    return why ? clew__yaml_error(node, "%s cannot be a label: %s", label->field, why) : 0;
}

static int read_label(struct reader *r, struct clew__yaml_node key, struct clew__yaml_node node)
{
    static const char *const keys[] = {"field", "value", "map", "default", NULL};
    struct clew__rule_label *label = &r->rule.labels[r->rule.nlabels++];
    struct clew__yaml_node field, value;
    int err = read_word(r, key, "the label", &label->name);

    if (err < 0)
        return err;
    if (!clew__yaml_is_mapping(node))
        return node.node ? read_label_field(r, node, label)
                         : clew__yaml_error(key, "which field is it? label: field, or "
                                                 "{field: …, map: {…}, default: …}, or {value: …}");
    err = clew__yaml_keys(node, keys);
    if (err < 0)
        return err;
    field = clew__yaml_get(node, "field");
    value = clew__yaml_get(node, "value");
    if ((field.node != NULL) == (value.node != NULL))
        return clew__yaml_error(node, "a label has either a field or a value");
    if (value.node && (clew__yaml_get(node, "map").node || clew__yaml_get(node, "default").node))
        return clew__yaml_error(value, "a value needs no map and no default");
    if (value.node)
        return read_text(r, value, TEXT_MAX_BYTES, &label->fallback);
    err = read_label_field(r, field, label);
    if (err == 0)
        err = read_map(r, clew__yaml_get(node, "map"), label);
    return err == 0
               ? read_text(r, clew__yaml_get(node, "default"), TEXT_MAX_BYTES, &label->fallback)
               : err;
}

static int read_labels(struct reader *r, struct clew__yaml_node node)
{
    int n = clew__yaml_pairs(node, CLEW_METRIC_LABELS_MAX), err = n < 0 ? n : 0;

    for (int i = 0; i < n && err == 0; i++) {
        struct clew__yaml_node value, key = clew__yaml_pair(node, i, &value);

        err = read_label(r, key, value);
    }
    return err;
}

/* ---- the metric ------------------------------------------------------------------------ */

static int read_type(struct clew__yaml_node rule, struct clew__rule *ret)
{
    static const struct {
        const char *type, *operation;
        enum clew__rule_type is;
        double sign;
    } known[] = {
        {"counter", "", CLEW__RULE_COUNTER, 1},    {"histogram", "", CLEW__RULE_HISTOGRAM, 1},
        {"gauge", "", CLEW__RULE_GAUGE_SET, 1},    {"gauge", "set", CLEW__RULE_GAUGE_SET, 1},
        {"gauge", "add", CLEW__RULE_GAUGE_ADD, 1}, {"gauge", "subtract", CLEW__RULE_GAUGE_ADD, -1},
    };
    struct clew__yaml_node type_node = clew__yaml_get(rule, "type"),
                           operation_node = clew__yaml_get(rule, "operation");
    char *type = NULL, *operation = NULL;
    int err = clew__yaml_text(type_node, NAME_MAX_BYTES, "", &type);

    if (err == 0)
        err = clew__yaml_text(operation_node, NAME_MAX_BYTES, "", &operation);
    if (err == 0) {
        err = -EINVAL;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (strcmp(type, known[i].type) == 0 && strcmp(operation, known[i].operation) == 0) {
                ret->type = known[i].is;
                ret->scale = known[i].sign;
                err = 0;
            }
        if (err < 0 && *operation)
            (void)clew__yaml_error(operation_node,
                                   "only a gauge has an operation: set, add or subtract");
        else if (err < 0)
            (void)clew__yaml_error(type_node.node ? type_node : rule,
                                   "type is counter, gauge or histogram");
    }
    free(operation);
    free(type);
    return err;
}

static int read_value(struct reader *r, struct clew__yaml_node node)
{
    static const char *const keys[] = {"field", "scale", NULL};
    struct clew__yaml_node field = node;
    double factor = 1;
    int err = 0;

    if (!node.node)
        return 0;
    if (clew__yaml_double(node, &factor) == 0 && !clew__yaml_is_mapping(node)) {
        if (r->rule.type == CLEW__RULE_COUNTER && factor < 0)
            return clew__yaml_error(node, "a counter cannot go down; use a gauge");
        r->rule.scale *= factor;
        return 0;
    }
    if (clew__yaml_is_mapping(node)) {
        err = clew__yaml_keys(node, keys);
        field = clew__yaml_get(node, "field");
        if (err == 0 && !field.node)
            err = clew__yaml_error(node, "field is missing: which one has the value?");
        factor = 1;
        if (err == 0)
            err = clew__yaml_double(clew__yaml_get(node, "scale"), &factor);
        if (err == 0 && factor == 0)
            err = clew__yaml_error(node, "a scale of 0 makes every value 0");
    }
    if (err == 0)
        err = read_word(r, field, "the value's field", &r->rule.value);
    r->rule.scale *= factor;
    return err;
}

static int read_buckets(struct reader *r, struct clew__yaml_node node)
{
    int n = clew__yaml_count(node, CLEW_METRIC_BUCKETS_MAX), err = n < 0 ? n : 0;
    double *bounds;

    if (n < 0 || !node.node)
        return err;
    if (r->rule.type != CLEW__RULE_HISTOGRAM)
        return clew__yaml_error(node, "only a histogram has buckets");
    if (n == 0)
        return clew__yaml_error(node, "expected upper bounds, such as [0.1, 0.5, 1]");
    bounds = memory(r, (size_t)n * sizeof(*bounds));
    if (!bounds)
        return NO_MEMORY;
    for (int i = 0; i < n && err == 0; i++) {
        struct clew__yaml_node entry = clew__yaml_entry(node, i);

        err = clew__yaml_double(entry, &bounds[i]);
        if (err == 0 && i > 0 && bounds[i] <= bounds[i - 1])
            err = clew__yaml_error(entry, "the bounds have to ascend");
    }
    r->rule.bounds = bounds;
    r->rule.nbounds = (size_t)n;
    return err;
}

static int read_rule(struct reader *r, struct clew__yaml_node node)
{
    static const char *const keys[] = {"metric", "type",      "help",    "match", "labels",
                                       "value",  "operation", "buckets", NULL};
    struct clew__yaml_node metric;
    int err = clew__yaml_keys(node, keys);

    memset(&r->rule, 0, sizeof(r->rule));
    r->rule.place.line = node.node->start_mark.line + 1;
    r->rule.place.column = node.node->start_mark.column + 1;
    if (err < 0)
        return err;
    metric = clew__yaml_get(node, "metric");
    if (!metric.node)
        return clew__yaml_error(node, "metric is missing: expected its name");
    err = read_word(r, metric, "the metric", &r->rule.metric);
    if (err == 0)
        err = read_text(r, clew__yaml_get(node, "help"), TEXT_MAX_BYTES, &r->rule.help);
    if (err == 0 && !r->rule.help)
        r->rule.help = "";
    if (err == 0)
        err = read_type(node, &r->rule);
    if (err == 0)
        err = read_value(r, clew__yaml_get(node, "value"));
    if (err == 0 && r->rule.type == CLEW__RULE_HISTOGRAM && !r->rule.value)
        err = clew__yaml_error(node, "value is missing: which field has the histogram's values?");
    if (err == 0)
        err = read_buckets(r, clew__yaml_get(node, "buckets"));
    if (err == 0)
        err = read_match(r, node);
    if (err == 0)
        err = read_labels(r, clew__yaml_get(node, "labels"));
    return err;
}

static int read_tree(struct reader *r, struct clew__yaml *yaml)
{
    static const char *const keys[] = {"rules", "builtin", NULL};
    struct clew__yaml_node root = clew__yaml_root(yaml), list;
    int err = clew__yaml_keys(root, keys), n;

    if (err < 0)
        return err;
    err = clew__yaml_bool(clew__yaml_get(root, "builtin"), &r->set->builtin);
    list = clew__yaml_get(root, "rules");
    n = err == 0 ? clew__yaml_count(list, CLEW_RULES_MAX) : err;
    for (int i = 0; i < n; i++) {
        err = read_rule(r, clew__yaml_entry(list, i));
        /* Added in any case, for the sake of what it owns. */
        if (clew__rules_add(r->set, &r->rule) < 0)
            return -ENOMEM;
        if (err < 0)
            return err;
    }
    return n < 0 ? n : 0;
}

static int read_and_close(struct clew__rules *set, struct clew__yaml *yaml)
{
    struct reader r = {.set = set};
    int err = read_tree(&r, yaml);

    clew__yaml_done(yaml);
    return err;
}

int clew__rules_read_file(struct clew__rules *set, const char *file)
{
    struct clew__yaml yaml;
    int err = clew__yaml_load(&yaml, file);

    return err < 0 ? err : read_and_close(set, &yaml);
}

int clew__rules_parse(struct clew__rules *set, const char *file, const char *text, size_t len)
{
    struct clew__yaml yaml;
    int err = clew__yaml_parse(&yaml, file, text, len);

    return err < 0 ? err : read_and_close(set, &yaml);
}
