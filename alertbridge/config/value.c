/* SPDX-License-Identifier: Apache-2.0
 * Warnings, and values of the configuration that are more than a text: secrets, which may
 * stand in a file of their own, templates, URLs. A secret is never part of an
 * error. MT-Unsafe, as the tree is. */
#include "config.h"

#include <clew/log.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX 4096u

void clew__config_warn(clew__config_warning *warn, struct clew__yaml_node node, const char *format,
                       ...)
{
    char text[1024], *all;
    va_list args;

    if (!warn)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (asprintf(&all, "%s:%zu:%zu: %s", node.yaml->file, node.node->start_mark.line + 1,
                 node.node->start_mark.column + 1, text) < 0)
        return;
    warn(all);
    free(all);
}

static int read_secret(struct clew__yaml_node node, const char *path, char **ret_secret)
{
    char text[SECRET_MAX + 2];
    FILE *file = fopen(path, "re");
    size_t len;
    bool bad;

    if (!file)
        return clew__yaml_error(node, "the secret's file cannot be opened: %s", strerror(errno));
    len = fread(text, 1, sizeof(text) - 1, file);
    bad = ferror(file) || len > SECRET_MAX || memchr(text, '\0', len);
    (void)fclose(file);
    if (bad)
        return clew__yaml_error(node,
                                "the secret's file cannot be read, has a NUL, or has more "
                                "than %u bytes",
                                SECRET_MAX);
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    *ret_secret = strdup(text);
    return *ret_secret ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

int clew__config_secret(struct clew__yaml_node mapping, const char *key, const char *key_file,
                        char **ret_secret)
{
    struct clew__yaml_node direct = clew__yaml_get(mapping, key);
    struct clew__yaml_node file = clew__yaml_get(mapping, key_file);
    char *path = NULL;
    int r;

    if (direct.node && file.node)
        return clew__yaml_error(file, "%s and %s exclude each other", key, key_file);
    if (!file.node)
        return clew__yaml_text(direct, SECRET_MAX, "", ret_secret);
    r = clew__yaml_text(file, 4096, NULL, &path);
    if (r == 0 && *path)
        r = read_secret(file, path, ret_secret);
    else if (r == 0)
        r = clew__yaml_error(file, "%s is empty", key_file);
    free(path);
    return r;
}

int clew__config_template(struct clew__yaml_node mapping, const char *key, const char *fallback,
                          struct clew__template **ret_template)
{
    struct clew__yaml_node node = clew__yaml_get(mapping, key);
    char *text = NULL, reason[256];
    int r = clew__yaml_text(node, CLEW__YAML_TEXT_MAX, fallback, &text);

    if (r < 0)
        return r;
    if (!text)
        return 0;
    r = clew__template_parse(text, ret_template);
    free(text);
    if (r != -EINVAL)
        return r;
    (void)snprintf(reason, sizeof(reason), "%s", clew_last_error());
    return clew__yaml_error(node, "%s: %s", key, reason);
}

bool clew__is_url(const char *text)
{
    const char *rest;

    if (strncasecmp(text, "https://", 8) == 0)
        rest = text + 8;
    else if (strncasecmp(text, "http://", 7) == 0)
        rest = text + 7;
    else
        return false;
    if (!*rest || strchr("/?#", *rest))
        return false;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c <= ' ' || *c == 0x7F || strchr("<>\"\\^`{|}", *c))
            return false;
    return true;
}

bool clew__is_label(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    while (isalnum((unsigned char)*text) || *text == '_')
        text++;
    return !*text;
}
