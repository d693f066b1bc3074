/* SPDX-License-Identifier: Apache-2.0
 * The program is killed (SIGKILL) between Slack's taking a message and our knowing
 * of it, again and again: every message is there, once. argv[1] is the program. */
#include "workspace.h"

#include <common/instant.h>

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program;
static struct bench bench;
static struct far far;
static struct workspace workspace;
static _Atomic pid_t pid;

/* Every how manyth post kills: before the answer, so that it is lost, or with it. */
struct killer {
    unsigned posts, every;
    bool answer;
    atomic_uint kills;
};

static const char *kill_at_posts(struct workspace *self, const char *method, const json_t *body,
                                 bool done, unsigned *status, const char **retry_after)
{
    struct killer *killer = self->arg;
    pid_t victim = pid;

    (void)body, (void)retry_after;
    if (!done || strcmp(method, "chat.postMessage") != 0 || victim <= 0 ||
        ++killer->posts % killer->every != 0)
        return NULL;
    (void)kill(victim, SIGKILL);
    (void)atomic_fetch_add(&killer->kills, 1);
    if (killer->answer)
        return NULL;
    *status = 0;
    return "";
}

static void write_config(void)
{
    (void)bench_write(&bench, "config.yml",
                      "listen: 127.0.0.1:0\n"
                      "storage: %s/store.db\n"
                      "route: {receiver: a}\n"
                      "receivers:\n"
                      "  - name: a\n"
                      "    slack_configs:\n"
                      "      - {api_url: 'http://127.0.0.1:%u/api', bot_token: '" BOT_TOKEN
                      "', channel: C1}\n",
                      bench.directory, far.port);
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

static void spawn(void)
{
    char config[128], output[128];
    pid_t child;

    (void)snprintf(config, sizeof(config), "%s", bench_path(&bench, "config.yml"));
    (void)snprintf(output, sizeof(output), "%s", bench_path(&bench, "out"));
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);

        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        (void)execl(program, program, "--config", config, (char *)NULL);
        _exit(127);
    }
    pid = child;
}

/* Its port, once it listens; it may be killed before that, again and again. */
static uint16_t start(void)
{
    int64_t give_up = clew__instant_now() + 60 * CLEW__SECOND_NS;
    size_t before = log_size();
    uint16_t port = 0;

    spawn();
    while (port == 0 && clew__instant_now() < give_up) {
        char *log = log_size() > before ? read_text(bench_path(&bench, "log"), NULL) : NULL;
        const char *at = log ? strstr(log + before, "alertbridge listens") : NULL;

        at = at ? strstr(at, "\"port\":") : NULL;
        if (at && strchr(at, '}'))
            port = (uint16_t)strtoul(at + 7, NULL, 10);
        free(log);
        if (port == 0 && waitpid(pid, NULL, WNOHANG) == pid)
            spawn();
        (void)usleep(2000);
    }
    return port;
}

static void end(void)
{
    pid_t child = pid;

    pid = 0;
    if (child <= 0)
        return;
    (void)kill(child, SIGTERM);
    (void)waitpid(child, NULL, 0);
}

/* Until it is acknowledged, as Alertmanager does. */
static void fire(uint16_t *port, unsigned group, unsigned number)
{
    const struct made_alert one[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", number}};
    char key[16], *body;

    (void)snprintf(key, sizeof(key), "g%u", group);
    body = make_body(key, "http://am.example", 0, one, 1);
    while (post(*port, "/api/v1/alertmanager", body, strlen(body), NULL) != 200) {
        (void)usleep(2000);
        if (waitpid(pid, NULL, WNOHANG) == pid)
            *port = start();
        assert_true(*port > 0);
    }
    free(body);
}

static size_t messages(void)
{
    size_t n;

    (void)pthread_mutex_lock(&far.lock);
    n = workspace.n;
    (void)pthread_mutex_unlock(&far.lock);
    return n;
}

static void check_once(void)
{
    for (size_t i = 0; i < workspace.n; i++)
        for (size_t k = i + 1; k < workspace.n; k++)
            assert_string_not_equal(workspace.messages[i].delivery, workspace.messages[k].delivery);
}

#define GROUPS 3u

/* Two alerts a group: a message and a note each. The program goes again whenever it was
 * killed, until everything is said. */
static void survive(bool answer)
{
    struct killer killer = {.every = 2, .answer = answer};
    int64_t give_up = clew__instant_now() + 100 * CLEW__SECOND_NS;
    uint16_t port;

    bench_init(&bench);
    far_start(&far);
    workspace_init(&workspace, &far);
    write_config();
    port = start();
    assert_true(port > 0);
    for (unsigned i = 0; i < GROUPS; i++)
        fire(&port, i, 2 * i);
    while (messages() < GROUPS && clew__instant_now() < give_up)
        (void)usleep(2000);
    workspace.arg = &killer;
    workspace.stumble = kill_at_posts;
    for (unsigned i = 0; i < GROUPS; i++)
        fire(&port, i, 2 * i + 1);
    for (unsigned i = GROUPS; i < 2 * GROUPS; i++)
        fire(&port, i, 2 * i);
    while (messages() < 3 * GROUPS && clew__instant_now() < give_up) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            (void)start();
        (void)usleep(2000);
    }
    (void)usleep(300000); /* a double would come now */
    end();
    assert_int_equal(workspace_count(&workspace, "C1", false), 2 * GROUPS);
    assert_int_equal(workspace_count(&workspace, "C1", true), GROUPS);
    check_once();
    assert_true(killer.kills >= 2);
    far_stop(&far);
    workspace_done(&workspace);
    bench_done(&bench);
}

static void test_killed_before_the_answer(void **state)
{
    (void)state;
    survive(false);
}

static void test_killed_with_the_answer(void **state)
{
    (void)state;
    survive(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_before_the_answer),
        cmocka_unit_test(test_killed_with_the_answer),
    };

    if (argc != 2)
        return 64;
    program = argv[1];
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
