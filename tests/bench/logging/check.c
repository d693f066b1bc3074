/* SPDX-License-Identifier: Apache-2.0
 * Reads what the loggers wrote: how many lines, which order ids, what a line
 * consists of. */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const line_keys[] = {
    "{\"timestamp\":\"2",
    "\"level\":\"",
    "\"service\":\"bench\"",
    "\"request_id\":\"",
    "\"correlation_id\":\"",
    "\"trace_id\":\"",
    "\"span_id\":\"",
    "\"message\":\"Order placed\"",
    "\"context\":{\"order_id\":",
    "\"symbol\":\"ACME\"",
    "\"amount\":100.25",
    "\"ok\":true}",
    "\"source\":{\"file\":\"",
    "\"line\":",
    "\"function\":\"peer_log\"}}",
};

const char *bench_line_lacks(const char *line)
{
    for (size_t i = 0; i < sizeof(line_keys) / sizeof(line_keys[0]); i++)
        if (!strstr(line, line_keys[i]))
            return line_keys[i];
    return NULL;
}

long bench_count_lines(const char *path)
{
    static char buf[1 << 18];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long lines = 0;
    ssize_t n;

    if (fd < 0)
        return 0;
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
            lines++;
    close(fd);
    return lines;
}

/* The order id of a whole line, -1 for a line that is not whole. */
static long long id_of(const char *line, size_t len)
{
    static const char key[] = "\"order_id\":";
    const char *id = strstr(line, key);

    /* Two lines that ran into each other have the beginning twice. */
    if (len < 20 || strncmp(line, "{\"timestamp\":", 13) != 0 || !id ||
        strcmp(line + len - 3, "}}\n") != 0 || strstr(line + 1, "{\"timestamp\":"))
        return -1;
    return atoll(id + sizeof(key) - 1);
}

bool bench_check_ids(const char *path, uint64_t last, struct seen *ret)
{
    unsigned char *seen = calloc(last + 2, 1);
    FILE *f = fopen(path, "re");
    size_t size = 0;
    char *line = NULL;
    ssize_t len;

    *ret = (struct seen){0, 0, 0};
    while (f && seen && (len = getline(&line, &size, f)) > 0) {
        long long id = id_of(line, (size_t)len);

        /* One more than was counted may have been logged. */
        if (id < 0 || (uint64_t)id > last + 1)
            ret->torn++;
        else if (seen[id])
            ret->twice++;
        else
            seen[id] = 1;
    }
    for (uint64_t i = 0; f && seen && i <= last; i++)
        ret->lost += !seen[i];
    free(line);
    free(seen);
    if (f)
        fclose(f);
    return f && seen;
}
