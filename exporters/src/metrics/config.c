/* SPDX-License-Identifier: Apache-2.0
 * The variables are read with the first metric, which may be made before
 * clew_start(); there they are read again, to refuse wrong ones. */
#include "config.h"

#include "registry_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static struct clew__metrics_config config;
static pthread_once_t once = PTHREAD_ONCE_INIT;

int clew__metric_name_is_good(const char *name, int colons)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t first = 0, i;

    for (i = 0; name && name[i]; i++) {
        bool is_letter = strchr(letters, name[i]) || (colons && name[i] == ':');

        if (!is_letter && (i == first || name[i] < '0' || name[i] > '9'))
            return 0;
    }
    return i > 0;
}

static int read_number(const char *name, long low, long high, long *ret)
{
    const char *text = getenv(name);
    char *end;
    long n;

    if (!text || !*text)
        return 0;
    errno = 0;
    n = strtol(text, &end, 10);
    if (errno || *end || n < low || n > high)
        return clew_set_error(-EINVAL, "%s=%.32s: use a number from %ld to %ld", name, text, low,
                              high);
    *ret = n;
    return 0;
}

static int read_prefix(struct clew__metrics_config *c)
{
    const char *text = getenv("CLEW_METRICS_PREFIX");

    if (!text || !*text)
        return 0;
    if (!clew__metric_name_is_good(text, true) || strlen(text) >= sizeof(c->prefix))
        return clew_set_error(-EINVAL,
                              "CLEW_METRICS_PREFIX=%.64s: use [a-zA-Z_:][a-zA-Z0-9_:]*, at most "
                              "63 characters, such as marty_",
                              text);
    memcpy(c->prefix, text, strlen(text) + 1);
    return 0;
}

static bool add_label(struct clew__metrics_config *c, char *item)
{
    char *value = strchr(item, '=');
    struct clew_label as_text, clean;
    char room[CLEW__LABEL_CLEAN_MAX];

    if (value)
        *value++ = '\0';
    else if (strcmp(item, "service") != 0 && strcmp(item, "version") != 0)
        return false;
    as_text = (struct clew_label){value ? value : "", value ? strlen(value) : 0};
    if (c->nlabels == CLEW__CONSTANT_LABELS_MAX || !clew__metric_name_is_good(item, false) ||
        strncmp(item, "__", 2) == 0 || strcmp(item, "le") == 0 || strcmp(item, "quantile") == 0 ||
        as_text.len > CLEW__LABEL_MAX || clew__label_clean(&as_text, room, &clean))
        return false;
    for (size_t i = 0; i < c->nlabels; i++)
        if (strcmp(c->label[i], item) == 0)
            return false;
    c->label[c->nlabels] = item;
    c->value[c->nlabels++] = value;
    return true;
}

static int read_labels(struct clew__metrics_config *c)
{
    const char *text = getenv("CLEW_METRICS_LABELS");
    char *item, *rest = c->labels;

    if (!text || !*text)
        return 0;
    if (strlen(text) >= sizeof(c->labels))
        return clew_set_error(-EINVAL, "CLEW_METRICS_LABELS: longer than %zu bytes",
                              sizeof(c->labels) - 1);
    memcpy(c->labels, text, strlen(text) + 1);
    while ((item = strsep(&rest, ",")))
        if (!add_label(c, item)) {
            c->nlabels = 0;
            return clew_set_error(-EINVAL,
                                  "CLEW_METRICS_LABELS: at \"%.32s\": use service, version and "
                                  "name=value, at most %u, each once; names are "
                                  "[a-zA-Z_][a-zA-Z0-9_]*, not le or quantile; values UTF-8 of at "
                                  "most %u bytes",
                                  item, CLEW__CONSTANT_LABELS_MAX, CLEW__LABEL_MAX);
        }
    return 0;
}

static int read_all(struct clew__metrics_config *c)
{
    int errors = 0;

    c->series_max = CLEW_METRIC_SERIES_MAX;
    c->idle_s = 3600;
    errors |= read_labels(c);
    errors |= read_prefix(c);
    errors |= read_number("CLEW_METRICS_IDLE_S", 0, 31536000, &c->idle_s);
    errors |= read_number("CLEW_METRICS_VALUES_MAX", 0, CLEW__SERIES_MAX_MAX, &c->values_max);
    errors |= read_number("CLEW_METRICS_SERIES_MAX", 1, CLEW__SERIES_MAX_MAX, &c->series_max);
    return errors ? -EINVAL : 0;
}

static void read_once(void)
{
    (void)read_all(&config);
}

const struct clew__metrics_config *clew__metrics_config(void)
{
    pthread_once(&once, read_once);
    return &config;
}

int clew__metrics_config_check(void)
{
    struct clew__metrics_config again = {.series_max = 0};

    return read_all(&again);
}
