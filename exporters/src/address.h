/* SPDX-License-Identifier: Apache-2.0
 * "HOST:PORT" to a socket address: an IPv4 or IPv6 literal, the latter in
 * brackets; an empty host means every interface. Networks in CIDR notation. */
#ifndef CLEW_ADDRESS_H
#define CLEW_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* 0; -EINVAL when the text is no such address (names are not looked up). */
int clew__address_parse(const char *text, struct sockaddr_storage *ret);
bool clew__address_is_loopback(const struct sockaddr_storage *address);
/* The port, 0 for a family without one. */
uint16_t clew__address_port(const struct sockaddr_storage *address);
void clew__address_set_port(struct sockaddr_storage *address, uint16_t port);
/* "127.0.0.1:80", "[::1]:80" for people; cut to size. */
void clew__address_print(const struct sockaddr *address, char *ret_text, size_t size);
/* As IPv6; an IPv4 address is mapped (::ffff:a.b.c.d). */
void clew__address_bytes(const struct sockaddr *address, unsigned char ret[16]);

/* Of an IPv6 address; IPv4 networks are mapped ones. */
struct clew__network {
    unsigned char bytes[16];
    unsigned bits;
};

/* "10.0.0.0/8", "fd00::/8", "192.0.2.7"; what stands behind the prefix does not
 * count. 0; -EINVAL */
int clew__network_parse(const char *text, size_t len, struct clew__network *ret);
bool clew__network_has(const struct clew__network *network, const unsigned char address[16]);

#endif
