/* SPDX-License-Identifier: Apache-2.0
 * The commands that look into the store of a bridge, running or not, queue its
 * dead letters again, or take an alert in hand. They need the store's file, not the bridge's
 * address. */
#ifndef CLEW_ALERTBRIDGE_COMMANDS_H
#define CLEW_ALERTBRIDGE_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

/* All print for people, or one JSON object.
 * returns  0; 1 done, but there was nothing (the alert is not known, nothing was
 *          replayed: stderr says why); -errno, clew_last_error() */

int clew__command_explain(const char *storage, const char *fingerprint, bool json, FILE *out);
/* state: "queued", "dead", NULL for all */
int clew__command_deliveries(const char *storage, const char *state, bool json, FILE *out);
/* id: a delivery's number, NULL: all dead letters */
int clew__command_replay(const char *storage, const char *id, bool json, FILE *out);

/* Acknowledges what fires with this fingerprint. */
int clew__command_ack(const char *storage, const char *fingerprint, bool json, FILE *out);

#endif
