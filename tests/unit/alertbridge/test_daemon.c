/* SPDX-License-Identifier: Apache-2.0
 * The program itself: what it answers, how it ends, and that a kill -9 at any
 * moment loses no acknowledged alert. argv[1] is the program. */
#include "bridge.h"
#include "mailbox.h"

#include <common/digest.h>
#include <common/instant.h>

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program;
static struct bench bench;
static struct far far;
static pid_t pid;
static uint16_t port;

#define PATH "/api/v1/alertmanager"

static void write_config(const char *extra)
{
    char text[4096], storage[208];

    (void)snprintf(storage, sizeof(storage), "storage: %s", bench.storage);
    (void)snprintf(text, sizeof(text), "%s%s", usual_config(far.port, ""), extra);
    {
        char *at = strstr(text, "storage: unused");
        char rest[4096];

        (void)snprintf(rest, sizeof(rest), "%s", at + strlen("storage: unused"));
        (void)snprintf(at, sizeof(text) - (size_t)(at - text), "%s%s", storage, rest);
    }
    (void)bench_write(&bench, "config.yml", "%s", text);
}

static pid_t spawn(const char *const *arguments, const char *output)
{
    char path[128];
    pid_t child;
    int fd;

    (void)snprintf(path, sizeof(path), "%s", bench_path(&bench, output));
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return child;
}

/* The port from the line that says it listens, after the first `from` bytes. */
static uint16_t find_port(const char *log, size_t from)
{
    const char *at = strlen(log) > from ? strstr(log + from, "alertbridge listens") : NULL;

    at = at ? strstr(at, "\"port\":") : NULL;
    return at && strchr(at, '}') ? (uint16_t)strtoul(at + 7, NULL, 10) : 0;
}

static size_t log_size(void)
{
    char *log = access(bench_path(&bench, "log"), R_OK) == 0
                    ? read_text(bench_path(&bench, "log"), NULL)
                    : NULL;
    size_t size = log ? strlen(log) : 0;

    free(log);
    return size;
}

static void start(void)
{
    char config[128];
    const char *const arguments[] = {program, "--config", config, NULL};
    int64_t give_up = clew__instant_now() + 20 * CLEW__SECOND_NS;
    size_t before = log_size();

    (void)snprintf(config, sizeof(config), "%s", bench_path(&bench, "config.yml"));
    pid = spawn(arguments, "out");
    for (port = 0; port == 0;) {
        char *log = NULL;

        assert_true(clew__instant_now() < give_up);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        if (access(bench_path(&bench, "log"), R_OK) == 0)
            log = read_text(bench_path(&bench, "log"), NULL);
        port = log ? find_port(log, before) : 0;
        free(log);
        (void)usleep(2000);
    }
}

static int stop(int signal)
{
    int status;

    assert_int_equal(kill(pid, signal), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    pid = 0;
    return status;
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    far_start(&far);
    write_config("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (pid > 0)
        (void)stop(SIGKILL);
    far_stop(&far);
    bench_done(&bench);
    return 0;
}

static unsigned post_made(const struct made_alert *alerts, size_t n)
{
    char *body = make_body("g", "http://am.example", 0, alerts, n);
    unsigned status = post(port, PATH, body, strlen(body), NULL);

    free(body);
    return status;
}

/* Waits until no delivery is queued. */
static bool wait_done(unsigned seconds)
{
    int64_t give_up = clew__instant_now() + seconds * CLEW__SECOND_NS;

    while (clew__instant_now() < give_up) {
        char *text = NULL;
        bool queued =
            get(port, "/api/v1/deliveries", &text) != 200 || strstr(text, "\"state\":\"queued\"");

        free(text);
        if (!queued)
            return true;
        (void)usleep(10000);
    }
    return false;
}

static void test_daemon_answers(void **state)
{
    static const struct {
        const char *path, *body;
        unsigned status;
        const char *text;
    } cases[] = {
        {PATH, "{\"version\":\"4\",", 400, "line 1, column"},
        {PATH, "{\"version\":\"3\",\"groupKey\":\"g\",\"alerts\":[]}", 400, "version"},
        {PATH, "", 400, "line 1"},
        {PATH, "{\"version\":\"4\",\"groupKey\":\"g\",\"alerts\":[{}]}", 400, "alerts[0].status"},
        {PATH, "{\"version\":\"4\",\"groupKey\":\"g\",\"alerts\":[]}", 200, "\"alerts\":0"},
        {PATH, NULL, 405, "method"},
        {"/api/v1/alerts", "{}", 405, "method"},
        {"/api/v1/alerts", NULL, 200, "\"alerts\":[]"},
        {"/api/v1/deliveries", NULL, 200, "\"deliveries\":[]"},
        {"/", NULL, 200, "<h2>Open alerts</h2>"},
        {"/none", NULL, 404, "no such path"},
    };

    (void)state;
    start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = NULL;
        unsigned status =
            cases[i].body ? post(port, cases[i].path, cases[i].body, strlen(cases[i].body), &text)
                          : get(port, cases[i].path, &text);

        if (status != cases[i].status || !strstr(text, cases[i].text))
            fail_msg("case %zu: %u %s", i, status, text);
        free(text);
    }
    assert_int_equal(stop(SIGTERM), 0);
    assert_int_equal(far_count(&far), 0);
}

static void test_daemon_bounds_the_body(void **state)
{
    char *big = malloc(100000), *text;

    (void)state;
    memset(big, ' ', 100000);
    write_config("webhook: {max_body_bytes: 4096}\n");
    start();
    assert_int_equal(post(port, PATH, big, 4096, NULL), 400);
    assert_int_equal(post(port, PATH, big, 4097, NULL), 413);
    assert_int_equal(post(port, PATH, big, 100000, NULL), 413);
    assert_int_equal(get(port, "/api/v1/alerts", &text), 200);
    assert_string_equal(text, "{\"alerts\":[]}\n");
    free(text);
    free(big);
    assert_int_equal(stop(SIGINT), 0);
}

static unsigned with_header(const char *path, const char *header, const char *userpwd)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *list = header ? curl_slist_append(NULL, header) : NULL;
    FILE *nowhere = fopen("/dev/null", "w");
    char url[128];
    long status = 0;

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, nowhere);
    if (userpwd)
        (void)curl_easy_setopt(easy, CURLOPT_USERPWD, userpwd);
    (void)curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
    (void)fclose(nowhere);
    return (unsigned)status;
}

static void test_daemon_authenticates(void **state)
{
    (void)state;
    write_config("webhook: {basic_auth: {username: am, password: SECRETpw},"
                 " bearer_token: SECRETtoken}\n");
    start();
    assert_int_equal(post(port, PATH, "{}", 2, NULL), 401);
    assert_int_equal(with_header("/api/v1/alerts", NULL, NULL), 401);
    assert_int_equal(with_header("/api/v1/alerts", NULL, "am:SECRETpw"), 200);
    assert_int_equal(with_header("/api/v1/alerts", NULL, "am:wrong"), 401);
    assert_int_equal(with_header("/api/v1/alerts", NULL, "other:SECRETpw"), 401);
    assert_int_equal(with_header("/api/v1/alerts", "Authorization: Bearer SECRETtoken", NULL), 200);
    assert_int_equal(with_header("/api/v1/alerts", "Authorization: Bearer SECRETtoke", NULL), 401);
    assert_int_equal(with_header("/api/v1/alerts", "Authorization: Bearer ", NULL), 401);
    assert_int_equal(with_header("/api/v1/alerts", "Authorization: SECRETtoken", NULL), 401);
    assert_int_equal(stop(SIGTERM), 0);
}

/* All samples, in the order in which Alertmanager sent them. */
static void test_daemon_delivers_the_samples(void **state)
{
    static const char *const samples[] = {"grouped_firing_4",
                                          "grouped_firing_4",
                                          "truncated_FALSE_RESOLVED_3_still_firing",
                                          "grouped_mixed_firing_and_resolved",
                                          "grouped_mixed_resolved_REPEATED_same_endsAt",
                                          "firing_single_info",
                                          "firing_single_warning_escapes",
                                          "grouped_all_resolved_4"};
    char *text;

    (void)state;
    start();
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        size_t len;
        char *body = read_sample(samples[i], &len);

        assert_int_equal(post(port, PATH, body, len, NULL), 200);
        free(body);
    }
    assert_true(wait_done(20));
    assert_int_equal(far_pager(&far).opened, 4);
    assert_int_equal(far_pager(&far).open, 0);
    assert_int_equal(far_pager(&far).most, 1);
    assert_int_equal(far_count(&far), 8 + 5);
    assert_int_equal(get(port, "/api/v1/alerts", &text), 200);
    assert_null(strstr(text, "SECRET"));
    free(text);
    assert_int_equal(stop(SIGTERM), 0);
    text = read_text(bench_path(&bench, "log"), NULL);
    assert_non_null(strstr(text, "webhook accepted"));
    assert_non_null(strstr(text, "alertbridge stopped"));
    assert_null(strstr(text, "SECRET"));
    free(text);
    text = read_text(bench_path(&bench, "out"), NULL);
    assert_string_equal(text, "");
    free(text);
}

/* The first mail is refused for now, so it comes a second time. */
static const char *refuse_first_mail(struct mailbox *mailbox)
{
    return mailbox->n == 0 ? "451 4.7.1 later" : "250 2.0.0 queued";
}

static void line_of(const char *mail, const char *name, char *ret_line, size_t size)
{
    const char *at = strstr(mail, name);

    assert_non_null(at);
    (void)snprintf(ret_line, size, "%.*s", (int)strcspn(at, "\r"), at);
}

static void check_signature(const struct far_request *request)
{
    const char *time = json_string_value(json_object_get(request->headers, "X-Time"));
    const char *signature = json_string_value(json_object_get(request->headers, "X-Signature"));
    const char *login = json_string_value(json_object_get(request->headers, "Authorization"));
    char wanted[CLEW__DIGEST_TEXT];

    assert_non_null(time);
    assert_non_null(signature);
    assert_in_range(strtoll(time, NULL, 10), request->at / CLEW__SECOND_NS - 5,
                    request->at / CLEW__SECOND_NS);
    clew__sign("SECRETkey", time, request->text, strlen(request->text), wanted);
    assert_string_equal(signature, wanted);
    assert_string_equal(login, "Bearer SECRETtoken");
}

static void test_daemon_delivers_mail_and_webhooks(void **state)
{
    const struct made_alert firing[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1},
                                        {"A", "critical", "firing", "2026-01-01T00:00:00Z", 2}};
    const struct made_alert over[] = {{"A", "critical", "resolved", "2026-01-01T00:00:00Z", 1},
                                      {"A", "critical", "resolved", "2026-01-01T00:00:00Z", 2}};
    struct mailbox mailbox = {.decide = refuse_first_mail};
    char one[256], two[256], *log;

    (void)state;
    mailbox_start(&mailbox);
    (void)bench_write(&bench, "config.yml",
                      "listen: 127.0.0.1:0\n"
                      "storage: %s/store.db\n"
                      "route: {receiver: a}\n"
                      "receivers:\n"
                      "  - name: a\n"
                      "    email_configs:\n"
                      "      - {to: 'ops@example.org', from: 'bridge@example.org',\n"
                      "         smarthost: '127.0.0.1:%u', require_tls: false,\n"
                      "         auth_username: user, auth_password: SECRETpw,\n"
                      "         send_resolved: true}\n"
                      "    webhook_configs:\n"
                      "      - url: 'http://127.0.0.1:%u/hook/SECRETpath'\n"
                      "        http_config: {authorization: {credentials: SECRETtoken}}\n"
                      "        hmac_config: {secret: SECRETkey, header: X-Signature,\n"
                      "                      timestamp_header: X-Time}\n"
                      "    msteamsv2_configs:\n"
                      "      - webhook_url: 'http://127.0.0.1:%u/v2/teams/SECRETflow'\n",
                      bench.directory, mailbox.port, far.port, far.port);
    start();
    assert_int_equal(post_made(firing, 2), 200);
    assert_true(mailbox_wait(&mailbox, 2, 20));
    assert_int_equal(post_made(over, 2), 200);
    assert_true(mailbox_wait(&mailbox, 3, 20));
    assert_true(wait_done(20));
    assert_int_equal(far_count(&far), 4);
    for (size_t i = 0, hooks = 0; i < 4; i++) {
        const struct far_request *request = &far.requests[i];

        if (strncmp(request->path, "/hook/", 6) != 0)
            continue;
        check_signature(request);
        assert_string_equal(json_string_value(json_object_get(request->body, "status")),
                            hooks++ ? "resolved" : "firing");
        assert_int_equal(json_array_size(json_object_get(request->body, "alerts")), 2);
        assert_string_equal(json_string_value(json_object_get(request->body, "groupKey")), "g");
    }
    assert_int_equal(mailbox.n, 3);
    assert_int_equal(mailbox.violations, 0);
    line_of(mailbox.mails[0].text, "Message-ID: ", one, sizeof(one));
    line_of(mailbox.mails[1].text, "Message-ID: ", two, sizeof(two));
    assert_string_equal(one, two); /* the same page */
    line_of(mailbox.mails[2].text, "Message-ID: ", two, sizeof(two));
    assert_string_not_equal(one, two);
    line_of(mailbox.mails[1].text, "References: ", one, sizeof(one));
    line_of(mailbox.mails[2].text, "References: ", two, sizeof(two));
    assert_string_equal(one, two); /* the same thread */
    assert_non_null(strstr(mailbox.mails[1].text, "\r\nSubject: [FIRING:2] A\r\n"));
    assert_non_null(strstr(mailbox.mails[2].text, "\r\nSubject: [RESOLVED] A\r\n"));
    assert_int_equal(stop(SIGTERM), 0);
    log = read_text(bench_path(&bench, "log"), NULL);
    assert_non_null(strstr(log, "smtp_451"));
    assert_null(strstr(log, "SECRET"));
    free(log);
    mailbox_stop(&mailbox);
}

static void test_daemon_takes_ten_thousand_alerts(void **state)
{
    enum { N = 10000 };
    struct made_alert *alerts = calloc(N, sizeof(*alerts));
    int64_t begin;

    (void)state;
    for (unsigned i = 0; i < N; i++)
        alerts[i] = (struct made_alert){"A", "warning", "firing", "2026-01-01T00:00:00Z", i + 1};
    start();
    begin = clew__instant_now();
    assert_int_equal(post_made(alerts, N), 200);
    /* Far below Alertmanager's deadline, even with sanitizers on a slow machine. */
    assert_true(clew__instant_now() - begin < 8 * CLEW__SECOND_NS);
    assert_true(wait_done(30));
    assert_int_equal(far_count(&far), 1); /* one Slack message */
    assert_int_equal(stop(SIGTERM), 0);
    free(alerts);
}

struct killer {
    pid_t pid;
    unsigned after_us;
};

static void *kill_later(void *arg)
{
    struct killer *killer = arg;

    (void)usleep(killer->after_us);
    (void)kill(killer->pid, SIGKILL);
    return NULL;
}

/* Round by round: webhooks while a kill -9 comes after a growing delay; what was
 * acknowledged has to be delivered after the next start, once. */
static void test_daemon_survives_kill_at_any_moment(void **state)
{
    enum { ROUNDS = 24, PER_ROUND = 6 };
    bool acknowledged[ROUNDS * PER_ROUND] = {false};
    unsigned n = 0;
    struct pager pager;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct killer killer = {.after_us = round * 700};
        pthread_t thread;
        int status;

        start();
        killer.pid = pid;
        if (round % 2 == 0) /* from the first request on; else from the second */
            assert_int_equal(pthread_create(&thread, NULL, kill_later, &killer), 0);
        for (unsigned i = 0; i < PER_ROUND; i++) {
            unsigned number = round * PER_ROUND + i;
            const struct made_alert alert = {"A", "critical", "firing", "2026-01-01T00:00:00Z",
                                             number + 1};

            acknowledged[number] = post_made(&alert, 1) == 200;
            n += acknowledged[number];
            if (round % 2 && i == 0)
                assert_int_equal(pthread_create(&thread, NULL, kill_later, &killer), 0);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        pid = 0;
    }
    start();
    assert_true(wait_done(60));
    assert_true(n >= ROUNDS / 2); /* the kills left something to check */
    pager = far_pager(&far);
    assert_in_range(pager.opened, n, ROUNDS * PER_ROUND);
    assert_int_equal(pager.most, 1);
    for (unsigned i = 0; i < ROUNDS * PER_ROUND; i++) {
        char source[16];
        bool delivered = false;

        (void)snprintf(source, sizeof(source), "host-%u", i + 1);
        for (size_t j = 0; j < far.n && acknowledged[i]; j++) {
            json_t *payload = json_object_get(far.requests[j].body, "payload");
            const char *text = json_string_value(json_object_get(payload, "source"));

            delivered = delivered || (text && strcmp(text, source) == 0);
        }
        assert_true(delivered || !acknowledged[i]);
    }
    /* And all of it can be resolved: no incident stays open, none comes late. */
    for (unsigned i = 0; i < ROUNDS * PER_ROUND; i++) {
        const struct made_alert over = {"A", "critical", "resolved", "2026-01-01T00:00:00Z", i + 1};

        assert_int_equal(post_made(&over, 1), 200);
    }
    assert_true(wait_done(60));
    assert_int_equal(far_pager(&far).open, 0);
    assert_int_equal(stop(SIGTERM), 0);
}

/* Killed while the far side is asked, over and over. */
static void test_daemon_survives_kill_while_sending(void **state)
{
    enum { N = 12 };
    struct made_alert alerts[N];

    (void)state;
    for (unsigned i = 0; i < N; i++)
        alerts[i] = (struct made_alert){"A", "critical", "firing", "2026-01-01T00:00:00Z", i + 1};
    far.hang_path = "/v2/";
    far.hang_ms = 20;
    start();
    assert_int_equal(post_made(alerts, N), 200);
    for (unsigned i = 0; i < 6; i++) {
        size_t seen = far_count(&far);

        (void)far_wait(&far, seen + 1 + i % 2, 10);
        assert_true(WIFSIGNALED(stop(SIGKILL)));
        start();
    }
    assert_true(wait_done(60));
    assert_int_equal(far_pager(&far).opened, N);
    assert_int_equal(far_pager(&far).most, 1);
    for (unsigned i = 0; i < N; i++)
        alerts[i].status = "resolved";
    assert_int_equal(post_made(alerts, N), 200);
    assert_true(wait_done(60));
    assert_int_equal(far_pager(&far).open, 0);
    assert_false(far_pager(&far).late);
    assert_int_equal(stop(SIGTERM), 0);
}

static int run(const char *const *arguments, char **ret_output)
{
    int status;

    (void)unlink(bench_path(&bench, "run"));
    assert_true(waitpid(spawn(arguments, "run"), &status, 0) > 0);
    assert_true(WIFEXITED(status));
    *ret_output = read_text(bench_path(&bench, "run"), NULL);
    return WEXITSTATUS(status);
}

static void test_daemon_commands(void **state)
{
    char good[128], bad[128], sample[512], *text;

    (void)state;
    (void)snprintf(good, sizeof(good), "%s", bench_path(&bench, "config.yml"));
    (void)snprintf(bad, sizeof(bad), "%s", bench_write(&bench, "bad.yml", "storage: x\nno: 1\n"));
    (void)snprintf(sample, sizeof(sample), "%s",
                   CLEW_TEST_DATA "/alertmanager/firing_single_critical.json");
    assert_int_equal(run((const char *const[]){program, "check", good, NULL}, &text), 0);
    free(text);
    assert_int_equal(run((const char *const[]){program, "check", bad, NULL}, &text), 1);
    assert_non_null(strstr(text, "bad.yml:2:1: unknown key \"no\""));
    free(text);
    assert_int_equal(run((const char *const[]){program, "--config", bad, NULL}, &text), 1);
    assert_non_null(strstr(text, "bad.yml:2:1: unknown key \"no\""));
    free(text);
    assert_int_equal(run((const char *const[]){program, "--config", "/none.yml", NULL}, &text), 1);
    free(text);
    assert_int_equal(run((const char *const[]){program, "route-test", good, sample, NULL}, &text),
                     0);
    assert_non_null(strstr(text, "on-call: slack[0], pagerduty[0]; because of default route > "
                                 "severity=\"critical\""));
    assert_null(strstr(text, "SECRET"));
    free(text);
    assert_int_equal(run((const char *const[]){program, "route-test", good, good, NULL}, &text), 1);
    free(text);
    {
        const char *const wrong[][6] = {
            {program},
            {program, "explain"},
            {program, "explain", "--dead", "12"},
            {program, "deliveries", "--dead", "--queued"},
            {program, "deliveries", "12"},
            {program, "deliver"},
            {program, "replay"},
            {program, "replay", "12", "--dead"},
            {program, "replay", "--queued"},
            {program, "check", good, "--json"},
            {program, "--config", good, "--dead"},
            {program, "bogus"},
            {program, "--bogus"},
        };

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            if (run(wrong[i], &text) != 64 || !strstr(text, "usage:"))
                fail_msg("case %zu: %s", i, text);
            free(text);
        }
    }
    assert_int_equal(run((const char *const[]){program, "--help", NULL}, &text), 0);
    assert_non_null(strstr(text, "usage:"));
    free(text);
    assert_int_equal(run((const char *const[]){program, "--version", NULL}, &text), 0);
    assert_memory_equal(text, "alertbridge ", 12);
    free(text);
}

static unsigned refuse_once(struct far *far_side, const struct far_request *request,
                            const char **text, const char **retry_after)
{
    bool *refused = far_side->arg;

    (void)text, (void)retry_after;
    if (strncmp(request->path, "/v2/", 4) != 0)
        return 200;
    if (*refused)
        return 202;
    *refused = true;
    return 404;
}

/* A dead letter goes out after a replay, while the bridge runs. */
static void test_daemon_replays_dead_letters(void **state)
{
    const struct made_alert alert = {"A", "critical", "firing", "2026-01-01T00:00:00Z", 1};
    bool refused = false;
    char config[128], *text;

    (void)state;
    far.decide = refuse_once;
    far.arg = &refused;
    (void)snprintf(config, sizeof(config), "%s", bench_path(&bench, "config.yml"));
    start();
    assert_int_equal(post_made(&alert, 1), 200);
    assert_true(wait_done(20));
    assert_int_equal(far_pager(&far).opened, 0);
    assert_int_equal(
        run((const char *const[]){program, "deliveries", "--dead", "--config", config, NULL},
            &text),
        0);
    assert_non_null(strstr(text, "http_404"));
    free(text);
    assert_int_equal(
        run((const char *const[]){program, "replay", "--dead", "--config", config, NULL}, &text),
        0);
    assert_string_equal(text, "1 replayed, 0 left\n");
    free(text);
    assert_true(far_wait(&far, 3, 20));
    assert_true(wait_done(20));
    assert_int_equal(far_pager(&far).opened, 1);
    assert_int_equal(run((const char *const[]){program, "explain", "--config", config, "--json",
                                               "0000000000000001", NULL},
                         &text),
                     0);
    assert_non_null(strstr(text, "\"decision\":\"replayed\""));
    free(text);
    assert_int_equal(stop(SIGTERM), 0);
}

static bool wait_log(const char *text, size_t from)
{
    int64_t give_up = clew__instant_now() + 30 * CLEW__SECOND_NS;
    bool found = false;

    while (!found && clew__instant_now() < give_up) {
        char *log = read_text(bench_path(&bench, "log"), NULL);

        found = strlen(log) > from && strstr(log + from, text);
        free(log);
        if (!found)
            (void)usleep(5000);
    }
    return found;
}

/* SIGHUP, and what the log has to say then. */
static void reload(const char *text)
{
    size_t before = log_size();

    assert_int_equal(kill(pid, SIGHUP), 0);
    if (!wait_log(text, before))
        fail_msg("the log does not say: %s", text);
}

static void test_daemon_keeps_its_configuration_if_the_new_one_is_wrong(void **state)
{
    const struct made_alert alert = {"A", "critical", "firing", "2026-01-01T00:00:00Z", 1};

    (void)state;
    write_config("webhook: {max_body_bytes: 4096}\n");
    start();
    write_config("webhook: {max_body_bytes: 1}\n");
    reload("config.yml:16:27: expected a number");
    assert_int_equal(post_made(&alert, 1), 200);
    assert_true(wait_done(20));
    assert_int_equal(far_pager(&far).opened, 1);
    write_config("webhook: {bearer_token: SECRETtoken}\n");
    reload("the configuration was read again");
    assert_int_equal(post_made(&alert, 1), 401);
    assert_int_equal(with_header("/api/v1/alerts", "Authorization: Bearer SECRETtoken", NULL), 200);
    write_config("");
    reload("the configuration was read again");
    assert_int_equal(post_made(&alert, 1), 200);
    assert_int_equal(stop(SIGTERM), 0);
}

enum { LOADERS = 4, LOADS = 60 };

static void *load(void *arg)
{
    unsigned first = *(unsigned *)arg;

    for (unsigned i = 0; i < LOADS; i++) {
        const struct made_alert alert = {"A", "critical", "firing", "2026-01-01T00:00:00Z",
                                         first * LOADS + i + 1};

        if (post_made(&alert, 1) != 200)
            abort();
    }
    return NULL;
}

/* Every webhook is taken, and every page goes out once, whatever is exchanged. */
static void test_daemon_reloads_under_load(void **state)
{
    pthread_t threads[LOADERS];
    unsigned numbers[LOADERS];

    (void)state;
    far.hang_path = "/v2/";
    far.hang_ms = 2;
    start();
    for (unsigned i = 0; i < LOADERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, load, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        write_config(i % 2 ? "" : "external_url: http://other.example\n");
        reload("the configuration was read again");
    }
    for (unsigned i = 0; i < LOADERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(wait_done(60));
    assert_int_equal(far_pager(&far).opened, LOADERS * LOADS);
    assert_int_equal(far_pager(&far).most, 1);
    assert_int_equal(stop(SIGTERM), 0);
}

/* What the service manager is told next, watchdog's pings aside. */
static void expect_notice(int fd, const char *text)
{
    char state[256];
    ssize_t len;

    do {
        len = recv(fd, state, sizeof(state) - 1, 0);
        assert_true(len > 0);
        state[len] = '\0';
    } while (strcmp(state, "WATCHDOG=1") == 0);
    if (strncmp(state, text, strlen(text)) != 0)
        fail_msg("wanted %s, got %s", text, state);
}

static void test_daemon_tells_the_service_manager(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 30};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", bench_path(&bench, "notify"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    start();
    (void)unsetenv("NOTIFY_SOCKET");
    expect_notice(fd, "READY=1");
    assert_int_equal(kill(pid, SIGHUP), 0);
    expect_notice(fd, "RELOADING=1\nMONOTONIC_USEC=");
    expect_notice(fd, "READY=1\nSTATUS=");
    assert_int_equal(stop(SIGTERM), 0);
    expect_notice(fd, "STOPPING=1");
    (void)close(fd);
}

int main(int argc, char **argv)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_daemon_commands),
        TEST(test_daemon_answers),
        TEST(test_daemon_bounds_the_body),
        TEST(test_daemon_authenticates),
        TEST(test_daemon_delivers_the_samples),
        TEST(test_daemon_delivers_mail_and_webhooks),
        TEST(test_daemon_takes_ten_thousand_alerts),
        TEST(test_daemon_survives_kill_at_any_moment),
        TEST(test_daemon_survives_kill_while_sending),
        TEST(test_daemon_replays_dead_letters),
        TEST(test_daemon_keeps_its_configuration_if_the_new_one_is_wrong),
        TEST(test_daemon_reloads_under_load),
        TEST(test_daemon_tells_the_service_manager),
    };

    if (argc != 2)
        return 64;
    program = argv[1];
    (void)signal(SIGPIPE, SIG_IGN);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
