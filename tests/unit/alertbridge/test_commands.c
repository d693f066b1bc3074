/* SPDX-License-Identifier: Apache-2.0
 * explain, deliveries and replay, on a store that a bridge has open. */
#include "bridge.h"

#include <commands.h>
#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static char path[192];
static char *output;
static size_t output_len;
static FILE *out;

#define FINGERPRINT "0000000000000001"

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    config = load_config(&bench, usual_config(9, ""));
    (void)snprintf(path, sizeof(path), "%s", bench.storage);
    store = open_store(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (out)
        (void)fclose(out);
    out = NULL;
    free(output);
    output = NULL;
    store = clew__store_close(store);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

/* An empty stream whose text is `output` after finish(). */
static FILE *begin(void)
{
    if (out)
        (void)fclose(out);
    free(output);
    output = NULL;
    out = open_memstream(&output, &output_len);
    return out;
}

static bool said(const char *text)
{
    (void)fflush(out);
    return strstr(output, text) != NULL;
}

static void apply(const char *status, unsigned truncated)
{
    const struct made_alert alert = {"Disk", "critical", status, "2026-01-01T00:00:00Z", 1};
    char *body = make_body("g", "http://am.example", truncated, &alert, 1);

    apply_body(store, config, body, clew__instant_now());
}

/* The only delivery of this state and integration with this action ends. */
static void finish(const char *action, enum clew__verdict_kind kind)
{
    struct clew__buf json;
    struct clew__view view = {.json = &json, .state = "queued"};
    json_t *root, *item;
    size_t i, n = 0;

    clew__buf_init(&json, 1u << 20);
    assert_int_equal(clew__store_read(store, clew__store_view_deliveries, &view), 0);
    root = json_loadb(json.data, json.len, 0, NULL);
    clew__buf_done(&json);
    json_array_foreach(json_object_get(root, "deliveries"), i, item)
    {
        struct clew__attempt attempt = {.delivery_id =
                                            json_integer_value(json_object_get(item, "id")),
                                        .now = clew__instant_now(),
                                        .kind = kind,
                                        .reason = kind == CLEW__DONE ? "http_202" : "http_404"};

        if (strcmp(json_string_value(json_object_get(item, "action")), action) != 0 ||
            strcmp(json_string_value(json_object_get(item, "integration")), "pagerduty") != 0)
            continue;
        assert_int_equal(clew__store_write(store, clew__store_attempt, &attempt), 0);
        n++;
    }
    json_decref(root);
    assert_int_equal(n, 1);
}

static void test_commands_explain(void **state)
{
    json_t *root;

    (void)state;
    apply("firing", 0);
    finish("trigger", CLEW__PERMANENT);
    apply("resolved", 0);
    assert_int_equal(clew__command_explain(path, FINGERPRINT, false, begin()), 0);
    assert_true(said("alert " FINGERPRINT));
    assert_true(said("resolved since 2026-01-01T00:00:00Z"));
    assert_true(said("fires, was not known"));
    assert_true(said("default route > severity=\"critical\" (to pagerduty:"));
    assert_true(said("given up  http_404 (to pagerduty:"));
    assert_true(said("on-call/pagerduty"));
    assert_true(said("the-request"));
    assert_false(said("SECRET"));
    assert_int_equal(clew__command_explain(path, FINGERPRINT, true, begin()), 0);
    assert_true(said(FINGERPRINT));
    root = json_loads(output, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "alerts")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "decisions")), 5);
    assert_int_equal(json_array_size(json_object_get(root, "deliveries")), 4);
    json_decref(root);
}

static void test_commands_explain_unknown(void **state)
{
    (void)state;
    apply("firing", 0);
    assert_int_equal(clew__command_explain(path, "00000000000000ff", false, begin()), 1);
    assert_int_equal(clew__command_explain(path, "no' hex", false, begin()), -EINVAL);
    assert_int_equal(clew__command_explain(path, "", false, begin()), -EINVAL);
    assert_int_equal(
        clew__command_explain(bench_path(&bench, "none.db"), FINGERPRINT, false, begin()), -ENOENT);
    assert_non_null(strstr(clew_last_error(), "none.db"));
    (void)bench_write(&bench, "other.db", "%s", "");
    assert_int_equal(clew__command_explain(bench.path, FINGERPRINT, false, begin()), -EPROTO);
}

static void test_commands_deliveries_by_state(void **state)
{
    (void)state;
    apply("firing", 0);
    finish("trigger", CLEW__PERMANENT);
    assert_int_equal(clew__command_deliveries(path, "dead", false, begin()), 0);
    assert_true(said("on-call/pagerduty") && said("http_404"));
    assert_false(said("slack"));
    assert_int_equal(clew__command_deliveries(path, "queued", false, begin()), 0);
    assert_true(said("on-call/slack"));
    assert_false(said("pagerduty"));
    assert_int_equal(clew__command_deliveries(path, NULL, true, begin()), 0);
    assert_true(said("pagerduty") && said("slack"));
}

static void test_commands_replay_is_seen_and_explained(void **state)
{
    int64_t version = 0;

    (void)state;
    apply("firing", 0);
    finish("trigger", CLEW__PERMANENT);
    assert_int_equal(clew__store_write(store, clew__store_changed_by_others, &version), 0);
    assert_int_equal(clew__command_replay(path, "999", false, begin()), 1);
    assert_int_equal(clew__command_replay(path, "x", false, begin()), -EINVAL);
    assert_int_equal(clew__store_write(store, clew__store_changed_by_others, &version), 0);
    assert_int_equal(clew__command_replay(path, NULL, false, begin()), 0);
    assert_true(said("1 replayed, 0 left"));
    assert_int_equal(clew__store_write(store, clew__store_changed_by_others, &version),
                     !clew__db_is_shared(path)); /* there it is told by the database */
    assert_int_equal(clew__store_write(store, clew__store_changed_by_others, &version), 0);
    finish("trigger", CLEW__DONE); /* it was queued */
    assert_int_equal(clew__command_replay(path, NULL, true, begin()), 1);
    assert_true(said("{\"replayed\":0,\"left\":0}"));
    assert_int_equal(clew__command_explain(path, FINGERPRINT, false, begin()), 0);
    assert_true(said("given up") && said("replayed  by user"));
}

/* A trigger after its resolve would open an incident that nobody closes. */
static void test_commands_replay_keeps_the_order(void **state)
{
    (void)state;
    apply("firing", 0);
    finish("trigger", CLEW__PERMANENT);
    apply("resolved", 0);
    assert_int_equal(clew__command_replay(path, NULL, false, begin()), 1);
    assert_true(said("0 replayed, 1 left")); /* the resolve waits */
    finish("resolve", CLEW__DONE);
    assert_int_equal(clew__command_replay(path, NULL, false, begin()), 1);
    assert_true(said("0 replayed, 1 left"));
}

static void test_commands_replay_of_both_ends(void **state)
{
    char id[24];
    char *at;

    (void)state;
    apply("firing", 0);
    finish("trigger", CLEW__PERMANENT);
    apply("resolved", 0);
    finish("resolve", CLEW__PERMANENT);
    assert_int_equal(clew__command_deliveries(path, "dead", true, begin()), 0);
    assert_true(said("resolve"));
    at = strrchr(output, '}');
    while (at > output && strncmp(at, "\"id\":", 5) != 0)
        at--;
    (void)snprintf(id, sizeof(id), "%ld", strtol(at + 5, NULL, 10)); /* the trigger, older */
    assert_int_equal(clew__command_replay(path, id, false, begin()), 1);
    assert_true(said("0 replayed, 1 left"));
    assert_int_equal(clew__command_replay(path, NULL, false, begin()), 0);
    assert_true(said("2 replayed, 0 left"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_commands_explain),
        TEST(test_commands_explain_unknown),
        TEST(test_commands_deliveries_by_state),
        TEST(test_commands_replay_is_seen_and_explained),
        TEST(test_commands_replay_keeps_the_order),
        TEST(test_commands_replay_of_both_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
