/* SPDX-License-Identifier: Apache-2.0
 *
 * One call sets everything up, in this order: what can fail first (settings,
 * the port), then the sinks, then the log itself, so that lines recovered from
 * a dead process reach every sink. It is taken down the other way round.
 */
#include "exporters_priv.h"

#include "health.h"
#include "management.h"
#include "otlp_priv.h"
#include "metrics/config.h"
#include "metrics/metrics_priv.h"
#include "metrics/rules_priv.h"

#include <clew/export.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct clew__settings settings;
static _Atomic enum { NEVER, RUNNING, STOPPED } state;
static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic pid_t owner;

/* What cannot be taken back and need not be: a failed start may be repeated. */
static int start_metrics(void)
{
    static bool done;
    int err = done ? 0 : clew__self_metrics_start();

    if (err == 0 && !done)
        err = clew__process_metrics_start();
    if (err == 0 && !done)
        err = clew__service_metrics_start();
    if (err == 0 && !done)
        err = clew__health_metrics_start();
    if (err == 0 && !done)
        err = clew__rules_start();
    done = done || err == 0;
    return err;
}

static int start_parts(const char *service, const char *version)
{
    int err = clew__settings_read(&settings);

    if (err == 0)
        err = clew__metrics_config_check();
    if (err == 0 && settings.metrics)
        err = start_metrics();
    if (err == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        err = clew_set_error(-ENOMEM, "libcurl could not be initialised");
    if (err == 0)
        err = clew__management_start(&settings.management, settings.metrics);
    if (err == 0 && settings.loki_url[0])
        err = clew__loki_add(&settings);
    if (err == 0 && settings.otlp.url[0])
        err = clew__otlp_add(&settings);
    if (err == 0 && settings.otlp_metrics.url[0])
        err = clew__otlp_push_add(&settings);
    if (err == 0)
        err = clew__delivery_start();
    if (err == 0)
        err = clew_log_start(service, version);
    if (err >= 0 && settings.otlp_metrics.url[0])
        err = clew__otlp_push_start();
    if (err >= 0)
        err = clew__health_start();
    return err < 0 ? err : 0;
}

/* What there is to say about the start. */
static void report(void)
{
    for (size_t i = 0; i < settings.nwarnings; i++)
        clew_warn("configuration", clew_kv("warning", (const char *)settings.warnings[i]));
    clew__management_warn();
    clew_debug("started", clew_kv("management_port", clew__management_port()),
               clew_kv("loki", (bool)(settings.loki_url[0] != '\0')),
               clew_kv("otlp_traces", (bool)(settings.otlp.url[0] != '\0')),
               clew_kv("otlp_metrics", (bool)(settings.otlp_metrics.url[0] != '\0')));
}

/* Whoever held it is not here. */
static void in_child(void)
{
    pthread_mutex_init(&stop_lock, NULL);
}

int clew_start(const char *service, const char *version)
{
    int err;

    if (state == RUNNING)
        return 1;
    if (state == STOPPED)
        return clew_set_error(-ESHUTDOWN, "Clewline was stopped and cannot start again");
    err = start_parts(service, version);
    if (err < 0) {
        clew__otlp_push_stop();
        clew__delivery_stop(clew__now_ns());
        clew__management_stop();
        return err;
    }
    if (settings.metrics)
        clew__service_metrics_name(clew_service_name(), clew_service_version());
    owner = getpid();
    state = RUNNING;
    (void)atexit(clew_stop);
    (void)pthread_atfork(NULL, NULL, in_child);
    report();
    return 0;
}

static uint64_t deadline_in(unsigned timeout_ms)
{
    return clew__now_ns() + timeout_ms * UINT64_C(1000000);
}

int clew_flush(unsigned timeout_ms)
{
    uint64_t deadline = deadline_in(timeout_ms), lost = clew__delivery_lost();
    int err = clew_log_flush(timeout_ms);

    clew__otlp_push_now();
    if (err == 0 || err == -ESRCH)
        err = clew__delivery_flush(deadline);
    return err == 0 && clew__delivery_lost() != lost ? 1 : err;
}

/* stop_lock is held. Another process, forked off, has a log and exporters of
 * its own; the management server is its parent's. */
static int stop_parts(unsigned timeout_ms)
{
    uint64_t deadline = deadline_in(timeout_ms), lost = clew__delivery_lost();
    bool serves = owner == getpid();
    int log_err, err;

    clew_drain();
    if (serves)
        clew__health_stop(0); /* no new checks */
    clew__rules_stop();
    log_err = clew_log_shutdown(timeout_ms);
    clew__otlp_push_stop();
    err = clew__delivery_stop(deadline);
    if (serves) {
        clew__management_stop();
        clew__health_stop(deadline);
    }
    if (err < 0 || log_err < 0)
        return -ETIMEDOUT;
    return clew__delivery_lost() != lost ? 1 : 0;
}

int clew_shutdown(unsigned timeout_ms)
{
    int err = 0;

    pthread_mutex_lock(&stop_lock);
    if (state == RUNNING) {
        state = STOPPED;
        err = stop_parts(timeout_ms);
    }
    pthread_mutex_unlock(&stop_lock);
    return err;
}

void clew_stop(void)
{
    (void)clew_shutdown((unsigned)settings.shutdown_timeout_ms);
}

uint16_t clew_management_port(void)
{
    return clew__management_port();
}

uint16_t clew_metrics_port(void)
{
    return clew__metrics_port();
}
