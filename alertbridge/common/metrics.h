/* SPDX-License-Identifier: Apache-2.0
 * The bridge's own metrics. All functions are MT-Safe and never block. */
#ifndef CLEW_ALERTBRIDGE_METRICS_H
#define CLEW_ALERTBRIDGE_METRICS_H

#include <receivers/receiver.h>

#include <stdint.h>

struct clew__store;

/* Makes the metrics; the queue's are read from store at each scrape: clew_stop()
 * comes before clew__store_close(). returns 0, -errno */
int clew__metrics_init(struct clew__store *store);

/* Whether the newest reload of the configuration was taken. */
void clew__metrics_reload(bool taken);
/* result: "accepted", "invalid", "too_large", "unauthorized", "unavailable"; seconds
 * from the first byte to the answer */
void clew__metrics_webhook(const char *result, double seconds);
/* The store was damaged at this start, and is a new one with what could be saved. */
void clew__metrics_salvaged(void);
/* Acknowledged webhooks that can't be read any more. */
void clew__metrics_journal_lost(uint64_t n);
/* status: "firing", "resolved" */
void clew__metrics_alerts(const char *status, uint64_t n);
/* delay_seconds: from the webhook to this answer; negative: not a trigger */
void clew__metrics_delivery(const char *receiver, const char *kind, enum clew__verdict_kind verdict,
                            double delay_seconds);

/* A timer of this kind has fired, so long after its time. */
void clew__metrics_timer(const char *kind, double late_seconds);

/* A timer of a route had its receiver told about n alerts. outcome: "paged"; "over":
 * they had ended or somebody had them in hand; "held": not within the hours;
 * "suppressed": Alertmanager says that it is silenced or inhibited, or has it no longer */
void clew__metrics_escalation(const char *receiver, const char *outcome, uint64_t n);

/* result: "answered", "failed": an Alertmanager that was asked; "closed": alerts that
 * none of them has any more */
void clew__metrics_reconcile(const char *result, uint64_t n);

#endif
