/* SPDX-License-Identifier: Apache-2.0
 * What PagerDuty tells: whether it is PagerDuty, what happened, and what follows. */
#include "bridge.h"

#include <common/instant.h>
#include <intake/intake.h>
#include <pagerduty/act.h>

#include <clew/log.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static int64_t now;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    config = load_config(&bench, usual_config(9, ""));
    store = open_store(&bench);
    now = 1800000000 * CLEW__SECOND_NS;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store = clew__store_close(store);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

/* ---- signatures ------------------------------------------------------------ */

static void test_events_signature(void **state)
{
    static char first[] = "secret-one", second[] = "secret-two";
    char *both[] = {first, second, NULL}, *none[] = {NULL};
    const char body[] = "{\"event\":{}}";
    char one[CLEW__DIGEST_TEXT], two[CLEW__DIGEST_TEXT], other[CLEW__DIGEST_TEXT], header[512];

    (void)state;
    clew__sign(first, NULL, body, strlen(body), one);
    clew__sign(second, NULL, body, strlen(body), two);
    clew__sign("another", NULL, body, strlen(body), other);
#define VERIFY(...)                                       \
    ((void)snprintf(header, sizeof(header), __VA_ARGS__), \
     clew__pagerduty_verify(both, header, body, strlen(body)))
    assert_true(VERIFY("v1=%s", one));
    assert_true(VERIFY("v1=%s", two));
    assert_true(VERIFY("v1=%s,v1=%s", other, two));
    assert_true(VERIFY(" v1=%s , v1=%s ", other, one));
    assert_true(VERIFY("v0=%s,v2=x,v1=%s", one, one));
    assert_false(VERIFY("v1=%s", other));
    assert_false(VERIFY("v0=%s", one));
    assert_false(VERIFY("%s", one));
    assert_false(VERIFY("v1=%.63s", one));
    assert_false(VERIFY("v1=%s0", one));
    assert_false(VERIFY("%s", ""));
    assert_false(VERIFY("v1="));
    assert_false(clew__pagerduty_verify(both, NULL, body, strlen(body)));
    (void)VERIFY("v1=%s", one);
    assert_false(clew__pagerduty_verify(both, header, body, strlen(body) - 1));
    assert_false(clew__pagerduty_verify(none, header, body, strlen(body)));
}

/* ---- reading --------------------------------------------------------------- */

#define AGENT "\"agent\":{\"id\":\"PX\",\"type\":\"user_reference\",\"summary\":\"Bob\"}"
#define EVENT(type, rest)                               \
    "{\"event\":{\"id\":\"e1\",\"event_type\":\"" type  \
    "\",\"resource_type\":\"incident\",\"occurred_at\"" \
    ":\"2027-01-15T08:00:00.5Z\"," rest "}}"
#define DATA "\"data\":{\"type\":\"incident\",\"incident_key\":\"k1\"}"

static void test_events_read(void **state)
{
    const char body[] = EVENT("incident.acknowledged", AGENT "," DATA);
    struct clew__pagerduty_event event;

    (void)state;
    assert_int_equal(clew__pagerduty_read_event(body, strlen(body), &event), 0);
    assert_int_equal(event.kind, CLEW__PAGERDUTY_ACKNOWLEDGED);
    assert_string_equal(event.id, "e1");
    assert_string_equal(event.dedup_key, "k1");
    assert_string_equal(event.person, "Bob (PagerDuty PX)");
    assert_int_equal(event.occurred_at, 1800000000500000000);
    assert_false(event.echo);
}

static void test_events_read_table(void **state)
{
    static const struct {
        const char *body;
        int result;
        enum clew__pagerduty_event_kind kind;
        const char *person; /* or the reason */
    } cases[] = {
        {EVENT("incident.resolved", AGENT "," DATA), 0, CLEW__PAGERDUTY_RESOLVED,
         "Bob (PagerDuty PX)"},
        {EVENT("incident.unacknowledged", "\"agent\":null," DATA), 0,
         CLEW__PAGERDUTY_UNACKNOWLEDGED, "PagerDuty"},
        {EVENT("incident.reopened", "\"agent\":{\"id\":\"P2\"}," DATA), 0, CLEW__PAGERDUTY_REOPENED,
         "PagerDuty P2"},
        {EVENT("incident.acknowledged", "\"agent\":{\"summary\":\"a\\u0007\\u00fc\"}," DATA), 0,
         CLEW__PAGERDUTY_ACKNOWLEDGED, "a \xC3\xBC (PagerDuty)"},
        {EVENT("incident.priority_updated", "\"data\":{}"), 0, CLEW__PAGERDUTY_OTHER, ""},
        {EVENT("pagey.ping", "\"data\":{}"), 0, CLEW__PAGERDUTY_OTHER, ""},
        {EVENT("incident.resolved", AGENT ",\"data\":{\"incident_key\":null}"), 0,
         CLEW__PAGERDUTY_OTHER, "Bob (PagerDuty PX)"},
        {"", -EINVAL, 0, "line 1"},
        {"[]", -EINVAL, 0, "no event"},
        {"{\"event\":[]}", -EINVAL, 0, "no event"},
        {"{\"event\":{\"event_type\":\"x\"}}", -EINVAL, 0, "event.id"},
        {"{\"event\":{\"id\":\"x\",\"event_type\":7}}", -EINVAL, 0, "event_type"},
        {"{\"event\":{\"id\":\"x\",\"event_type\":\"incident.resolved\"}}", -EINVAL, 0,
         "occurred_at"},
        {"{\"event\":{\"id\":\"x\",\"id\":\"y\"}}", -EINVAL, 0, "duplicate"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__pagerduty_event event;

        if (clew__pagerduty_read_event(cases[i].body, strlen(cases[i].body), &event) !=
            cases[i].result)
            fail_msg("case %zu", i);
        if (cases[i].result == 0) {
            assert_int_equal(event.kind, cases[i].kind);
            assert_string_equal(event.person, cases[i].person);
        } else if (!strstr(clew_last_error(), cases[i].person)) {
            fail_msg("case %zu: %s", i, clew_last_error());
        }
    }
}

/* ---- what follows ------------------------------------------------------------ */

static void apply(const char *status)
{
    const struct made_alert alert = {"Disk", "critical", status, "2026-01-01T00:00:00Z", 1};
    char *body = make_body("g", "http://am", 0, &alert, 1);

    now += CLEW__SECOND_NS;
    apply_body(store, config, body, now);
}

static int read_key(struct clew__db *db, void *arg)
{
    struct clew__row *row =
        clew__db_prepare(db, "SELECT dedup_key FROM incidents WHERE kind = 'pagerduty'", "");
    int r = row ? clew__db_step(db, row) : -EIO;

    (void)snprintf(arg, 256, "%s", r == 1 ? clew__db_text(row, 0) : "");
    clew__db_reset(row);
    return r;
}

static const char *act(const char *id, enum clew__pagerduty_event_kind kind, bool echo)
{
    struct clew__pagerduty_event event = {
        .kind = kind, .person = "Bob (PagerDuty PX)", .occurred_at = now, .echo = echo};
    struct clew__pagerduty_act work = {.event = &event, .config = config, .now = now};

    (void)snprintf(event.id, sizeof(event.id), "%s", id);
    assert_int_equal(clew__store_read(store, read_key, event.dedup_key), 1);
    assert_int_equal(clew__store_write(store, clew__pagerduty_act, &work), 0);
    return work.outcome;
}

#define ACKS number_in(store, "SELECT count(*) FROM acks")
#define AUDIT(decision) \
    number_in(store, "SELECT count(*) FROM audit WHERE decision = '" decision "'")
#define PD(action)                                                                             \
    number_in(store,                                                                           \
              "SELECT count(*) FROM deliveries WHERE kind = 'pagerduty' AND action = '" action \
              "'")
#define OPEN \
    number_in(store, "SELECT count(*) FROM incidents WHERE kind = 'pagerduty' AND open = 1")

static void test_events_acknowledge_once(void **state)
{
    (void)state;
    apply("firing");
    assert_string_equal(act("e1", CLEW__PAGERDUTY_ACKNOWLEDGED, false), "done");
    assert_int_equal(ACKS, 1);
    assert_int_equal(PD("acknowledge"), 0); /* not back to where it came from */
    assert_int_equal(AUDIT("acknowledged"), 1);
    assert_string_equal(act("e1", CLEW__PAGERDUTY_ACKNOWLEDGED, false), "known already");
    assert_string_equal(act("e2", CLEW__PAGERDUTY_UNACKNOWLEDGED, false), "done");
    assert_int_equal(ACKS, 0);
    assert_int_equal(AUDIT("not in hand any more"), 1);
    assert_string_equal(act("e1", CLEW__PAGERDUTY_ACKNOWLEDGED, false), "known already");
    assert_int_equal(ACKS, 0);
}

#define TIMERS number_in(store, "SELECT count(*) FROM timers WHERE kind = 'escalation'")

/* Who gives it back leaves it to those who would have been told; the step is not set twice. */
static void test_events_give_back(void **state)
{
    (void)state;
    (void)clew__config_free(config);
    config = load_config(&bench, "storage: unused\n"
                                 "route: {receiver: a, escalation: [{after: 15m, receiver: b}]}\n"
                                 "receivers:\n"
                                 "  - name: a\n"
                                 "    pagerduty_configs: [{routing_key: '" ROUTING_KEY "'}]\n"
                                 "  - name: b\n"
                                 "    slack_configs: [{api_url: 'http://127.0.0.1:9/b'}]\n");
    apply("firing");
    assert_int_equal(TIMERS, 1);
    (void)act("e1", CLEW__PAGERDUTY_ACKNOWLEDGED, false);
    (void)act("e2", CLEW__PAGERDUTY_UNACKNOWLEDGED, false);
    assert_int_equal(TIMERS, 1);
    (void)act("e3", CLEW__PAGERDUTY_ACKNOWLEDGED, false);
    now += 900 * CLEW__SECOND_NS;
    assert_int_equal(fire_due(store, config, now), 1);
    assert_int_equal(TIMERS, 0);
    (void)act("e4", CLEW__PAGERDUTY_UNACKNOWLEDGED, false);
    assert_int_equal(TIMERS, 1);
    now += 899 * CLEW__SECOND_NS;
    assert_int_equal(fire_due(store, config, now), 0);
    now += CLEW__SECOND_NS;
    assert_int_equal(fire_due(store, config, now), 1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries WHERE kind = 'slack'"), 1);
    assert_int_equal(TIMERS, 0);
}

static void test_events_resolve_and_reopen(void **state)
{
    (void)state;
    apply("firing");
    assert_string_equal(act("e1", CLEW__PAGERDUTY_RESOLVED, false), "done");
    assert_int_equal(OPEN, 0);
    assert_int_equal(PD("resolve"), 0); /* it is resolved there */
    assert_int_equal(number_in(store, "SELECT count(*) FROM alerts WHERE status = 'firing'"), 1);
    assert_string_equal(act("e2", CLEW__PAGERDUTY_REOPENED, false), "done");
    assert_int_equal(OPEN, 1);
    assert_int_equal(ACKS, 0);
    apply("resolved"); /* the end is told, since it is open there */
    assert_int_equal(PD("resolve"), 1);
    assert_int_equal(OPEN, 0);
    assert_string_equal(act("e3", CLEW__PAGERDUTY_REOPENED, false), "nothing of it fires");
    assert_int_equal(OPEN, 0);
}

/* The bridge's own doing comes back; an end may come after the next beginning. */
static void test_events_echo_and_late(void **state)
{
    struct clew__pagerduty_event event = {
        .id = "e9", .kind = CLEW__PAGERDUTY_RESOLVED, .person = "Bob", .occurred_at = 1};
    struct clew__pagerduty_act work = {.event = &event, .config = config, .now = now};

    (void)state;
    apply("firing");
    assert_string_equal(act("e1", CLEW__PAGERDUTY_RESOLVED, true), "by an integration");
    assert_string_equal(act("e2", CLEW__PAGERDUTY_ACKNOWLEDGED, true), "by an integration");
    assert_int_equal(ACKS, 0);
    assert_int_equal(clew__store_read(store, read_key, event.dedup_key), 1);
    assert_int_equal(clew__store_write(store, clew__pagerduty_act, &work), 0);
    assert_string_equal(work.outcome, "late");
    assert_int_equal(OPEN, 1);
}

/* ---- by HTTP ------------------------------------------------------------------ */

static unsigned post_event(uint16_t port, const char *body, const char *secret)
{
    char url[128], header[256], digest[CLEW__DIGEST_TEXT];
    struct curl_slist *headers = NULL;
    CURL *easy = curl_easy_init();
    long status = 0;

    clew__sign(secret, NULL, body, strlen(body), digest);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/pagerduty/webhook", port);
    (void)snprintf(header, sizeof(header), "X-PagerDuty-Signature: v1=%064d,v1=%s", 0, digest);
    headers = curl_slist_append(headers, header);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return (unsigned)status;
}

static void test_events_by_http(void **state)
{
    struct clew__intake *intake = NULL;
    char text[4096], key[256], body[1024];
    uint16_t port;

    (void)state;
    (void)clew__config_free(config);
    (void)snprintf(text, sizeof(text),
                   "%spagerduty: {webhook_secrets: [{secret: the-old-SECRET}, {secret: ''},"
                   " {secret: the-new-SECRET}]}\n",
                   usual_config(9, ""));
    config = load_config(&bench, text);
    assert_int_equal(clew__intake_start(config, store, NULL, &intake), 0);
    port = clew__intake_port(intake);
    now = clew__instant_now() - 60 * CLEW__SECOND_NS;
    apply("firing");
    assert_int_equal(clew__store_read(store, read_key, key), 1);
    (void)snprintf(body, sizeof(body),
                   "{\"event\":{\"id\":\"h1\",\"event_type\":\"incident.acknowledged\","
                   "\"occurred_at\":\"2035-01-01T00:00:00Z\",\"agent\":{\"type\":"
                   "\"user_reference\",\"summary\":\"Bob\"},\"data\":{\"incident_key\":\"%s\"}}}",
                   key);
    assert_int_equal(post_event(port, body, "a-wrong-SECRET"), 401);
    assert_int_equal(post_event(port, body, ""), 401);
    assert_int_equal(ACKS, 0);
    assert_int_equal(post_event(port, body, "the-new-SECRET"), 200);
    assert_int_equal(ACKS, 1);
    assert_int_equal(post_event(port, body, "the-old-SECRET"), 200);
    assert_int_equal(ACKS, 1);
    assert_int_equal(post_event(port, "{}", "the-old-SECRET"), 400);
    assert_int_equal(post_event(port, "{\"event\":{\"id\":\"p\",\"event_type\":\"pagey.ping\"}}",
                                "the-old-SECRET"),
                     200);
    intake = clew__intake_stop(intake, 0);
    (void)clew__config_free(config);
    config = load_config(&bench, usual_config(9, ""));
    assert_int_equal(clew__intake_start(config, store, NULL, &intake), 0);
    assert_int_equal(post_event(clew__intake_port(intake), body, "the-new-SECRET"), 404);
    (void)clew__intake_stop(intake, 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_signature),
        cmocka_unit_test(test_events_read),
        cmocka_unit_test(test_events_read_table),
        TEST(test_events_acknowledge_once),
        TEST(test_events_give_back),
        TEST(test_events_resolve_and_reopen),
        TEST(test_events_echo_and_late),
        TEST(test_events_by_http),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
