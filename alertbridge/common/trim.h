/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLEW_ALERTBRIDGE_TRIM_H
#define CLEW_ALERTBRIDGE_TRIM_H

/* Gives back the pages of programs and libraries that are as in their files: most were
 * needed by the start alone (the dynamic linker, the set-up of TLS), and what is needed
 * again is mapped again from the page cache. MT-Safe. */
void clew__trim_code(void);

#endif
