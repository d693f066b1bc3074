/* SPDX-License-Identifier: Apache-2.0
 * Who may send: tokens, signatures, certificates, paths that pin labels, and that
 * slow connections keep nobody out. */
#include "bridge.h"

#include <common/instant.h>
#include <common/digest.h>
#include <intake/credentials.h>
#include <intake/intake.h>

#include <clew/log.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH CLEW__WEBHOOK_PATH

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__intake *intake;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    intake = clew__intake_stop(intake, clew__instant_now() + CLEW__SECOND_NS);
    store = clew__store_close(store);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

/* The usual configuration with a webhook part. */
static void start(const char *webhook)
{
    char text[4096];

    (void)snprintf(text, sizeof(text), "%s%s", usual_config(9, ""), webhook);
    config = load_config(&bench, text);
    store = open_store(&bench);
    assert_int_equal(clew__intake_start(config, store, NULL, &intake), 0);
}

struct ask {
    const char *path;
    const char *body;       /* NULL: GET */
    const char *headers[3]; /* up to the first NULL */
    bool tls, certificate;
};

static size_t keep(char *data, size_t size, size_t n, void *arg)
{
    clew__buf_add(arg, data, size * n);
    return size * n;
}

static CURL *prepare(const struct ask *ask)
{
    CURL *easy = curl_easy_init();
    char url[256];

    (void)snprintf(url, sizeof(url), "%s://localhost:%u%s", ask->tls ? "https" : "http",
                   clew__intake_port(intake), ask->path);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_IPRESOLVE, (long)CURL_IPRESOLVE_V4);
    if (ask->body)
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, ask->body);
    if (ask->tls)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, bench_path(&bench, "server.pem"));
    if (ask->certificate) {
        (void)curl_easy_setopt(easy, CURLOPT_SSLCERT, bench_path(&bench, "client.pem"));
        (void)curl_easy_setopt(easy, CURLOPT_SSLKEY, bench_path(&bench, "client.key"));
    }
    return easy;
}

/* The status, 0: no answer. ret_text: free() it, may be NULL. */
static unsigned ask(const struct ask *ask, char **ret_text)
{
    CURL *easy = prepare(ask);
    struct curl_slist *list = NULL;
    struct clew__buf answer;
    size_t len;
    long status = 0;
    char *text;

    clew__buf_init(&answer, 1u << 20);
    clew__buf_addc(&answer, ' ');
    for (unsigned i = 0; i < 3 && ask->headers[i]; i++)
        list = curl_slist_append(list, ask->headers[i]);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    (void)curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
    text = clew__buf_take(&answer, &len);
    if (ret_text)
        *ret_text = text;
    else
        free(text);
    return (unsigned)status;
}

static char *body_of(unsigned number)
{
    const struct made_alert alert = {"A<b>&\"'", "critical", "firing", "2026-01-01T00:00:00Z",
                                     number};

    return make_body("g", "http://am.example", 0, &alert, 1);
}

static void test_sources_sign(void **state)
{
    char hex[CLEW__DIGEST_TEXT];

    (void)state;
    /* RFC 4231, test case 2. */
    clew__sign("Jefe", NULL, "what do ya want for nothing?", 28, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    clew__sign("Jefe", "what do ya", "x", 1, hex);
    assert_string_not_equal(hex,
                            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/* The status of a post signed by this secret, at now + seconds. */
static unsigned post_signed(const char *secret, int64_t seconds, const char *body,
                            const char *signed_body, bool upper)
{
    char time[32], stamp[64], hex[CLEW__DIGEST_TEXT], signature[128];

    (void)snprintf(time, sizeof(time), "%lld",
                   (long long)(clew__instant_now() / CLEW__SECOND_NS + seconds));
    clew__sign(secret, time, signed_body, strlen(signed_body), hex);
    for (char *c = hex; upper && *c; c++)
        *c = *c >= 'a' ? (char)(*c - 'a' + 'A') : *c;
    (void)snprintf(stamp, sizeof(stamp), "X-Time: %s", time);
    (void)snprintf(signature, sizeof(signature), "X-Sign: %s", hex);
    return ask(&(struct ask){.path = PATH, .body = body, .headers = {stamp, signature}}, NULL);
}

static void test_sources_signature(void **state)
{
    char *body = body_of(1), *other = body_of(2);

    (void)state;
    start("webhook: {hmac: {secret: SECRET, header: X-Sign, timestamp_header: X-Time}}\n");
    assert_int_equal(post_signed("SECRET", 0, body, body, false), 200);
    assert_int_equal(post_signed("SECRET", 0, body, body, true), 200);
    assert_int_equal(post_signed("SECRET", -290, body, body, false), 200);
    assert_int_equal(post_signed("SECRET", -400, body, body, false), 401);
    assert_int_equal(post_signed("SECRET", 400, body, body, false), 401);
    assert_int_equal(post_signed("SECRE", 0, body, body, false), 401);
    assert_int_equal(post_signed("SECRET", 0, body, other, false), 401);
    assert_int_equal(ask(&(struct ask){PATH, body, {"X-Sign: 00"}, false, false}, NULL), 401);
    assert_int_equal(
        ask(&(struct ask){PATH, body, {"X-Sign: 00", "X-Time: x"}, false, false}, NULL), 401);
    assert_int_equal(ask(&(struct ask){PATH, body, {NULL}, false, false}, NULL), 401);
    assert_int_equal(ask(&(struct ask){"/", NULL, {NULL}, false, false}, NULL), 401);
    free(body);
    free(other);
}

static void test_sources_signature_of_the_body_alone(void **state)
{
    char *body = body_of(1), hex[CLEW__DIGEST_TEXT], signature[128];

    (void)state;
    start("webhook: {hmac: {secret: SECRET}}\n");
    clew__sign("SECRET", NULL, body, strlen(body), hex);
    (void)snprintf(signature, sizeof(signature), "X-Grafana-Alerting-Signature: %s", hex);
    assert_int_equal(ask(&(struct ask){PATH, body, {signature}, false, false}, NULL), 200);
    free(body);
}

/* How many deliveries the bridge shows. */
static size_t count_deliveries(const char *token)
{
    char header[64], *text;
    json_t *view;
    size_t n;

    (void)snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
    assert_int_equal(ask(&(struct ask){"/api/v1/deliveries", NULL, {header}, false, false}, &text),
                     200);
    view = json_loads(text, 0, NULL);
    n = json_array_size(json_object_get(view, "deliveries"));
    json_decref(view);
    free(text);
    return n;
}

static void test_sources_pin_labels(void **state)
{
    char *body = body_of(1), *text;

    (void)state;
    start("webhook:\n"
          "  bearer_token: SECRETa\n"
          "  sources:\n"
          "    - {path: /hooks/shop, labels: {team: shop, severity: warning}}\n"
          "    - {bearer_token: SECRETb, labels: {team: bank}}\n");
#define BEARER(token) {"Authorization: Bearer " token}
    assert_int_equal(ask(&(struct ask){PATH, body, BEARER("SECRETa"), false, false}, NULL), 200);
    assert_int_equal(count_deliveries("SECRETa"), 2);
    /* Another severity, another route; and not the same alert as the one before. */
    assert_int_equal(ask(&(struct ask){"/hooks/shop", body, BEARER("SECRETa"), false, false}, NULL),
                     200);
    assert_int_equal(count_deliveries("SECRETa"), 3);
    assert_int_equal(ask(&(struct ask){PATH, body, BEARER("SECRETb"), false, false}, NULL), 200);
    assert_int_equal(count_deliveries("SECRETa"), 5);
    assert_int_equal(ask(&(struct ask){PATH, body, BEARER("SECRETb"), false, false}, NULL), 200);
    assert_int_equal(count_deliveries("SECRETa"), 5);
    assert_int_equal(ask(&(struct ask){"/hooks/shop", body, BEARER("SECRETb"), false, false}, NULL),
                     401);
    assert_int_equal(ask(&(struct ask){"/hooks/else", body, BEARER("SECRETa"), false, false}, NULL),
                     404);
    assert_int_equal(
        ask(&(struct ask){"/api/v1/alerts", NULL, BEARER("SECRETa"), false, false}, &text), 200);
    assert_non_null(strstr(text, "\"team\":\"shop\""));
    assert_non_null(strstr(text, "\"team\":\"bank\""));
    free(text);
    free(body);
}

static void test_sources_page_is_escaped(void **state)
{
    char *body = body_of(1), *text;

    (void)state;
    start("");
    assert_int_equal(ask(&(struct ask){PATH, body, {NULL}, false, false}, NULL), 200);
    assert_int_equal(ask(&(struct ask){"/", NULL, {NULL}, false, false}, &text), 200);
    assert_non_null(strstr(text, "<b>A&lt;b&gt;&amp;&quot;&#39;</b> "));
    assert_null(strstr(text, "A<b>"));
    assert_null(strstr(text, "<script"));
    assert_non_null(strstr(text, "<td>pagerduty</td>"));
    assert_null(strstr(text, "SECRET"));
    free(text);
    free(body);
}

static void test_sources_mutual_tls(void **state)
{
    char *body = body_of(1), command[1024], webhook[512];

    (void)state;
    (void)snprintf(command, sizeof(command),
                   "cd %s && for n in server client; do openssl req -x509 -newkey rsa:2048 -nodes "
                   "-subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2 -keyout "
                   "$n.key -out $n.pem 2>err || exit 1; done",
                   bench.directory);
    assert_int_equal(system(command), 0);
    (void)snprintf(webhook, sizeof(webhook),
                   "webhook: {tls: {cert_file: %s/server.pem, key_file: %s/server.key,"
                   " client_ca_file: %s/client.pem}}\n",
                   bench.directory, bench.directory, bench.directory);
    start(webhook);
    assert_int_equal(ask(&(struct ask){PATH, body, {NULL}, true, true}, NULL), 200);
    assert_int_equal(ask(&(struct ask){PATH, body, {NULL}, true, false}, NULL), 401);
    assert_int_equal(ask(&(struct ask){"/", NULL, {NULL}, true, false}, NULL), 401);
    assert_int_equal(ask(&(struct ask){PATH, body, {NULL}, false, false}, NULL), 0);
    free(body);
}

enum { SLOW = 450 };

static int connect_slow(void)
{
    static const char part[] = "POST " PATH " HTTP/1.1\r\nHost: a\r\nContent-Le";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(clew__intake_port(intake)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, part, sizeof(part) - 1, MSG_NOSIGNAL), sizeof(part) - 1);
    return fd;
}

/* More slow connections than there is room for: honest posts pass, the slow ones
 * that came first are cut. */
static void test_sources_slow_connections_keep_nobody_out(void **state)
{
    struct rlimit before, limit;
    int fds[SLOW];
    char *body, byte;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = 512; /* room for 300 */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    start("");
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned i = 0; i < SLOW; i++)
        fds[i] = connect_slow();
    for (unsigned i = 0; i < 20; i++) {
        int64_t begin = clew__instant_now();

        body = body_of(i);
        assert_int_equal(ask(&(struct ask){PATH, body, {NULL}, false, false}, NULL), 200);
        assert_true(clew__instant_now() - begin < 5 * CLEW__SECOND_NS);
        free(body);
    }
    for (unsigned i = 0; i < SLOW - 300; i++)
        assert_true(recv(fds[i], &byte, 1, 0) <= 0); /* cut: it does not wait */
    for (unsigned i = 0; i < SLOW; i++)
        (void)close(fds[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_sources_configuration_errors(void **state)
{
    static const struct {
        const char *webhook, *error;
    } cases[] = {
        {"hmac: {secret: ''}", "secret or header is empty"},
        {"hmac: {secret: s, header: 'a b'}", "not the name of a header"},
        {"hmac: {secret: s, tolerance_seconds: 0}", "from 1"},
        {"sources: [{labels: {a: b}}]", "a path or credentials of its own"},
        {"sources: [{path: x}]", "no path"},
        {"sources: [{path: /}]", "no path"},
        {"sources: [{path: /api/v1/alerts}]", "taken"},
        {"sources: [{path: '/a?b'}]", "letters"},
        {"sources: [{path: /a, labels: {'a-b': c}}]", "name of a label"},
        {"sources: [{path: /a, labels: {}}]", "expected labels"},
        {"sources: [{path: /a, labels: x}]", "expected a mapping"},
        {"sources: [{path: /a}, {path: /a}]", "a path or credentials of its own"},
        {"sources: [{path: /a, bearer_token: ''}]", "token is empty"},
        {"tls: {cert_file: /x}", "needs cert_file and key_file"},
        {"tls: {cert_file: /nonexistent/x, key_file: /nonexistent/y}", "cannot be opened"},
        {"tls: {cert_file: /dev/null, key_file: /dev/null}", "certificate and key"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *file = bench_write(&bench, "bad.yml", "%swebhook: {%s}\n", usual_config(9, ""),
                                       cases[i].webhook);
        struct clew__config *none = NULL;

        if (clew__config_load(file, NULL, &none) == 0 ||
            !strstr(clew_last_error(), cases[i].error) || !strstr(clew_last_error(), "bad.yml:16:"))
            fail_msg("case %zu: wanted %s, got %s", i, cases[i].error, clew_last_error());
    }
}

static unsigned warnings;

static void count_warning(const char *text)
{
    warnings += strstr(text, "everybody may post") != NULL;
}

/* Tokens for sources, none for the rest: allowed, but told. */
static void test_sources_warn_of_open_paths(void **state)
{
    static const struct {
        const char *webhook;
        unsigned warnings;
    } cases[] = {
        {"sources: [{path: /a, bearer_token: s}]", 1},
        {"sources: [{path: /a, bearer_token: s}], bearer_token: t", 0},
        {"sources: [{path: /a}]", 0},
        {"max_body_bytes: 2048", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *file = bench_write(&bench, "open.yml", "%swebhook: {%s}\n", usual_config(9, ""),
                                       cases[i].webhook);

        warnings = 0;
        assert_int_equal(clew__config_load(file, count_warning, &config), 0);
        config = clew__config_free(config);
        assert_int_equal(warnings, cases[i].warnings);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources_sign),
        TEST(test_sources_signature),
        TEST(test_sources_signature_of_the_body_alone),
        TEST(test_sources_pin_labels),
        TEST(test_sources_page_is_escaped),
        TEST(test_sources_mutual_tls),
        TEST(test_sources_slow_connections_keep_nobody_out),
        TEST(test_sources_configuration_errors),
        TEST(test_sources_warn_of_open_paths),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
