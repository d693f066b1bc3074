/* SPDX-License-Identifier: Apache-2.0
 * What the environment says about exporting. */
#ifndef CLEW_SETTINGS_H
#define CLEW_SETTINGS_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define CLEW__URL_MAX 1024
#define CLEW__SECRET_MAX 4096
#define CLEW__BASIC_MAX 2048 /* user:password in base64 */
#define CLEW__PATH_MAX 1024
#define CLEW__NETWORKS_MAX 64
#define CLEW__WARNINGS_MAX 8

/* Where one signal goes, and how; url empty: nowhere. */
struct clew__otlp_settings {
    char url[CLEW__URL_MAX];
    enum clew__otlp_protocol {
        CLEW__OTLP_HTTP_PROTOBUF,
        CLEW__OTLP_HTTP_JSON,
        CLEW__OTLP_GRPC
    } protocol;
    char headers[CLEW__SECRET_MAX]; /* "Name: value\n…" */
    char certificate[CLEW__URL_MAX];
    char client_certificate[CLEW__URL_MAX];
    char client_key[CLEW__URL_MAX];
    bool gzip;
    long timeout_ms;
};

/* Where a port listens, and what the variable is called that says so. */
struct clew__listen {
    const char *variable; /* static; NULL: off */
    struct sockaddr_storage address;
};

struct clew__management_settings {
    struct clew__listen pages;   /* health, levels, buildinfo; and metrics … */
    struct clew__listen metrics; /* … unless they have a port of their own */
    char certificate[CLEW__PATH_MAX], key[CLEW__PATH_MAX]; /* PEM files; "": no TLS */
    char client_ca[CLEW__PATH_MAX];                        /* "": clients need no certificate */
    char basic[CLEW__BASIC_MAX];   /* user:password in base64, "" for none */
    char bearer[CLEW__SECRET_MAX]; /* "" for none */
    size_t nallowed;               /* 0: from anywhere */
    struct clew__network allowed[CLEW__NETWORKS_MAX];
};

struct clew__settings {
    bool metrics; /* false: nothing is counted by itself, nor shown */
    struct clew__management_settings management;
    /* Loki; loki_url empty: off */
    char loki_url[CLEW__URL_MAX];
    char loki_labels[2048]; /* , k="v" … to follow service="…" */
    char loki_tenant[151];
    char loki_authorization[CLEW__SECRET_MAX]; /* header value, "" for none */
    /* OTLP */
    struct clew__otlp_settings otlp, otlp_metrics; /* of traces, of metrics */
    long metrics_interval_ms;
    long bsp_delay_ms;
    long bsp_timeout_ms;  /* of one batch with its repeats; 0: none was set */
    size_t bsp_batch;     /* records a request holds at most */
    size_t bsp_batch_due; /* records that need not wait any longer */
    size_t bsp_queue;     /* records */
    /* all */
    size_t queue_bytes;
    long shutdown_timeout_ms;
    /* what was passed over, to be logged */
    char warnings[CLEW__WARNINGS_MAX][192];
    size_t nwarnings;
};

/* 0, or -EINVAL with clew_last_error() when a CLEW_ variable is wrong. A wrong
 * OTEL_ number is passed over with a warning, as the specification wants. */
int clew__settings_read(struct clew__settings *ret);

#endif
