/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry: metrics are made under a lock and live for ever. Every name that
 * may stand on a page belongs to one metric: the counter x_total also has x and
 * x_created, the histogram x also x_bucket, x_count, x_sum and x_created, so
 * that no page has two families of one name (OpenMetrics, "MetricFamily Name").
 */
#include "config.h"
#include "scrape.h"

#include <buf.h>
#include <json.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NAME_MAX_BYTES 200u
#define HELP_MAX_BYTES 1024u
#define NAME_SLOTS 1024u
#define NATIVE_MIN 80u /* buckets: every double has one at Prometheus' lowest schema */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct clew_metric *_Atomic first;
static struct clew_metric *last;
static _Atomic uint64_t counting_since;
static _Atomic unsigned generation = 1;

/* A name that is taken. */
struct name {
    struct name *next;
    struct clew_metric *metric;
    char text[];
};
static struct name *names[NAME_SLOTS];

static const double standard_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                         0.5,   0.75, 1,     2.5,  5,     7.5, 10};

/* What a metric is to be. */
struct wanted {
    enum clew__kind kind;
    const char *name, *help;
    const char *const *labels;
    const double *bounds;
    size_t nbounds;
    int schema;
    unsigned native_max;
};

void clew__metrics_lock(void)
{
    clew__locks++;
    atomic_signal_fence(memory_order_seq_cst);
    pthread_mutex_lock(&lock);
}

void clew__metrics_unlock(void)
{
    pthread_mutex_unlock(&lock);
    atomic_signal_fence(memory_order_seq_cst);
    clew__locks--;
}

struct clew_metric *clew__metrics_first(void)
{
    return atomic_load_explicit(&first, memory_order_acquire);
}

/* ---- forks ---------------------------------------------------------------------------- */

static void set_counting_since(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    atomic_store(&counting_since, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

uint64_t clew__counting_since(void)
{
    return atomic_load(&counting_since);
}

unsigned clew__generation(void)
{
    return atomic_load(&generation);
}

static void in_child(void)
{
    clew__shards_forked();
    clew__update_forked();
    clew__scrape_forked();
    set_counting_since();
    atomic_fetch_add(&generation, 1);
    clew__metrics_unlock();
}

/* With the library, and so before anybody else's: handlers run in the opposite
 * order before a fork, and the registry's lock is always the last that is taken. */
__attribute__((constructor)) static void at_load(void)
{
    set_counting_since();
    (void)pthread_atfork(clew__metrics_lock, clew__metrics_unlock, in_child);
}

/* ---- names ----------------------------------------------------------------------------- */

static struct name **names_of(const char *text, size_t len)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return &names[hash % NAME_SLOTS];
}

static struct clew_metric *owner_of(const char *text)
{
    struct name *name = *names_of(text, strlen(text));

    while (name && strcmp(name->text, text) != 0)
        name = name->next;
    return name ? name->metric : NULL;
}

#define TAKEN_MAX 5u
#define TAKEN_BYTES (NAME_MAX_BYTES + 16)

/* The names a metric takes, its own first; how many. */
static unsigned names_taken(enum clew__kind kind, const char *name, char taken[][TAKEN_BYTES])
{
    static const char *const suffixes[][TAKEN_MAX] = {
        [CLEW__COUNTER] = {"_total", "", "_created"},
        [CLEW__GAUGE] = {""},
        [CLEW__INFO] = {"_info", ""},
        [CLEW__HISTOGRAM] = {"", "_bucket", "_count", "_sum", "_created"},
        [CLEW__NATIVE] = {"", "_bucket", "_count", "_sum", "_created"},
    };
    size_t family = strlen(name) - strlen(suffixes[kind][0]);
    unsigned n;

    for (n = 0; n < TAKEN_MAX && suffixes[kind][n]; n++)
        (void)snprintf(taken[n], TAKEN_BYTES, "%.*s%s", (int)family, name, suffixes[kind][n]);
    return n;
}

static bool take_names(struct clew_metric *metric)
{
    char taken[TAKEN_MAX][TAKEN_BYTES];
    unsigned n = names_taken(metric->kind, metric->name, taken);

    for (unsigned i = 0; i < n; i++) {
        struct name *name = malloc(sizeof(*name) + strlen(taken[i]) + 1);
        struct name **list = names_of(taken[i], strlen(taken[i]));

        if (!name)
            return false;
        strcpy(name->text, taken[i]);
        name->metric = metric;
        name->next = *list;
        *list = name;
    }
    return true;
}

/* After a failure: a metric that is not made has no names. */
static void give_names_back(const struct clew_metric *metric)
{
    char taken[TAKEN_MAX][TAKEN_BYTES];
    unsigned n = names_taken(metric->kind, metric->name, taken);

    for (unsigned i = 0; i < n; i++) {
        struct name **link = names_of(taken[i], strlen(taken[i])), *name;

        while ((name = *link)) {
            if (name->metric == metric) {
                *link = name->next;
                free(name);
            } else {
                link = &name->next;
            }
        }
    }
}

/* ---- making ------------------------------------------------------------------------------ */

static void free_metric(struct clew_metric *metric)
{
    if (!metric)
        return;
    clew__series_free(metric->overflow);
    for (size_t i = 0; metric->bound_texts && i <= metric->nbounds; i++)
        free(metric->bound_texts[i]);
    free(metric->bound_texts);
    free(metric->bounds);
    for (size_t i = 0; i < metric->nlabels; i++)
        free(metric->labels[i]);
    free(metric->help);
    free(metric->name);
    free(metric);
}

static bool copy_labels(struct clew_metric *metric, const char *const *labels)
{
    for (size_t i = 0; labels && labels[i]; i++) {
        metric->labels[i] = strdup(labels[i]);
        if (!metric->labels[i])
            return false;
        metric->nlabels++;
    }
    return true;
}

/* le="0.5"} and a space. */
static char *bound_text(double bound)
{
    char number[CLEW__PUT_NUMBER_MAX], *text;

    *clew__put_double(number, bound) = '\0';
    return asprintf(&text, "le=\"%s\"} ", clew__is_finite(bound) ? number : "+Inf") < 0 ? NULL
                                                                                        : text;
}

static bool set_bounds(struct clew_metric *metric, const double *bounds, size_t n)
{
    size_t padded = clew__bounds_padded(n);

    metric->bounds = aligned_alloc(16, padded * sizeof(*bounds));
    metric->bound_texts = calloc(n + 1, sizeof(*metric->bound_texts));
    if (!metric->bounds || !metric->bound_texts)
        return false;
    metric->nbounds = n;
    for (size_t i = 0; i < padded; i++)
        metric->bounds[i] = i < n ? bounds[i] : __builtin_inf();
    clew__buckets_init(&metric->buckets, metric->bounds, n);
    for (size_t i = 0; i <= n; i++)
        if (!(metric->bound_texts[i] = bound_text(i < n ? bounds[i] : __builtin_inf())))
            return false;
    return true;
}

static char *clean_help(const char *help)
{
    size_t len = clew__utf8_cut(help ? help : "", help ? strlen(help) : 0, HELP_MAX_BYTES);
    struct clew__buf clean;

    clew__buf_init(&clean, 3 * HELP_MAX_BYTES + 1);
    clew__utf8_clean(&clean, help ? help : "", len);
    return clew__buf_take(&clean, &len);
}

static size_t cell_bytes(const struct wanted *wanted)
{
    switch (wanted->kind) {
    case CLEW__COUNTER:
        return sizeof(struct clew__counter_cell);
    case CLEW__GAUGE:
    case CLEW__INFO:
        return sizeof(struct clew__gauge_cell);
    case CLEW__HISTOGRAM:
        return sizeof(struct clew__histogram_cell) + (wanted->nbounds + 2) / 2 * 16;
    case CLEW__NATIVE:
        break;
    }
    return clew__native_bytes(wanted->native_max);
}

static bool fill(struct clew_metric *metric, const struct wanted *wanted)
{
    static const struct clew_label overflow = {"overflow", 8};
    const struct clew__metrics_config *config = clew__metrics_config();
    struct clew_label values[CLEW_METRIC_LABELS_MAX];

    metric->kind = wanted->kind;
    metric->name = strdup(wanted->name);
    metric->help = clean_help(wanted->help);
    if (!metric->name || !metric->help || !copy_labels(metric, wanted->labels) ||
        (wanted->kind == CLEW__HISTOGRAM && !set_bounds(metric, wanted->bounds, wanted->nbounds)))
        return false;
    metric->name_len = strlen(metric->name);
    metric->schema = wanted->schema;
    metric->native_max = wanted->native_max;
    metric->cell_bytes = cell_bytes(wanted);
    metric->seed = clew__values_seed();
    metric->series_max = (size_t)config->series_max;
    for (size_t i = 0; i < metric->nlabels; i++) {
        atomic_store(&metric->limit[i].max, (size_t)config->values_max);
        values[i] = overflow;
    }
    metric->overflow = clew__locked_series_new(metric, values);
    if (!metric->overflow)
        return false;
    metric->overflow->pinned = true;
    if (metric->nlabels == 0) {
        metric->overflow_is_shown = true;
        clew__locked_series_show(metric, metric->overflow);
    }
    return true;
}

static struct clew_metric *make(const struct wanted *wanted)
{
    struct clew_metric *metric = calloc(1, sizeof(*metric));

    if (!metric)
        return NULL;
    if (!fill(metric, wanted)) {
        free_metric(metric);
        return NULL;
    }
    if (!take_names(metric)) {
        give_names_back(metric);
        free_metric(metric);
        return NULL;
    }
    if (last)
        atomic_store_explicit(&last->next, metric, memory_order_release);
    else
        atomic_store_explicit(&first, metric, memory_order_release);
    last = metric;
    return metric;
}

/* ---- finding ------------------------------------------------------------------------------ */

static bool is_same(const struct clew_metric *metric, const struct wanted *wanted)
{
    size_t n = 0;

    if (metric->kind != wanted->kind || metric->schema != wanted->schema ||
        metric->native_max != wanted->native_max || metric->nbounds != wanted->nbounds)
        return false;
    if (wanted->nbounds &&
        memcmp(metric->bounds, wanted->bounds, wanted->nbounds * sizeof(*wanted->bounds)) != 0)
        return false;
    for (; wanted->labels && wanted->labels[n]; n++)
        if (n >= metric->nlabels || strcmp(wanted->labels[n], metric->labels[n]) != 0)
            return false;
    return n == metric->nlabels;
}

static struct clew_metric *locked_get(const struct wanted *wanted)
{
    char taken[TAKEN_MAX][TAKEN_BYTES];
    unsigned n = names_taken(wanted->kind, wanted->name, taken);
    struct clew_metric *metric = owner_of(wanted->name);

    if (metric && strcmp(metric->name, wanted->name) == 0) {
        if (is_same(metric, wanted))
            return metric;
        (void)clew_set_error(-EEXIST,
                             "metric %s: exists with another type, other labels or other buckets",
                             wanted->name);
        return NULL;
    }
    for (unsigned i = 0; i < n; i++)
        if ((metric = owner_of(taken[i]))) {
            (void)clew_set_error(-EEXIST, "metric %s: the name %s is taken by the metric %s",
                                 wanted->name, taken[i], metric->name);
            return NULL;
        }
    metric = make(wanted);
    if (!metric)
        (void)clew_set_error(-ENOMEM, "metric %s: no memory", wanted->name);
    return metric;
}

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);

    return len > n && strcmp(name + len - n, end) == 0;
}

static bool bounds_are_good(const struct wanted *wanted)
{
    bool good = wanted->nbounds <= CLEW_METRIC_BUCKETS_MAX;

    for (size_t i = 0; good && i < wanted->nbounds; i++)
        good = clew__is_finite(wanted->bounds[i]) &&
               (i == 0 || wanted->bounds[i] > wanted->bounds[i - 1]);
    if (!good)
        (void)clew_set_error(-EINVAL, "metric %s: bounds must be finite, ascending and at most %u",
                             wanted->name, CLEW_METRIC_BUCKETS_MAX);
    return good;
}

static const char *label_fault(const struct wanted *wanted, size_t i)
{
    const char *name = wanted->labels[i];

    if (i == CLEW_METRIC_LABELS_MAX)
        return "is one too many, there may be 8";
    if (!clew__metric_name_is_good(name, false) || strlen(name) > NAME_MAX_BYTES)
        return "is bad, use [a-zA-Z_][a-zA-Z0-9_]*";
    if (strncmp(name, "__", 2) == 0)
        return "is reserved for Prometheus, as all that begin with __";
    if (strcmp(name, "quantile") == 0)
        return "is reserved for summaries";
    if (strcmp(name, "le") == 0 && wanted->kind >= CLEW__HISTOGRAM)
        return "is that of the buckets";
    while (i-- > 0)
        if (strcmp(wanted->labels[i], name) == 0)
            return "is there twice";
    return NULL;
}

static bool labels_are_good(const struct wanted *wanted)
{
    for (size_t i = 0; wanted->labels && wanted->labels[i]; i++) {
        const char *fault = label_fault(wanted, i);

        if (fault) {
            (void)clew_set_error(-EINVAL, "metric %s: the label name \"%.64s\" %s", wanted->name,
                                 wanted->labels[i], fault);
            return false;
        }
    }
    return true;
}

static bool name_is_good(const struct wanted *wanted)
{
    const char *end = wanted->kind == CLEW__COUNTER ? "_total"
                      : wanted->kind == CLEW__INFO  ? "_info"
                                                    : "";

    if (clew__metric_name_is_good(wanted->name, true) && strlen(wanted->name) <= NAME_MAX_BYTES &&
        ends_with(wanted->name, end))
        return true;
    (void)clew_set_error(-EINVAL,
                         "metric \"%.64s\": use [a-zA-Z_:][a-zA-Z0-9_:]*, at most %u characters; "
                         "a counter ends in _total, an info in _info",
                         wanted->name ? wanted->name : "", NAME_MAX_BYTES);
    return false;
}

static struct clew_metric *get(struct wanted wanted)
{
    struct clew_metric *metric;

    if (wanted.kind == CLEW__HISTOGRAM && !wanted.bounds) {
        wanted.bounds = standard_bounds;
        wanted.nbounds = sizeof(standard_bounds) / sizeof(standard_bounds[0]);
    }
    if (!name_is_good(&wanted) || !labels_are_good(&wanted) || !bounds_are_good(&wanted))
        return NULL;
    clew__metrics_lock();
    metric = locked_get(&wanted);
    clew__metrics_unlock();
    return metric;
}

/* ---- the calls ------------------------------------------------------------------------------ */

struct clew_metric *clew_counter(const char *name, const char *help, const char *const *labels)
{
    return get((struct wanted){CLEW__COUNTER, name, help, labels, NULL, 0, 0, 0});
}

struct clew_metric *clew_gauge(const char *name, const char *help, const char *const *labels)
{
    return get((struct wanted){CLEW__GAUGE, name, help, labels, NULL, 0, 0, 0});
}

struct clew_metric *clew_histogram(const char *name, const char *help, const char *const *labels,
                                   const double *bounds, size_t nbounds)
{
    return get(
        (struct wanted){CLEW__HISTOGRAM, name, help, labels, bounds, bounds ? nbounds : 0, 0, 0});
}

struct clew_metric *clew_native_histogram(const char *name, const char *help,
                                          const char *const *labels, int schema,
                                          unsigned buckets_max)
{
    unsigned max = buckets_max ? buckets_max : CLEW_METRIC_NATIVE_MAX;

    if (schema < -4 || schema > 8 || max < NATIVE_MIN || max > CLEW_METRIC_NATIVE_MAX) {
        (void)clew_set_error(-EINVAL,
                             "metric \"%.64s\": schema must be -4 to 8, buckets_max %u to %u",
                             name ? name : "", NATIVE_MIN, CLEW_METRIC_NATIVE_MAX);
        return NULL;
    }
    clew__native_prepare();
    return get((struct wanted){CLEW__NATIVE, name, help, labels, NULL, 0, schema, max});
}

int clew_metric_info(const char *name, const char *help, const char *const *labels,
                     const char *const *values)
{
    struct clew_metric *metric =
        get((struct wanted){CLEW__INFO, name, help, labels, NULL, 0, 0, 0});

    if (!metric)
        return -EINVAL;
    clew_series_set(clew_metric_series(metric, values), 1);
    return 0;
}

/* The name with the prefix; too long, it is refused with the name's own check. */
static const char *derived(const char *name, char room[512])
{
    (void)snprintf(room, 512, "%s%s", clew__metrics_config()->prefix, name);
    return room;
}

struct clew_metric *clew__derived_counter(const char *name, const char *help,
                                          const char *const *labels)
{
    char room[512];

    return clew_counter(derived(name, room), help, labels);
}

struct clew_metric *clew__derived_gauge(const char *name, const char *help,
                                        const char *const *labels)
{
    char room[512];

    return clew_gauge(derived(name, room), help, labels);
}

struct clew_metric *clew__derived_histogram(const char *name, const char *help,
                                            const char *const *labels, const double *bounds,
                                            size_t nbounds)
{
    char room[512];

    return clew_histogram(derived(name, room), help, labels, bounds, nbounds);
}

int clew__derived_info(const char *name, const char *help, const char *const *labels,
                       const char *const *values)
{
    char room[512];

    return clew_metric_info(derived(name, room), help, labels, values);
}

/* ---- limits ------------------------------------------------------------------------------- */

/* The values there are become known with the first limit of a label. */
static bool locked_limit_values(struct clew_metric *metric, size_t label, size_t max)
{
    bool good = true;

    if (atomic_load(&metric->limit[label].max) == 0)
        good = clew__locked_values_learn(metric, label);
    if (good)
        atomic_store(&metric->limit[label].max, max);
    return good;
}

int clew_metric_limit(struct clew_metric *metric, const char *label, size_t max)
{
    size_t i = 0;
    bool good = true;

    if (!metric || max < 1 || max > CLEW__SERIES_MAX_MAX)
        return clew_set_error(-EINVAL, "limit of a metric: must be 1 to %u", CLEW__SERIES_MAX_MAX);
    while (label && i < metric->nlabels && strcmp(metric->labels[i], label) != 0)
        i++;
    if (label && i == metric->nlabels)
        return clew_set_error(-EINVAL, "metric %s: has no label \"%.64s\"", metric->name, label);
    clew__metrics_lock();
    if (label)
        good = locked_limit_values(metric, i, max);
    else
        atomic_store(&metric->series_max, max);
    clew__metrics_unlock();
    return good ? 0 : clew_set_error(-ENOMEM, "metric %s: no memory", metric->name);
}
