/* SPDX-License-Identifier: Apache-2.0
 * What the readers of settings share. */
#ifndef CLEW_SETTINGS_PRIV_H
#define CLEW_SETTINGS_PRIV_H

#include "settings.h"

/* Empty counts as unset: NULL. */
const char *clew__settings_get(const char *name);
/* The signal's own variable before the general one. */
const char *clew__settings_get_either(const char *own, const char *general);
/* 0, or -EINVAL with clew_last_error() when it is too long. */
int clew__settings_copy(char *to, size_t size, const char *name, const char *value);
bool clew__settings_is_url(const char *text);
/* base with path behind it, one slash between; -EINVAL when it is no URL. */
int clew__settings_join_url(char *to, size_t size, const char *name, const char *base,
                            const char *path);
/* Logging has not started yet: said when it has. */
void clew__settings_warn_later(struct clew__settings *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A number of OpenTelemetry's: wrong is told and passed over. general: NULL for none. */
long clew__settings_otel_number(struct clew__settings *s, const char *own, const char *general,
                                long low, long high, long fallback);

/* NAME, or the first line of the file NAME_FILE names; "" when neither is set. */
int clew__settings_secret(char *to, size_t size, const char *name);
/* The same for a token, which goes into a header. */
int clew__settings_bearer(char *to, size_t size, const char *name);
/* user:password in base64, "" when no user is set. */
int clew__settings_basic(char to[CLEW__BASIC_MAX], const char *user_name,
                         const char *password_name);
/* true, false, 1, 0. */
int clew__settings_bool(const char *name, bool fallback, bool *ret);

/* settings_management.c. 0, or -EINVAL with clew_last_error(). */
int clew__settings_read_management(struct clew__management_settings *ret);
/* settings_otlp.c. 0, or -EINVAL with clew_last_error(). */
int clew__settings_read_otlp(struct clew__settings *s);

#endif
