/* SPDX-License-Identifier: Apache-2.0
 * alertbridge route-test: who would be told, and why. */
#ifndef CLEW_ALERTBRIDGE_ROUTE_TEST_H
#define CLEW_ALERTBRIDGE_ROUTE_TEST_H

#include <config/config.h>

#include <stdio.h>

/* Reads a webhook body from file and prints to out, per alert, who is told when, if
 * it fires at `now`. returns 0, -errno */
int clew__route_test(const struct clew__config *config, const char *file, int64_t now, FILE *out);

#endif
