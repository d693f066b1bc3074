/* SPDX-License-Identifier: Apache-2.0
 *
 * `clew ports`: the ports of services that have a base port each (health at +1,
 * metrics at +1000), and which of them collide on one machine.
 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICES_MAX 1000

static const char usage[] =
    "usage: clew ports NAME=BASE|NAME:PORT...\n"
    "\n"
    "Prints the ports of services on one machine. NAME=BASE is a service with\n"
    "CLEW_BASE_PORT=BASE: its own port, health at BASE+1, metrics at BASE+1000.\n"
    "NAME:PORT is anything else that listens, prometheus:9090 say. Ports that two of\n"
    "them want are named.\n"
    "\n"
    "Exit status: 0; 1 when ports collide; 64 for wrong usage.\n";

struct port {
    unsigned number;
    const char *service;
    int service_len;
    const char *what;
};

static int by_number(const void *a, const void *b)
{
    const struct port *x = a, *y = b;

    return x->number != y->number ? (x->number < y->number ? -1 : 1)
                                  : (x->service > y->service) - (x->service < y->service);
}

/* NAME=BASE or NAME:PORT; how many ports it has, 0 when it is neither. */
static size_t read_service(const char *text, struct port ret[3])
{
    size_t name = strcspn(text, "=:");
    const char *digits = text + name + (text[name] != '\0');
    size_t n = strspn(digits, "0123456789");
    unsigned long base = n && n <= 5 && !digits[n] ? strtoul(digits, NULL, 10) : 0;
    bool is_service = text[name] == '=';

    if (name == 0 || name > 64 || base == 0 || base > (is_service ? 64535 : 65535))
        return 0;
    ret[0] = (struct port){(unsigned)base, text, (int)name, is_service ? "service" : "port"};
    ret[1] = (struct port){(unsigned)base + 1, text, (int)name, "health"};
    ret[2] = (struct port){(unsigned)base + 1000, text, (int)name, "metrics"};
    return is_service ? 3 : 1;
}

/* The ports are in order; how many numbers are wanted twice or more. */
static size_t print_collisions(const struct port *ports, size_t n)
{
    size_t collisions = 0;

    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && ports[next].number == ports[i].number; next++)
            ;
        if (next == i + 1)
            continue;
        collisions++;
        printf("collision: %u is", ports[i].number);
        for (size_t k = i; k < next; k++)
            printf("%s %.*s's %s", k == i ? "" : " and", ports[k].service_len, ports[k].service,
                   ports[k].what);
        putchar('\n');
    }
    return collisions;
}

int cli_ports(int argc, char **argv)
{
    static struct port ports[3 * SERVICES_MAX];
    size_t n = 0, collisions;

    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || argc > SERVICES_MAX) {
        fputs(usage, stderr);
        return EXIT_WRONG_USAGE;
    }
    for (int i = 1; i < argc; i++) {
        size_t got = read_service(argv[i], &ports[n]);

        if (got == 0) {
            fprintf(stderr,
                    "clew: \"%.80s\": use NAME=BASE, with a base from 1 to 64535, or "
                    "NAME:PORT\n",
                    argv[i]);
            return EXIT_WRONG_USAGE;
        }
        n += got;
    }
    qsort(ports, n, sizeof(ports[0]), by_number);
    for (size_t i = 0; i < n; i++)
        printf("%5u  %.*s %s\n", ports[i].number, ports[i].service_len, ports[i].service,
               ports[i].what);
    collisions = print_collisions(ports, n);
    return collisions ? EXIT_NOTHING : 0;
}
