/* SPDX-License-Identifier: Apache-2.0
 * Routing without sending: the body goes through the same checks and the same
 * tree as in the daemon. Output is for people; labels are printed as JSON, so no
 * control character reaches a terminal. */
#include "route_test.h"

#include "preview.h"

#include <escalation/plan.h>
#include <intake/notification.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_file(const char *file, struct clew__buf *body)
{
    FILE *stream = fopen(file, "re");
    char *room;
    size_t n = 1;

    if (!stream)
        return clew_set_error(-errno, "%s: %s", file, strerror(errno));
    while (n > 0 && (room = clew__buf_room(body, 65536)) != NULL) {
        n = fread(room, 1, 65536, stream);
        body->len += n;
    }
    n = (size_t)ferror(stream);
    (void)fclose(stream);
    return n || body->failed ? clew_set_error(-EIO, "%s: cannot be read, or is too large", file)
                             : 0;
}

static void print_receiver(const struct clew__config *config, const char *name, FILE *out)
{
    const struct clew__receiver *receiver = clew__config_receiver(config, name);

    (void)fprintf(out, "%s: ", name);
    for (size_t i = 0; i < receiver->n; i++)
        (void)fprintf(out, "%s%s[%u]%s", i ? ", " : "", receiver->integrations[i].ops->kind,
                      receiver->integrations[i].index,
                      receiver->integrations[i].off ? " (off)" : "");
    if (receiver->n == 0)
        (void)fprintf(out, "nobody");
}

/* Who comes after the first page, until it begins again. */
static void print_steps(const struct clew__config *config, const struct clew__route *hit,
                        int64_t now, FILE *out)
{
    struct clew__place place = {0};
    struct clew__due due;
    bool more;

    while ((more = clew__plan_next(hit, place, now, &due)) && due.place.round == 0) {
        (void)fprintf(out, "    %s (", due.why);
        print_receiver(config, clew__plan_receiver(hit, due.place), out);
        (void)fprintf(out, ")\n");
        place = due.place;
    }
    if (more)
        (void)fprintf(out, "    %s, and so on\n", due.why);
}

static void print_hit(const struct clew__config *config, const struct clew__route *hit, int64_t now,
                      FILE *out)
{
    struct clew__due due;

    (void)fprintf(out, "  ");
    print_receiver(config, hit->receiver, out);
    (void)fprintf(out, "; because of %s\n", hit->why);
    clew__plan_first(hit, now, &due);
    (void)fprintf(out, "    %s\n", due.why);
    print_steps(config, hit, now, out);
}

int clew__route_test(const struct clew__config *config, const char *file, int64_t now, FILE *out)
{
    struct clew__notification notification;
    struct clew__buf body;
    char reason[512];
    int r;

    clew__buf_init(&body, config->webhook.max_body_bytes + 65536);
    r = read_file(file, &body);
    if (r == 0 && body.len > config->webhook.max_body_bytes)
        r = clew_set_error(-EFBIG, "%s: larger than webhook.max_body_bytes", file);
    if (r == 0) {
        r = clew__notification_parse(&notification, body.data, body.len);
        (void)snprintf(reason, sizeof(reason), "%s", clew_last_error());
        if (r < 0)
            r = clew_set_error(r, "%s: %s", file, reason);
    }
    clew__buf_done(&body);
    if (r < 0)
        return r;
    for (size_t i = 0; i < notification.nalerts; i++) {
        const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
        size_t n = clew__route_match(config->route, notification.alerts[i].labels, hits);
        char *labels = json_dumps(notification.alerts[i].labels, JSON_COMPACT | JSON_SORT_KEYS);

        (void)fprintf(out, "alerts[%zu] %s %s\n", i,
                      notification.alerts[i].firing ? "firing" : "resolved", labels ? labels : "");
        free(labels);
        for (size_t j = 0; j < n; j++)
            print_hit(config, hits[j], now, out);
    }
    r = clew__preview(config, &notification, now, out);
    clew__notification_done(&notification);
    return r;
}
