/* SPDX-License-Identifier: Apache-2.0
 * The configuration, checked and ready for use. It does not change after
 * clew__config_load(), so every thread may read it. A reload makes a second one;
 * who works with the first holds a reference until it is done. */
#ifndef CLEW_ALERTBRIDGE_CONFIG_H
#define CLEW_ALERTBRIDGE_CONFIG_H

#include "webhook.h"

#include <receivers/explore.h>
#include <receivers/receiver.h>
#include <routing/route.h>

#include <stdatomic.h>

struct clew__receiver {
    char *name;
    struct clew__integration *integrations; /* of all kinds */
    size_t n;
    unsigned limit_pages; /* of each target, within limit_window_ns; 0: no limit */
    int64_t limit_window_ns;
};

/* A link on every page. */
struct clew__link {
    char *text;
    struct clew__template *url; /* or */
    struct clew__explore *explore;
};

/* Those who are asked: integrations without a receiver (services.c). */
enum clew__service {
    CLEW__SERVICE_LOKI,
    CLEW__SERVICE_SILENCER,
    CLEW__SERVICES,
};

/* When an alert counts as one that comes and goes. */
struct clew__flapping {
    unsigned fires; /* so often, within window_ns; 0: none does */
    int64_t window_ns;
    int64_t calm_ns; /* so long it is quiet before its end is told */
};

/* An alert that is expected again and again. */
struct clew__watchdog {
    char *name;
    struct clew__matcher **matchers; /* which one */
    size_t nmatchers;
    int64_t within_ns; /* so long it may stay away */
    char *receiver;    /* who is told then */
};

/* Whoever expects to hear from the bridge again and again. */
struct clew__heartbeat {
    char *url; /* secret; NULL or "": nobody */
    int64_t every_ns;
    bool post; /* else GET */
};

struct clew__config {
    atomic_uint references;
    char *listen;       /* "host:port" */
    char *storage;      /* a file or a connection string, which has a password: never log it */
    char *external_url; /* "" when not set */
    struct clew__webhook webhook;
    struct clew__route *route; /* the root */
    int64_t reconcile_ns;      /* between two questions to the Alertmanagers */
    struct clew__interval *intervals;
    size_t nintervals;
    struct clew__flapping flapping;
    struct clew__watchdog *watchdogs;
    size_t nwatchdogs;
    struct clew__heartbeat heartbeat;
    struct clew__matcher **critical; /* alerts that go before all others */
    size_t ncritical;
    struct clew__receiver *receivers;
    size_t nreceivers;
    struct clew__integration services[CLEW__SERVICES];
    struct clew__integration *alertmanagers; /* ../alertmanager/ */
    size_t nalertmanagers;
    char **pagerduty_secrets;   /* of its webhooks, NULL-terminated; none: they are off */
    char *slack_signing_secret; /* of clicks in Slack; "": no buttons */
    struct clew__link *links;
    size_t nlinks;
};

/* Takes "file:line:column: text" about what is allowed but probably not meant. */
typedef void clew__config_warning(const char *text);

/* Reads a file and everything that it names (secrets in files).
 *
 * warn     may be NULL
 * owner    the caller, clew__config_free()
 * returns  0; -errno, clew_last_error() has "file:line:column: reason"; *ret_config
 *          untouched then */
int clew__config_load(const char *file, clew__config_warning *warn,
                      struct clew__config **ret_config);
/* One more reference, for clew__config_free(). MT-Safe. */
struct clew__config *clew__config_ref(struct clew__config *config);
/* Gives up a reference; the last one frees. MT-Safe. Accepts NULL, returns NULL. */
struct clew__config *clew__config_free(struct clew__config *config);

/* Borrowed; NULL when there is none of this name. */
const struct clew__receiver *clew__config_receiver(const struct clew__config *config,
                                                   const char *name);
/* The integration that a page to target is rendered by: that of this receiver,
 * else any with the target; NULL when there is none. */
const struct clew__integration *clew__config_integration(const struct clew__config *config,
                                                         const char *target, const char *receiver);

/* Whether an alert with these labels goes before all others. */
bool clew__config_critical(const struct clew__config *config, const json_t *labels);

/* Who is asked for lines, and for silences; NULL: nobody. Borrowed. */
const struct clew__integration *clew__config_loki(const struct clew__config *config);
const struct clew__integration *clew__config_silencer(const struct clew__config *config);

/* Warns about node; warn may be NULL. */
void clew__config_warn(clew__config_warning *warn, struct clew__yaml_node node, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));

/* A secret from key or key_file (its first line); "" when it is empty, and when
 * neither key is there. Both keys together are an error. */
int clew__config_secret(struct clew__yaml_node mapping, const char *key, const char *key_file,
                        char **ret_secret);
/* A template from key, or from fallback when it is absent. */
int clew__config_template(struct clew__yaml_node mapping, const char *key, const char *fallback,
                          struct clew__template **ret_template);

/* Whether text is an http or https URL without control characters or spaces. */
bool clew__is_url(const char *text);
/* Whether text can be the name of a label. */
bool clew__is_label(const char *text);

#endif
