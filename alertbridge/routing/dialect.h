/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLEW_ALERTBRIDGE_DIALECT_H
#define CLEW_ALERTBRIDGE_DIALECT_H

/* Whether libc may be given a regular expression that was written for RE2: it means
 * the same, and does not grow without bound when it is compiled.
 * returns  0; -EINVAL, clew_last_error() says what to write instead */
int clew__dialect_check(const char *pattern);

#endif
