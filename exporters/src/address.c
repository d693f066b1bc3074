/* SPDX-License-Identifier: Apache-2.0
 * See address.h. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int clew__address_parse(const char *text, struct sockaddr_storage *ret)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    struct addrinfo *found;
    char host[64];

    if (!colon || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535)
        return -EINVAL;
    if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return -EINVAL; /* IPv6 without brackets */
    }
    if (len >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    if (getaddrinfo(len ? host : NULL, colon + 1, &hints, &found) != 0)
        return -EINVAL;
    memset(ret, 0, sizeof(*ret));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

bool clew__address_is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

uint16_t clew__address_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return 0;
}

void clew__address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    else if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

void clew__address_print(const struct sockaddr *address, char *ret_text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        (void)snprintf(ret_text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        (void)snprintf(ret_text, size, "%s:%u", host, ntohs(v4->sin_port));
    }
}

static void map(unsigned char to[16], const void *ipv4)
{
    memset(to, 0, 10);
    memset(to + 10, 0xFF, 2);
    memcpy(to + 12, ipv4, 4);
}

void clew__address_bytes(const struct sockaddr *address, unsigned char ret[16])
{
    memset(ret, 0, 16);
    if (address->sa_family == AF_INET)
        map(ret, &((const struct sockaddr_in *)address)->sin_addr);
    else if (address->sa_family == AF_INET6)
        memcpy(ret, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
}

int clew__network_parse(const char *text, size_t len, struct clew__network *ret)
{
    const char *slash = memchr(text, '/', len);
    size_t host = slash ? (size_t)(slash - text) : len, digits = slash ? len - host - 1 : 0;
    unsigned widest = 128, bits = 0;
    char copy[INET6_ADDRSTRLEN];
    struct clew__network network;
    unsigned char ipv4[4];

    if (host >= sizeof(copy) || (slash && (digits < 1 || digits > 3)))
        return -EINVAL;
    memcpy(copy, text, host);
    copy[host] = '\0';
    if (inet_pton(AF_INET, copy, ipv4) == 1) {
        map(network.bytes, ipv4);
        widest = 32;
    } else if (inet_pton(AF_INET6, copy, network.bytes) != 1) {
        return -EINVAL;
    }
    for (size_t i = 0; i < digits; i++) {
        if (slash[1 + i] < '0' || slash[1 + i] > '9')
            return -EINVAL;
        bits = bits * 10 + (unsigned)(slash[1 + i] - '0');
    }
    if (bits > widest)
        return -EINVAL;
    network.bits = 128 - widest + (slash ? bits : widest);
    *ret = network;
    return 0;
}

bool clew__network_has(const struct clew__network *network, const unsigned char address[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    return memcmp(network->bytes, address, whole) == 0 &&
           (rest == 0 || ((network->bytes[whole] ^ address[whole]) >> (8 - rest)) == 0);
}
