/* SPDX-License-Identifier: Apache-2.0
 * The notification goes the way that it would go in the daemon, on an empty store
 * in memory: so grouping, limits and everything else that decides about pages does it
 * here, and the preview cannot differ. Control characters do not reach a terminal. */
#include "preview.h"

#include <common/instant.h>
#include <store/store.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct preview {
    const struct clew__config *config;
    FILE *out;
    struct clew__db db;
    int64_t after; /* the last delivery that was not asked for */
};

static int apply(struct preview *preview, const struct clew__notification *of, bool before,
                 int64_t now)
{
    const struct clew__thread_of thread = {"", "", ""};
    struct clew__notification copy = *of;
    struct clew__apply work = {
        .config = preview->config, .notification = &copy, .thread = &thread, .now = now};
    int r;

    copy.alerts = calloc(of->nalerts + 1, sizeof(*copy.alerts));
    if (!copy.alerts)
        return clew_set_error(-ENOMEM, "out of memory");
    copy.nalerts = 0;
    for (size_t i = 0; i < of->nalerts; i++) {
        if (before && of->alerts[i].firing)
            continue;
        copy.alerts[copy.nalerts] = of->alerts[i];
        copy.alerts[copy.nalerts++].firing = of->alerts[i].firing || before;
    }
    r = clew__store_apply(&preview->db, &work);
    free(copy.alerts);
    return r;
}

/* Text for people, whatever is in it. */
static void print_text(FILE *out, const char *text, size_t len)
{
    (void)fputs("    ", out);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n')
            (void)fputs(i + 1 < len ? "\n    " : "\n", out);
        else if (c != '\r')
            (void)fputc((c < ' ' && c != '\t') || c == 0x7F ? '?' : c, out);
    }
    if (len == 0 || text[len - 1] != '\n')
        (void)fputc('\n', out);
}

static void print_body(FILE *out, const struct clew__buf *body)
{
    json_t *json = json_loadb(body->data ? body->data : "", body->len, 0, NULL);
    char *text;

    if (!json) {
        print_text(out, body->data ? body->data : "", body->len);
        return;
    }
    if (json_object_get(json, "routing_key"))
        (void)json_object_set_new(json, "routing_key", json_string("(secret)"));
    text = json_dumps(json, JSON_INDENT(2));
    if (text)
        print_text(out, text, strlen(text));
    free(text);
    json_decref(json);
}

static int print_page(struct preview *preview, int64_t id, const char *target)
{
    struct clew__load load = {.delivery_id = id};
    const struct clew__integration *integration;
    struct clew__buf body;
    int r = clew__store_load(&preview->db, &load);

    clew__buf_init(&body, 4u << 20);
    integration = r == 0 ? clew__config_integration(preview->config, target, load.receiver) : NULL;
    if (integration) {
        (void)fprintf(preview->out, "%s to %s, %s[%u]%s%s:\n", clew__action_text(load.page.action),
                      integration->receiver, integration->ops->kind, integration->index,
                      *load.page.note ? ", because " : "", load.page.note);
        r = integration->ops->render
                ? integration->ops->render(integration, preview->config, &load.page, &body)
                : 0;
        if (r == 0)
            print_body(preview->out, &body);
    }
    clew__buf_done(&body);
    clew__load_done(&load);
    return r;
}

static int next_page(struct preview *preview, int64_t *id, char target[96])
{
    struct clew__row *row = clew__db_prepare(
        &preview->db, "SELECT id, target FROM deliveries WHERE id > ?1 ORDER BY id LIMIT 1", "i",
        *id);
    int r = row ? clew__db_step(&preview->db, row) : -EIO;

    if (r == 1) {
        *id = clew__db_int(row, 0);
        (void)snprintf(target, 96, "%s", clew__db_text(row, 1));
    }
    clew__db_reset(row);
    return r;
}

static int run(struct preview *preview, const struct clew__notification *notification, int64_t now)
{
    char target[96];
    int r = clew__db_migrate(&preview->db);

    if (r == 0)
        r = clew__db_begin(&preview->db);
    if (r == 0)
        r = apply(preview, notification, true, now - CLEW__SECOND_NS);
    if (r == 0)
        r = clew__db_number(&preview->db, 0, &preview->after, "SELECT max(id) FROM deliveries", "");
    if (r == 0)
        r = apply(preview, notification, false, now);
    while (r == 0 && (r = next_page(preview, &preview->after, target)) == 1)
        r = print_page(preview, preview->after, target);
    return r;
}

int clew__preview(const struct clew__config *config, const struct clew__notification *notification,
                  int64_t now, FILE *out)
{
    struct preview preview = {.config = config, .out = out};
    int r = clew__db_open_memory(&preview.db);

    if (r < 0)
        return r;
    r = run(&preview, notification, now);
    clew__db_close(&preview.db);
    return r;
}
