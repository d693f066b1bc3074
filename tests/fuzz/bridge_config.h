/* SPDX-License-Identifier: Apache-2.0
 * A configuration of the alert bridge from memory. */
#ifndef CLEW_FUZZ_BRIDGE_CONFIG_H
#define CLEW_FUZZ_BRIDGE_CONFIG_H

#include <config/config.h>

/* As clew__config_load(); the file's name in errors is *ret_file (borrowed). */
int fuzz_load_config(const void *text, size_t len, void (*warn)(const char *text),
                     const char **ret_file, struct clew__config **ret_config);

#endif
