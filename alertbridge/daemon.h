/* SPDX-License-Identifier: Apache-2.0
 * The bridge as a service. */
#ifndef CLEW_ALERTBRIDGE_DAEMON_H
#define CLEW_ALERTBRIDGE_DAEMON_H

/* Runs with the configuration in file until SIGTERM or SIGINT. Errors are logged,
 * those of the start are printed too. For the main thread, once, before any other
 * thread. returns EXIT_SUCCESS, EXIT_FAILURE */
int clew__daemon_run(const char *file, const char *version);

#endif
