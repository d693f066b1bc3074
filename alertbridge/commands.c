/* SPDX-License-Identifier: Apache-2.0
 * The store answers in JSON; what people read is made of that, so both forms say
 * the same. A reader opens the file read-only beside the bridge's writer (SQLite's
 * WAL lets it), a replay is one short transaction that the bridge notices within
 * a second. Labels and ids are printed as JSON: no control character of theirs
 * reaches a terminal. */
#include "commands.h"

#include <common/instant.h>
#include <store/store.h>

#include <buf.h>
#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_MAX (64u << 20)

/* Runs work that appends to json, on the file. */
static int read_store(const char *storage, clew__store_work *work, void *arg)
{
    struct clew__db db;
    int r = clew__db_open_beside(&db, storage, false);

    if (r < 0)
        return r;
    r = work(&db, arg);
    clew__db_close(&db);
    return r;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static long long number_of(json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_json(json_t *object, const char *key, FILE *out)
{
    char *text =
        json_dumps(json_object_get(object, key), JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

    (void)fprintf(out, "%s", text ? text : "");
    free(text);
}

/* Whole seconds are enough for people. */
struct second {
    char text[32];
};
static struct second second_of(json_t *object, const char *key)
{
    const char *text = text_of(object, key);
    struct second second;

    (void)snprintf(second.text, sizeof(second.text), "%.19s%s", text, strlen(text) > 19 ? "Z" : "");
    return second;
}

static void print_alert(json_t *alert, FILE *out)
{
    long long repeats = number_of(alert, "repeats");

    (void)fprintf(out, "%s since %s", text_of(alert, "status"), second_of(alert, "startsAt").text);
    if (*text_of(alert, "endsAt"))
        (void)fprintf(out, " until %s", second_of(alert, "endsAt").text);
    (void)fprintf(out, "; first seen %s, repeated %lld time%s", second_of(alert, "firstSeen").text,
                  repeats, repeats == 1 ? "" : "s");
    if (*text_of(alert, "acknowledgedBy")) {
        (void)fprintf(out, "\n  in hand since %s: ", second_of(alert, "acknowledgedAt").text);
        print_json(alert, "acknowledgedBy", out);
    }
    (void)fprintf(out, "\n  labels ");
    print_json(alert, "labels", out);
    (void)fprintf(out, "\n  annotations ");
    print_json(alert, "annotations", out);
    (void)fprintf(out, "\n");
}

static void print_decision(json_t *decision, FILE *out)
{
    (void)fprintf(out, "  %s %-9s %s", second_of(decision, "at").text,
                  text_of(decision, "decision"), text_of(decision, "reason"));
    if (*text_of(decision, "target"))
        (void)fprintf(out, " (to %s)", text_of(decision, "target"));
    if (*text_of(decision, "requestId"))
        (void)fprintf(out, " [request %s]", text_of(decision, "requestId"));
    (void)fprintf(out, "\n");
}

static void print_delivery(json_t *delivery, FILE *out)
{
    long long attempts = number_of(delivery, "attempts");

    (void)fprintf(out, "  %-6lld %s %-6s %-7s %s/%s, %lld fired, %lld resolved; %lld attempt%s",
                  number_of(delivery, "id"), second_of(delivery, "createdAt").text,
                  text_of(delivery, "state"), text_of(delivery, "action"),
                  text_of(delivery, "receiver"), text_of(delivery, "integration"),
                  number_of(delivery, "fired"), number_of(delivery, "resolved"), attempts,
                  attempts == 1 ? "" : "s");
    if (*text_of(delivery, "reason"))
        (void)fprintf(out, ", %s", text_of(delivery, "reason"));
    if (*text_of(delivery, "nextAttemptAt"))
        (void)fprintf(out, ", next %s", second_of(delivery, "nextAttemptAt").text);
    if (*text_of(delivery, "finishedAt"))
        (void)fprintf(out, ", ended %s", second_of(delivery, "finishedAt").text);
    (void)fprintf(out, "\n");
}

static void print_waiting(json_t *waiting, FILE *out)
{
    (void)fprintf(out, "  %s ", second_of(waiting, "at").text);
    print_json(waiting, "receiver", out);
    (void)fprintf(out, ", escalation step %lld, repeat %lld%s\n", number_of(waiting, "step"),
                  number_of(waiting, "repeat"),
                  json_is_true(json_object_get(waiting, "digest")) ? ", with the digest" : "");
}

static void print_list(json_t *root, const char *key, void (*print)(json_t *item, FILE *out),
                       FILE *out)
{
    json_t *list = json_object_get(root, key), *item;
    size_t i;

    json_array_foreach(list, i, item) print(item, out);
}

static void print_explanation(json_t *root, FILE *out)
{
    (void)fprintf(out, "alert %s\n", text_of(root, "fingerprint"));
    print_list(root, "alerts", print_alert, out);
    (void)fprintf(out, "decisions:\n");
    print_list(root, "decisions", print_decision, out);
    (void)fprintf(out, "deliveries:\n");
    print_list(root, "deliveries", print_delivery, out);
    if (json_array_size(json_object_get(root, "waiting")))
        (void)fprintf(out, "to be told yet, unless it ends or somebody acknowledges:\n");
    print_list(root, "waiting", print_waiting, out);
}

static void print_deliveries(json_t *root, FILE *out)
{
    print_list(root, "deliveries", print_delivery, out);
}

/* Prints and releases what a view gave. */
static int print(struct clew__buf *buf, bool json, void (*for_people)(json_t *root, FILE *out),
                 FILE *out)
{
    size_t len = 0;
    char *text = clew__buf_take(buf, &len);
    json_t *root = text && !json ? json_loadb(text, len, 0, NULL) : NULL;
    int r = 0;

    if (json && text)
        (void)fwrite(text, 1, len, out);
    else if (root)
        for_people(root, out);
    else
        r = clew_set_error(-ENOMEM, "out of memory");
    json_decref(root);
    free(text);
    if (r == 0 && fflush(out) != 0)
        r = clew_set_error(-errno, "the output cannot be written: %s", strerror(errno));
    return r;
}

static bool is_fingerprint(const char *text)
{
    return *text && strlen(text) <= CLEW__FINGERPRINT_MAX &&
           strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

int clew__command_explain(const char *storage, const char *fingerprint, bool json, FILE *out)
{
    struct clew__buf buf;
    struct clew__explain explain = {.fingerprint = fingerprint, .json = &buf};
    int r;

    if (!is_fingerprint(fingerprint))
        return clew_set_error(-EINVAL, "a fingerprint is %u hex digits at most",
                              CLEW__FINGERPRINT_MAX);
    clew__buf_init(&buf, OUTPUT_MAX);
    r = read_store(storage, clew__store_explain, &explain);
    if (r == 0 && !explain.known) {
        (void)fprintf(stderr, "alertbridge: the store knows no alert %s\n", fingerprint);
        r = 1;
    }
    if (r == 0)
        return print(&buf, json, print_explanation, out);
    clew__buf_done(&buf);
    return r;
}

int clew__command_deliveries(const char *storage, const char *state, bool json, FILE *out)
{
    struct clew__buf buf;
    struct clew__view view = {.json = &buf, .state = state};
    int r;

    clew__buf_init(&buf, OUTPUT_MAX);
    r = read_store(storage, clew__store_view_deliveries, &view);
    if (r == 0)
        return print(&buf, json, print_deliveries, out);
    clew__buf_done(&buf);
    return r;
}

/* Runs work in one transaction of its own, beside the bridge. */
static int change_store(const char *storage, clew__store_work *work, void *arg)
{
    struct clew__db db;
    int r = clew__db_open_beside(&db, storage, true);

    if (r < 0)
        return r;
    r = clew__db_begin(&db);
    if (r == 0)
        r = work(&db, arg);
    if (r == 0)
        r = clew__db_commit(&db); /* else closing rolls back */
    clew__db_close(&db);
    return r;
}

int clew__command_replay(const char *storage, const char *id, bool json, FILE *out)
{
    char who[64];
    struct clew__replay work = {.now = clew__instant_now(), .who = who};
    int r;

    if (id) {
        if (!*id || strlen(id) > 18 || strspn(id, "0123456789") != strlen(id) ||
            (work.id = strtoll(id, NULL, 10)) == 0)
            return clew_set_error(-EINVAL, "a delivery's number was expected, or --dead");
    }
    (void)snprintf(who, sizeof(who), "by user %lu at the command line", (unsigned long)getuid());
    r = change_store(storage, clew__store_replay, &work);
    if (r < 0)
        return r;
    (void)fprintf(out, json ? "{\"replayed\":%llu,\"left\":%llu}\n" : "%llu replayed, %llu left\n",
                  (unsigned long long)work.nreplayed, (unsigned long long)work.nleft);
    if (work.nleft)
        (void)fprintf(stderr, "alertbridge: left are dead letters whose alert is over, or whose "
                              "incident was told something newer\n");
    else if (!work.nreplayed)
        (void)fprintf(stderr, "alertbridge: there is no such dead letter\n");
    return work.nreplayed ? 0 : 1;
}

int clew__command_ack(const char *storage, const char *fingerprint, bool json, FILE *out)
{
    char who[64];
    struct clew__by_hand work = {
        .fingerprint = fingerprint, .actor = who, .via = "command", .now = clew__instant_now()};
    int r;

    if (!is_fingerprint(fingerprint))
        return clew_set_error(-EINVAL, "a fingerprint is %u hex digits at most",
                              CLEW__FINGERPRINT_MAX);
    (void)snprintf(who, sizeof(who), "user %lu at the command line", (unsigned long)getuid());
    r = change_store(storage, clew__store_acknowledge, &work);
    if (r == -ENOENT) {
        (void)fprintf(stderr, "alertbridge: no alert %s fires\n", fingerprint);
        return 1;
    }
    if (r < 0)
        return r;
    (void)fprintf(out,
                  json ? "{\"acknowledged\":%llu,\"deliveries\":%llu}\n"
                       : "%llu acknowledged, %llu deliveries queued\n",
                  (unsigned long long)work.nalerts, (unsigned long long)work.ndeliveries);
    return 0;
}
