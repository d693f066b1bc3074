/* SPDX-License-Identifier: Apache-2.0
 * A kind of receiver (Slack, PagerDuty, …) is one file that fills one struct
 * clew__receiver_ops: how it is configured, how a page looks, what an answer
 * means. When to page, whom, in which order and how often is not its business.
 * The operations keep no state outside the integration: MT-Safe per object, and
 * an integration does not change once it is configured. */
#ifndef CLEW_ALERTBRIDGE_RECEIVER_H
#define CLEW_ALERTBRIDGE_RECEIVER_H

#include "page.h"
#include "template.h"

#include <buf.h>
#include <yaml_tree.h>

struct clew__config;
struct clew__integration;
struct clew__sending;
struct clew__tls_files;

enum clew__verdict_kind {
    CLEW__DONE,      /* delivered */
    CLEW__RETRY,     /* not now */
    CLEW__PERMANENT, /* never; it becomes a dead letter */
    CLEW__LATER,     /* nothing was asked: it is too early for that. wait_seconds says how
                        much; wait_all: too early for every page to this target */
};

struct clew__verdict {
    enum clew__verdict_kind kind;
    char reason[48];     /* a word for logs and the store; holds nothing of the page */
    double wait_seconds; /* what the far side asked for, < 0: nothing */
    bool wait_all;       /* the wait holds for every page to this target */
};

/* What came back. */
struct clew__answer {
    unsigned status;         /* of HTTP or SMTP; 0: no answer, problem says why */
    const char *problem;     /* "" when there was an answer */
    const char *retry_after; /* the header's text, "" when absent */
    const char *body;        /* cut at 64 KiB, NUL-terminated */
    int64_t now;             /* for dates in retry_after */
};

/* How mail travels: envelope and login. Borrowed from the integration. */
struct clew__mail_route {
    const char *from;
    const char *const *to;           /* addresses, NULL-terminated */
    const char *username, *password; /* "": no login */
    const char *ca_file;             /* "": the system's */
    bool require_tls;                /* STARTTLS, with a certificate that is checked */
};

/* Takes a further header line of an HTTP request. */
typedef void clew__add_header(void *arg, const char *name, const char *value);

struct clew__receiver_ops {
    const char *kind;        /* "slack"; the configuration's list is <kind>_configs */
    bool incidents;          /* trigger and resolve of an incident, in strict order per
                                incident; false: a message per change, in order per target */
    bool send_resolved;      /* the default */
    bool apart;              /* of messages: those of one incident are in order, and do not
                                wait for those of others */
    unsigned actions;        /* 1u << action: those that it takes besides trigger and
                                resolve; others are never queued for it */
    const char *const *keys; /* of the configuration, NULL-terminated */

    /* Reads the kind's own keys and sets url, target, off and options. */
    int (*configure)(struct clew__integration *self, struct clew__yaml_node node);
    void (*release)(void *options);
    /* Appends the request's body. returns 0, -ENOMEM, -E2BIG */
    int (*render)(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body);
    /* What an HTTP request needs besides a JSON body: a login, a signature made
     * over the body now. NULL: nothing. */
    void (*headers)(const struct clew__integration *self, const struct clew__buf *body, int64_t now,
                    clew__add_header *add, void *arg);
    struct clew__verdict (*verdict)(const struct clew__answer *answer);
    /* Instead of both: makes the whole attempt (delivery/sending.h); render() is a
     * preview then. NULL: one POST of what render() wrote. */
    struct clew__verdict (*send)(struct clew__sending *sending);
};

#define CLEW__DEDUP_LABELS_MAX 16u

/* One entry of a receiver's <kind>_configs. */
struct clew__integration {
    const struct clew__receiver_ops *ops;
    const char *receiver; /* its name */
    unsigned index;       /* among those of its kind there */
    bool send_resolved;
    bool per_alert;      /* an incident is one alert; false: a whole group, or */
    char **dedup_labels; /* all alerts with the same values of these; NULL-terminated, or NULL */
    bool skip_ended;     /* no trigger of an incident that ended before it could be sent */
    bool off;            /* its secret or address is empty */
    unsigned per_minute; /* so many requests in any minute; 0: no limit */
    char *url;           /* secret */
    char target[96];     /* "<kind>:<digest>": names the far side without telling the secret */
    void *options;       /* the kind's own */
    const struct clew__tls_files *tls;   /* of HTTP; NULL: the system's CAs, no certificate */
    const struct clew__mail_route *mail; /* url is SMTP's; NULL: HTTP */
};

extern const struct clew__receiver_ops clew__slack;
extern const struct clew__receiver_ops clew__slack_bot; /* an entry of slack_configs with a token */
extern const struct clew__receiver_ops clew__pagerduty;
extern const struct clew__receiver_ops clew__pagerduty_change;
extern const struct clew__receiver_ops clew__webhook;
extern const struct clew__receiver_ops clew__teams;
extern const struct clew__receiver_ops clew__email;

/* All kinds that a receiver lists, NULL-terminated. */
extern const struct clew__receiver_ops *const clew__receiver_kinds[];
/* The kind of this name, NULL when there is none. */
const struct clew__receiver_ops *clew__receiver_kind(const char *kind);

static inline bool clew__receiver_takes(const struct clew__receiver_ops *ops,
                                        enum clew__action action)
{
    return action == CLEW__ACTION_TRIGGER || action == CLEW__ACTION_RESOLVE ||
           (ops->actions & 1u << action) != 0;
}

/* "<kind>:<digest of url and a second part>" into self->target. */
void clew__integration_name_target(struct clew__integration *self, const char *second);

/* The verdict by status alone: 2xx done; no answer, 408, 425, 429 and 5xx retry;
 * everything else permanent. Reason "http_404", or the problem's word. */
struct clew__verdict clew__verdict_of_status(const struct clew__answer *answer);

/* Seconds asked for by a Retry-After (RFC 9110, section 10.2.3): a number or an
 * HTTP date; < 0 when it says nothing that can be understood. */
double clew__retry_after_seconds(const char *text, int64_t now);

#endif
