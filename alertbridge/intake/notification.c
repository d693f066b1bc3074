/* SPDX-License-Identifier: Apache-2.0
 * From JSON to struct clew__notification. The body is untrusted: it is refused
 * as a whole, with the place of the first error, unless every alert in it can be
 * understood; fields that are not known are passed over, since version "4" grows
 * without changing its number. The top-level status is not read at all: it is
 * computed after Alertmanager cut the list, and says "resolved" while alerts that
 * were cut off still fire. No state; MT-Safe. */
#include "notification.h"

#include "check.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 512u /* labels, or annotations, of one alert */

/* Where in the body: "alerts[3].labels". */
struct place {
    char prefix[32];
    const char *field;
};

static int refuse(struct place place, const char *expected)
{
    return clew_set_error(-EINVAL, "%s%s: expected %s", place.prefix, place.field, expected);
}

static struct place at(const char *field)
{
    return (struct place){"", field};
}

static struct place in_alert(size_t i, const char *field)
{
    struct place place = {.field = field};

    (void)snprintf(place.prefix, sizeof(place.prefix), "alerts[%zu].", i);
    return place;
}

/* A string; "" when it is absent or null and not required. */
static int take_string(json_t *object, struct place place, bool required, const char **ret_text)
{
    json_t *value = json_object_get(object, place.field);

    if (!required && (!value || json_is_null(value))) {
        *ret_text = "";
        return 0;
    }
    if (!json_is_string(value))
        return refuse(place, "a string");
    if (required && json_string_length(value) == 0)
        return refuse(place, "a string that is not empty");
    *ret_text = json_string_value(value);
    return 0;
}

/* An object of strings. An absent one, or null as Go writes an empty map, becomes
 * an empty object within the body, so that the body owns it. */
static int take_map(json_t *object, struct place place, json_t **ret_map)
{
    json_t *map = json_object_get(object, place.field), *value;
    const char *name;

    if (!map || json_is_null(map)) {
        if (json_object_set_new(object, place.field, json_object()) != 0)
            return clew_set_error(-ENOMEM, "out of memory");
        *ret_map = json_object_get(object, place.field);
        return 0;
    }
    if (!json_is_object(map))
        return refuse(place, "an object of strings");
    if (json_object_size(map) > NAMES_MAX)
        return refuse(place, "at most 512 names");
    json_object_foreach(map, name, value)
    {
        if (!json_is_string(value))
            return refuse(place, "an object of strings");
        if (!*name)
            return refuse(place, "names that are not empty");
    }
    *ret_map = map;
    return 0;
}

static int take_time(json_t *object, struct place place, bool required, int64_t *ret_instant)
{
    const char *text;
    int r = take_string(object, place, required, &text);

    *ret_instant = 0;
    if (r < 0 || !*text)
        return r;
    return clew__instant_parse(text, ret_instant) ? 0 : refuse(place, "an RFC 3339 time");
}

static int take_alert(json_t *object, size_t i, struct clew__alert *alert)
{
    const char *status = "";
    int r;

    if (!json_is_object(object))
        return refuse(in_alert(i, ""), "an object");
    r = take_string(object, in_alert(i, "status"), true, &status);
    if (r < 0)
        return r;
    alert->firing = strcmp(status, "firing") == 0;
    if (!alert->firing && strcmp(status, "resolved") != 0)
        return refuse(in_alert(i, "status"), "\"firing\" or \"resolved\"");
    r = take_string(object, in_alert(i, "fingerprint"), true, &alert->fingerprint);
    if (r < 0)
        return r;
    if (strlen(alert->fingerprint) > CLEW__FINGERPRINT_MAX ||
        strspn(alert->fingerprint, "0123456789abcdefABCDEF") != strlen(alert->fingerprint))
        return refuse(in_alert(i, "fingerprint"), "hex digits");
    r = take_time(object, in_alert(i, "startsAt"), true, &alert->starts_at);
    if (r == 0)
        r = take_time(object, in_alert(i, "endsAt"), false, &alert->ends_at);
    if (r == 0)
        r = take_map(object, in_alert(i, "labels"), &alert->labels);
    if (r == 0)
        r = take_map(object, in_alert(i, "annotations"), &alert->annotations);
    if (r == 0)
        r = take_string(object, in_alert(i, "generatorURL"), false, &alert->generator_url);
    if (r == 0 && json_object_size(alert->labels) == 0)
        r = refuse(in_alert(i, "labels"), "at least one label");
    return r;
}

static int take_alerts(struct clew__notification *notification)
{
    json_t *list = json_object_get(notification->root, "alerts");
    int r = 0;

    if (!json_is_array(list))
        return refuse(at("alerts"), "an array");
    notification->alerts = calloc(json_array_size(list) + 1, sizeof(*notification->alerts));
    if (!notification->alerts)
        return clew_set_error(-ENOMEM, "out of memory");
    notification->nalerts = json_array_size(list);
    for (size_t i = 0; i < notification->nalerts && r == 0; i++)
        r = take_alert(json_array_get(list, i), i, &notification->alerts[i]);
    return r;
}

static int take_truncated(struct clew__notification *notification)
{
    json_t *value = json_object_get(notification->root, "truncatedAlerts");

    if (!value || json_is_null(value))
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return refuse(at("truncatedAlerts"), "a number that is not negative");
    notification->ntruncated = (uint64_t)json_integer_value(value);
    return 0;
}

static int take_all(struct clew__notification *notification)
{
    json_t *root = notification->root;
    const char *version = "";
    int r;

    if (!json_is_object(root))
        return clew_set_error(-EINVAL, "expected an object");
    r = take_string(root, at("version"), true, &version);
    if (r < 0)
        return r;
    if (strcmp(version, "4") != 0)
        return refuse(at("version"), "\"4\"");
    r = take_string(root, at("groupKey"), true, &notification->group_key);
    if (r == 0)
        r = take_string(root, at("receiver"), false, &notification->receiver);
    if (r == 0)
        r = take_string(root, at("externalURL"), false, &notification->external_url);
    if (r == 0)
        r = take_map(root, at("groupLabels"), &notification->group_labels);
    if (r == 0)
        r = take_map(root, at("commonLabels"), &notification->common_labels);
    if (r == 0)
        r = take_map(root, at("commonAnnotations"), &notification->common_annotations);
    if (r == 0)
        r = take_truncated(notification);
    return r == 0 ? take_alerts(notification) : r;
}

/* The body with an empty list of alerts. */
static json_t *load_frame(const char *body, size_t len, const struct clew__shape *shape)
{
    size_t before = (size_t)(shape->list.at - body), after = len - before - shape->list.len;
    char *frame = malloc(before + 2 + after);
    json_t *root = NULL;

    if (!frame)
        return NULL;
    memcpy(frame, body, before);
    memcpy(frame + before, "[]", 2);
    memcpy(frame + before + 2, shape->list.at + shape->list.len, after);
    root = json_loadb(frame, before + 2 + after, JSON_REJECT_DUPLICATES, NULL);
    free(frame);
    return root;
}

static void name_group(struct clew__notification *notification)
{
    clew__digest(&notification->group_key, 1, notification->group);
    clew__digest((const char *const[]){notification->external_url, notification->receiver,
                                       notification->group_key},
                 3, notification->source);
}

int clew__notification_parse(struct clew__notification *notification, const char *body, size_t len)
{
    json_error_t error;
    int r;

    *notification = (struct clew__notification){0};
    /* jansson bounds the nesting (2048) and refuses bad UTF-8 and \u0000. */
    notification->root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    if (!notification->root)
        return json_error_code(&error) == json_error_out_of_memory
                   ? clew_set_error(-ENOMEM, "out of memory")
                   : clew_set_error(-EINVAL, "line %d, column %d (byte %d): %s", error.line,
                                    error.column, error.position, error.text);
    r = take_all(notification);
    if (r < 0) {
        clew__notification_done(notification);
        return r;
    }
    name_group(notification);
    return 0;
}

int clew__notification_parse_lean(struct clew__notification *notification, const char *body,
                                  size_t len)
{
    struct clew__shape shape;
    struct clew__slice *slices;
    int r;

    if (!clew__notification_check(body, len, &shape))
        return clew__notification_parse(notification, body, len);
    *notification = (struct clew__notification){.lean = true};
    notification->root = load_frame(body, len, &shape);
    r = notification->root ? take_all(notification) : -ENOMEM;
    free(notification->alerts);
    notification->alerts = calloc(shape.nalerts + 1, sizeof(*notification->alerts));
    slices = calloc(shape.nalerts + 1, sizeof(*slices));
    if (r < 0 || !notification->alerts || !slices) {
        free(slices);
        clew__notification_done(notification);
        return clew_set_error(-ENOMEM, "out of memory");
    }
    clew__notification_slices(&shape, slices);
    notification->nalerts = shape.nalerts;
    for (size_t i = 0; i < shape.nalerts; i++) {
        notification->alerts[i].text = slices[i].at;
        notification->alerts[i].len = slices[i].len;
    }
    free(slices);
    name_group(notification);
    return 0;
}

/* "<fingerprint><8 digits of the digest of it and the labels>", as long as may be. */
static void pin_fingerprint(struct clew__alert *alert, const char *labels,
                            char ret_text[CLEW__FINGERPRINT_MAX + 1])
{
    char digest[CLEW__DIGEST_TEXT];

    clew__digest((const char *const[]){labels, alert->fingerprint}, 2, digest);
    (void)snprintf(ret_text, CLEW__FINGERPRINT_MAX + 1, "%.*s%.8s", (int)CLEW__FINGERPRINT_MAX - 8,
                   alert->fingerprint, digest);
    alert->fingerprint = ret_text;
}

int clew__notification_pin(struct clew__notification *notification, json_t *labels)
{
    const size_t each = CLEW__FINGERPRINT_MAX + 1;
    char *text = json_dumps(labels, JSON_COMPACT | JSON_SORT_KEYS);
    size_t room = text ? strlen(text) + strlen(notification->group_key) + 1 : 0;
    int r = 0;

    notification->pinned = text ? malloc(notification->nalerts * each + room) : NULL;
    if (!notification->pinned) {
        free(text);
        return clew_set_error(-ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < notification->nalerts && r == 0 && !notification->lean; i++) {
        pin_fingerprint(&notification->alerts[i], text, notification->pinned + i * each);
        r = json_object_update(notification->alerts[i].labels, labels);
    }
    if (r == 0)
        r = json_object_update(notification->common_labels, labels);
    /* The same group of another tenant is another group. */
    (void)snprintf(notification->pinned + notification->nalerts * each, room, "%s%s", text,
                   notification->group_key);
    notification->group_key = notification->pinned + notification->nalerts * each;
    name_group(notification);
    notification->pin = json_incref(labels);
    notification->pin_text = text;
    return r == 0 ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

int clew__notification_open(struct clew__notification *notification, size_t i)
{
    struct clew__alert *alert = &notification->alerts[i];
    int r;

    if (!notification->lean)
        return 0;
    alert->own = json_loadb(alert->text, alert->len, JSON_REJECT_DUPLICATES, NULL);
    r = alert->own ? take_alert(alert->own, i, alert) : -ENOMEM;
    if (r == 0 && notification->pin) {
        pin_fingerprint(alert, notification->pin_text,
                        notification->pinned + i * (CLEW__FINGERPRINT_MAX + 1));
        r = json_object_update(alert->labels, notification->pin);
    }
    if (r == 0)
        return 0;
    clew__notification_close(notification, i);
    return clew_set_error(-ENOMEM, "out of memory");
}

void clew__notification_close(struct clew__notification *notification, size_t i)
{
    struct clew__alert *alert = &notification->alerts[i];

    if (!notification->lean)
        return;
    json_decref(alert->own);
    alert->own = alert->labels = alert->annotations = NULL;
    alert->fingerprint = alert->generator_url = "";
}

void clew__notification_done(struct clew__notification *notification)
{
    free(notification->alerts);
    free(notification->pinned);
    free(notification->pin_text);
    json_decref(notification->pin);
    json_decref(notification->root);
    *notification = (struct clew__notification){0};
}

const char *clew__change_text(enum clew__change change)
{
    static const char *const texts[] = {
#define X(name, text) [CLEW__CHANGE_##name] = text,
        CLEW__CHANGE_MAP(X)
#undef X
    };

    return texts[change];
}
