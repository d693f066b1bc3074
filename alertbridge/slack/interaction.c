/* SPDX-License-Identifier: Apache-2.0
 * The raw body is verified before anything of it is decoded. Then: one form field,
 * percent-decoded within its own bytes; JSON without duplicate keys; and of that
 * only what is needed, each text bounded and of the characters it may have. */
#include "interaction.h"

#include "answer.h"
#include "message.h"

#include <common/instant.h>

#include <clew/log.h>

#include <ctype.h>
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool clew__slack_verify(const char *secret, const char *timestamp, const char *signature,
                        const char *body, size_t len, int64_t now)
{
    char text[32], right[CLEW__DIGEST_TEXT + 3];
    size_t digits = timestamp ? strlen(timestamp) : 0;

    if (!secret || !*secret || !signature || digits == 0 || digits > 12 ||
        strspn(timestamp, "0123456789") != digits)
        return false;
    if (llabs(now / CLEW__SECOND_NS - strtoll(timestamp, NULL, 10)) > CLEW__SLACK_TOLERANCE_S)
        return false;
    (void)snprintf(text, sizeof(text), "v0:%s", timestamp);
    (void)memcpy(right, "v0=", 3);
    clew__sign(secret, text, body, len, right + 3);
    return clew__secret_equal(signature, right);
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes into out, which has room for len + 1 bytes. returns its length, -1: malformed */
static long decode(const char *text, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '+') {
            out[n++] = ' ';
        } else if (text[i] != '%') {
            out[n++] = text[i];
        } else {
            int high = i + 2 < len ? digit(text[i + 1]) : -1;
            int low = i + 2 < len ? digit(text[i + 2]) : -1;

            if (high < 0 || low < 0)
                return -1;
            out[n++] = (char)(high * 16 + low);
            i += 2;
        }
    }
    out[n] = '\0';
    return (long)n;
}

/* The field "payload" of the form. */
static int find_payload(const char *body, size_t len, const char **ret_text, size_t *ret_len)
{
    static const char name[] = "payload=";
    bool found = false;

    for (size_t at = 0; at <= len;) {
        const char *end = memchr(body + at, '&', len - at);
        size_t n = end ? (size_t)(end - (body + at)) : len - at;

        if (n >= sizeof(name) - 1 && memcmp(body + at, name, sizeof(name) - 1) == 0) {
            if (found)
                return clew_set_error(-EINVAL, "payload is there twice");
            *ret_text = body + at + sizeof(name) - 1;
            *ret_len = n - (sizeof(name) - 1);
            found = true;
        }
        at += n + 1;
    }
    return found ? 0 : clew_set_error(-EINVAL, "the form has no payload");
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* A person's name for the audit: what is no letter, digit or simple sign goes. */
static void take_person(const json_t *user, struct clew__slack_click *ret)
{
    const char *name = text_of(user, "username");
    size_t len, n = 0;

    if (!*name)
        name = text_of(user, "name");
    len = clew__utf8_cut(name, strlen(name), 100);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c >= 0x80 || isalnum(c) || (c && strchr(" .-_@'", c)))
            ret->person[n++] = (char)c;
    }
    (void)snprintf(ret->person + n, sizeof(ret->person) - n, "%s(Slack %s)", n ? " " : "",
                   ret->user_id);
}

void clew__slack_button(int64_t incident_id, const char *dedup_key,
                        char ret[CLEW__SLACK_BUTTON_MAX])
{
    (void)snprintf(ret, CLEW__SLACK_BUTTON_MAX, "%lld/%.64s", (long long)incident_id, dedup_key);
}

static bool take_button(const char *value, struct clew__slack_click *ret)
{
    size_t digits = strspn(value, "0123456789");
    const char *key = value + digits + 1;

    if (digits == 0 || digits > 18 || value[digits] != '/' ||
        strspn(key, "0123456789abcdef") != strlen(key) || strlen(key) != CLEW__DIGEST_TEXT - 1)
        return false;
    ret->incident_id = strtoll(value, NULL, 10);
    (void)memcpy(ret->dedup_key, key, CLEW__DIGEST_TEXT);
    return true;
}

static int take_action(const json_t *action, struct clew__slack_click *ret)
{
    static const struct {
        const char *id;
        enum clew__slack_click_kind kind;
        unsigned hours;
    } known[] = {{CLEW__SLACK_ACKNOWLEDGE, CLEW__SLACK_CLICK_ACKNOWLEDGE, 0},
                 {CLEW__SLACK_SILENCE_1H, CLEW__SLACK_CLICK_SILENCE, 1},
                 {CLEW__SLACK_SILENCE_4H, CLEW__SLACK_CLICK_SILENCE, 4},
                 {CLEW__SLACK_RESOLVE, CLEW__SLACK_CLICK_RESOLVE, 0}};
    const char *id = text_of(action, "action_id");

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(id, known[i].id) == 0) {
            ret->kind = known[i].kind;
            ret->hours = known[i].hours;
            return take_button(text_of(action, "value"), ret)
                       ? 0
                       : clew_set_error(-EINVAL, "the button's value is not ours");
        }
    return 0;
}

static int take_payload(const json_t *root, struct clew__slack_click *ret)
{
    const json_t *actions = json_object_get(root, "actions"), *user = json_object_get(root, "user");
    const json_t *action = json_array_get(actions, 0);
    int r;

    if (!json_is_object(root))
        return clew_set_error(-EINVAL, "the payload is no JSON object");
    if (strcmp(text_of(root, "type"), "block_actions") != 0 || json_array_size(actions) != 1)
        return 0; /* a shortcut, a dialog: none of ours */
    r = take_action(action, ret);
    if (r < 0 || ret->kind == CLEW__SLACK_CLICK_NONE)
        return r;
    if (!clew__slack_is_id(text_of(user, "id")))
        return clew_set_error(-EINVAL, "the payload names no user");
    (void)snprintf(ret->user_id, sizeof(ret->user_id), "%s", text_of(user, "id"));
    take_person(user, ret);
    if (!clew__slack_is_ts(text_of(action, "action_ts")))
        return clew_set_error(-EINVAL, "the payload has no time of the click");
    /* One click of one person has one time, however often Slack tells of it. */
    clew__digest((const char *const[]){text_of(action, "action_ts"), text_of(action, "action_id"),
                                       text_of(action, "value"), ret->user_id},
                 4, ret->key);
    return 0;
}

int clew__slack_read_click(const char *body, size_t len, struct clew__slack_click *ret)
{
    const char *text = "";
    size_t text_len = 0;
    json_error_t error;
    json_t *root;
    char *plain;
    long n;
    int r;

    *ret = (struct clew__slack_click){.kind = CLEW__SLACK_CLICK_NONE};
    if (len > CLEW__SLACK_INTERACTION_MAX)
        return clew_set_error(-EINVAL, "the form is too large");
    r = find_payload(body, len, &text, &text_len);
    if (r < 0)
        return r;
    plain = malloc(text_len + 1);
    if (!plain)
        return clew_set_error(-ENOMEM, "out of memory");
    n = decode(text, text_len, plain);
    root = n < 0 ? NULL : json_loadb(plain, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    free(plain);
    if (n < 0)
        return clew_set_error(-EINVAL, "the form is not well percent-encoded");
    if (!root)
        return clew_set_error(-EINVAL, "the payload is no JSON: line %d, column %d", error.line,
                              error.column);
    r = take_payload(root, ret);
    if (r < 0)
        ret->kind = CLEW__SLACK_CLICK_NONE;
    json_decref(root);
    return r;
}
