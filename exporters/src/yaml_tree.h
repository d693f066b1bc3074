/* SPDX-License-Identifier: Apache-2.0
 * A YAML file as a tree whose every node knows its place, so that each error can
 * name it. All readers below set "file:line:column: reason" with
 * clew_set_error() and return -EINVAL; no value is ever part of a reason,
 * because it may be a secret. MT-Unsafe. */
#ifndef CLEW_YAML_TREE_H
#define CLEW_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#define CLEW__YAML_FILE_MAX (1u << 20)
#define CLEW__YAML_TEXT_MAX 65536u

struct clew__yaml {
    const char *file; /* for errors; the caller keeps it */
    yaml_document_t document;
};

/* A node and the file it is in; a value, not a resource. */
struct clew__yaml_node {
    struct clew__yaml *yaml;
    yaml_node_t *node; /* NULL: the key is absent */
};

/* Parses one document of at most CLEW__YAML_FILE_MAX bytes.
 * owner    the caller, clew__yaml_done()
 * returns  0, -EINVAL, -errno of the file */
int clew__yaml_load(struct clew__yaml *yaml, const char *file);
/* The same of a text in memory; file is its name for errors. */
int clew__yaml_parse(struct clew__yaml *yaml, const char *file, const char *text, size_t len);
void clew__yaml_done(struct clew__yaml *yaml);
struct clew__yaml_node clew__yaml_root(struct clew__yaml *yaml);

/* Sets "file:line:column: reason" for node. returns -EINVAL */
int clew__yaml_error(struct clew__yaml_node node, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Checks that node is a mapping that has no key twice and none but these
 * (NULL-terminated). */
int clew__yaml_keys(struct clew__yaml_node mapping, const char *const *keys);
/* The value of a key; node NULL when it is absent or null. */
struct clew__yaml_node clew__yaml_get(struct clew__yaml_node mapping, const char *key);

/* The number of entries of a sequence, 0 for an absent one; -EINVAL when it is
 * something else or has more than max. */
int clew__yaml_count(struct clew__yaml_node sequence, int max);
struct clew__yaml_node clew__yaml_entry(struct clew__yaml_node sequence, int i);
/* The number of pairs of a mapping that has any keys, each once; as
 * clew__yaml_count(). */
int clew__yaml_pairs(struct clew__yaml_node mapping, int max);
/* The key of pair i, and its value in *ret_value (node NULL for null). */
struct clew__yaml_node clew__yaml_pair(struct clew__yaml_node mapping, int i,
                                       struct clew__yaml_node *ret_value);
/* Whether it is a list, or a mapping; false for an absent node. */
bool clew__yaml_is_list(struct clew__yaml_node node);
bool clew__yaml_is_mapping(struct clew__yaml_node node);
/* The text of a scalar as it stands, borrowed from the document; NULL for others. */
const char *clew__yaml_word(struct clew__yaml_node node);
/* Whether a scalar stands without quotes, as numbers, true, false and null do. */
bool clew__yaml_is_plain(struct clew__yaml_node node);

/* A text with ${NAME} replaced from the environment (an unset variable is the
 * empty text, $${NAME} is ${NAME} itself).
 *
 * args     max: bytes; absent: *ret_text is a copy of fallback, NULL for NULL
 * owner    the caller, free()
 * returns  0, -EINVAL, -ENOMEM; *ret_text untouched then */
int clew__yaml_text(struct clew__yaml_node node, size_t max, const char *fallback, char **ret_text);
/* true or false, nothing else; untouched when absent. */
int clew__yaml_bool(struct clew__yaml_node node, bool *ret_value);
/* A decimal number min..max; untouched when absent. */
int clew__yaml_uint(struct clew__yaml_node node, uint64_t min, uint64_t max, uint64_t *ret_value);
/* A finite decimal number; untouched when absent. */
int clew__yaml_double(struct clew__yaml_node node, double *ret_value);

#endif
