/* SPDX-License-Identifier: Apache-2.0
 * "HOST:PORT" to a socket address: an IPv4 or IPv6 literal, the latter in
 * brackets; an empty host means every interface. */
#ifndef CLEW_ADDRESS_H
#define CLEW_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* 0; -EINVAL when the text is no such address (names are not looked up). */
int clew__address_parse(const char *text, struct sockaddr_storage *ret);
bool clew__address_is_loopback(const struct sockaddr_storage *address);

#endif
