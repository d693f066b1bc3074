/* SPDX-License-Identifier: Apache-2.0
 * Programs that share a store in PostgreSQL: each page goes out once, whoever is
 * killed or stopped, the database included. argv[1] is the program; the database is
 * one that comes back (see with_server). */
#include "bridge.h"
#include "relay.h"

#include <common/instant.h>

#include <clew/log.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH "/api/v1/alertmanager"
#define NREPLICAS 3

struct replica {
    pid_t pid; /* 0: not running */
    uint16_t port, management;
    bool by_relay; /* speaks with the database through it */
    char log[128];
};

static const char *program;
static struct bench bench;
static struct far far;
static struct replica replicas[NREPLICAS];
static struct relay relay;
static unsigned nlogs;

/* host: the directory of the database's socket */
static void write_config(const char *name, const char *host)
{
    const char *text = usual_config(far.port, ""), *storage = "storage: unused";
    const char *at = strstr(text, storage), *rest = strchr(bench.storage, ' ');

    (void)bench_write(&bench, name, "%.*sstorage: host=%s%s%s", (int)(at - text), text, host, rest,
                      at + strlen(storage));
}

/* The number behind key in the first line with word; 0: not there yet. */
static unsigned logged(const struct replica *replica, const char *word, const char *key)
{
    char *log = access(replica->log, R_OK) == 0 ? read_text(replica->log, NULL) : NULL;
    const char *at = log ? strstr(log, word) : NULL, *end = at ? strchr(at, '\n') : NULL;
    unsigned number = 0;

    at = end ? strstr(at, key) : NULL;
    if (at && at < end)
        number = (unsigned)strtoul(at + strlen(key), NULL, 10);
    free(log);
    return number;
}

/* One that is free now. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void start(struct replica *replica)
{
    char config[128], output[128], management[32];
    int64_t give_up = clew__instant_now() + 30 * CLEW__SECOND_NS;

    replica->management = free_port();
    (void)snprintf(management, sizeof(management), "127.0.0.1:%u", replica->management);
    (void)snprintf(config, sizeof(config), "%s/%s", bench.directory,
                   replica->by_relay ? "relay.yml" : "config.yml");
    (void)snprintf(output, sizeof(output), "%s/out", bench.directory);
    (void)snprintf(replica->log, sizeof(replica->log), "%s/log%u", bench.directory, nlogs++);
    (void)fflush(NULL);
    replica->pid = fork();
    assert_true(replica->pid >= 0);
    if (replica->pid == 0) {
        int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);

        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        (void)setenv("CLEW_LOG_OUTPUT", replica->log, 1);
        (void)setenv("CLEW_MANAGEMENT_ADDRESS", management, 1);
        execl(program, program, "--config", config, (char *)NULL);
        _exit(127);
    }
    for (replica->port = 0; replica->port == 0; (void)usleep(2000)) {
        assert_true(clew__instant_now() < give_up);
        assert_int_equal(waitpid(replica->pid, NULL, WNOHANG), 0);
        replica->port = (uint16_t)logged(replica, "alertbridge listens", "\"port\":");
    }
}

static void stop(struct replica *replica, int signal)
{
    assert_int_equal(kill(replica->pid, signal), 0);
    assert_int_equal(waitpid(replica->pid, NULL, 0), replica->pid);
    replica->pid = 0;
}

static int setup(void **state)
{
    char from[108], to[108];

    (void)state;
    bench_init(&bench);
    far_start(&far);
    write_config("config.yml", getenv("CLEW_TEST_POSTGRES"));
    write_config("relay.yml", bench.directory);
    (void)snprintf(from, sizeof(from), "%s/.s.PGSQL.5432", bench.directory);
    (void)snprintf(to, sizeof(to), "%s/.s.PGSQL.5432", getenv("CLEW_TEST_POSTGRES"));
    relay_start(&relay, from, to);
    memset(replicas, 0, sizeof(replicas));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NREPLICAS; i++)
        if (replicas[i].pid > 0) {
            (void)kill(replicas[i].pid, SIGCONT);
            stop(&replicas[i], SIGKILL);
        }
    relay_stop(&relay);
    far_stop(&far);
    bench_done(&bench);
    return 0;
}

/* ---- what happens ---------------------------------------------------- */

/* One critical alert: a message and an incident. */
static unsigned post_alert(const struct replica *replica, unsigned number, const char *status)
{
    char name[32], *body;
    const struct made_alert alert = {name, "critical", status, "2026-01-01T00:00:00Z", number};
    unsigned answer;

    (void)snprintf(name, sizeof(name), "Alert%u", number);
    body = make_body(name, "http://am.example", 0, &alert, 1);
    answer = post(replica->port, PATH, body, strlen(body), NULL);
    free(body);
    return answer;
}

static bool wait_done(const struct replica *replica, unsigned seconds)
{
    int64_t give_up = clew__instant_now() + seconds * CLEW__SECOND_NS;

    while (clew__instant_now() < give_up) {
        char *text = NULL;
        bool done = get(replica->port, "/api/v1/deliveries", &text) == 200 &&
                    !strstr(text, "\"state\":\"queued\"");

        free(text);
        if (done)
            return true;
        (void)usleep(10000);
    }
    return false;
}

static unsigned wait_for_answer(const struct replica *replica, unsigned number, unsigned wanted)
{
    int64_t give_up = clew__instant_now() + 30 * CLEW__SECOND_NS;
    unsigned answer;

    while ((answer = post_alert(replica, number, "firing")) != wanted &&
           clew__instant_now() < give_up)
        (void)usleep(20000);
    return answer;
}

/* Who sends: waits until some replica has taken a lease. */
static struct replica *wait_for_holder(void)
{
    int64_t give_up = clew__instant_now() + 20 * CLEW__SECOND_NS;

    while (clew__instant_now() < give_up) {
        for (unsigned i = 0; i < NREPLICAS; i++)
            if (replicas[i].pid > 0 && logged(&replicas[i], "lease taken", "\"epoch\":") > 0)
                return &replicas[i];
        (void)usleep(5000);
    }
    fail_msg("nobody holds a lease");
    return NULL;
}

/* How many requests the far side has taken that were the same as an earlier one. */
static unsigned doubles(void)
{
    unsigned n = 0;

    (void)pthread_mutex_lock(&far.lock);
    for (size_t i = 0; i < far.n; i++)
        for (size_t j = i + 1; j < far.n; j++)
            if (far.requests[i].status < 300 && far.requests[j].status < 300 &&
                strcmp(far.requests[i].path, far.requests[j].path) == 0 &&
                json_equal(far.requests[i].body, far.requests[j].body))
                n++;
    (void)pthread_mutex_unlock(&far.lock);
    return n;
}

static void test_replicas_send_each_page_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NREPLICAS; i++)
        start(&replicas[i]);
    for (unsigned n = 0; n < 30; n++)
        for (unsigned i = 0; i < 2; i++) /* the pair of Alertmanagers, and two doors */
            assert_int_equal(post_alert(&replicas[(n + i) % NREPLICAS], n, "firing"), 200);
    for (unsigned n = 0; n < 30; n++)
        assert_int_equal(post_alert(&replicas[n % NREPLICAS], n, "resolved"), 200);
    assert_true(far_wait(&far, 120, 30));
    assert_true(wait_done(&replicas[0], 10));
    assert_int_equal(far_count(&far), 120);
    assert_int_equal(far_pager(&far).opened, 30);
    assert_int_equal(far_pager(&far).open, 0);
    assert_false(far_pager(&far).late);
    assert_int_equal(doubles(), 0);
}

static void test_replicas_killed_holder_is_replaced(void **state)
{
    struct replica *holder, *other;
    int64_t killed_at;

    (void)state;
    start(&replicas[0]);
    start(&replicas[1]);
    holder = wait_for_holder();
    other = holder == &replicas[0] ? &replicas[1] : &replicas[0];
    assert_int_equal(post_alert(other, 1, "firing"), 200);
    assert_true(far_wait(&far, 2, 10));
    assert_true(wait_done(other, 10));
    stop(holder, SIGKILL);
    killed_at = clew__instant_now();
    assert_int_equal(post_alert(other, 2, "firing"), 200);
    assert_true(far_wait(&far, 4, 20));
    print_message("taken over after %.2f s\n",
                  (double)(far.requests[far.n - 1].at - killed_at) / 1e9);
    assert_true(far.requests[far.n - 1].at - killed_at < 5 * CLEW__SECOND_NS);
    assert_true(wait_done(other, 10));
    assert_int_equal(far_count(&far), 4);
}

/* The far side refuses while the holder has the work, and takes it when another one
 * has: so nothing is in flight when the holder is stopped. */
static unsigned refuse_while(struct far *self, const struct far_request *request, const char **text,
                             const char **retry_after)
{
    const atomic_bool *refuse = self->arg;

    (void)text, (void)request;
    *retry_after = "1";
    return atomic_load(refuse) ? 503 : 202;
}

static void test_replicas_stopped_holder_sends_nothing_later(void **state)
{
    struct replica *holder, *other;
    atomic_bool refuse = true;
    int64_t stopped_at;
    size_t before;

    (void)state;
    far.arg = &refuse;
    far.decide = refuse_while;
    start(&replicas[0]);
    start(&replicas[1]);
    holder = wait_for_holder();
    other = holder == &replicas[0] ? &replicas[1] : &replicas[0];
    for (unsigned n = 0; n < 20; n++)
        assert_int_equal(post_alert(n % 2 ? holder : other, n, "firing"), 200);
    assert_true(far_wait(&far, 2, 20));
    (void)usleep(300000); /* the answers were read, the next attempt is not due */
    assert_int_equal(kill(holder->pid, SIGSTOP), 0);
    stopped_at = clew__instant_now();
    before = far_count(&far);
    atomic_store(&refuse, false);
    assert_true(far_wait(&far, before + 40, 30));
    print_message("taken over after %.2f s\n",
                  (double)(far.requests[before].at - stopped_at) / 1e9);
    assert_true(far.requests[before].at - stopped_at < 8 * CLEW__SECOND_NS);
    assert_int_equal(kill(holder->pid, SIGCONT), 0);
    assert_int_equal(post_alert(holder, 100, "firing"), 200);
    assert_true(far_wait(&far, before + 42, 30));
    assert_true(wait_done(other, 10));
    assert_int_equal(far_count(&far), before + 42);
    assert_int_equal(doubles(), 0);
    assert_int_equal(far_pager(&far).opened, 21);
}

/* Whoever holds the work is cut off from the database, not from the far side: another one
 * takes over, and it sends nothing meanwhile, nor when the network is back. */
static void test_replicas_cut_off_holder_sends_nothing(void **state)
{
    struct replica *cut = &replicas[0], *other = &replicas[1];
    atomic_bool refuse = true;
    int64_t cut_at;
    size_t before;

    (void)state;
    far.arg = &refuse;
    far.decide = refuse_while;
    cut->by_relay = true;
    start(cut);
    assert_ptr_equal(wait_for_holder(), cut);
    start(other);
    for (unsigned n = 0; n < 20; n++)
        assert_int_equal(post_alert(n % 2 ? cut : other, n, "firing"), 200);
    assert_true(far_wait(&far, 2, 20));
    (void)usleep(300000); /* the answers were read, the next attempt is not due */
    atomic_store(&relay.cut, true);
    cut_at = clew__instant_now();
    before = far_count(&far);
    assert_int_equal(post_alert(cut, 50, "firing"), 503);
    atomic_store(&refuse, false);
    assert_true(far_wait(&far, before + 40, 60));
    print_message("taken over after %.2f s\n", (double)(far.requests[before].at - cut_at) / 1e9);
    assert_true(wait_done(other, 20));
    assert_int_equal(post_alert(other, 100, "firing"), 200);
    atomic_store(&relay.cut, false);
    assert_int_equal(wait_for_answer(cut, 101, 200), 200);
    assert_true(wait_done(other, 20));
    assert_int_equal(doubles(), 0);
    assert_int_equal(far_pager(&far).opened, 22);
}

/* A stream of webhooks to whoever is alive, while holders are killed and started
 * again: at most what was in flight at a kill, one for each target, comes twice. */
static void test_replicas_kills_in_a_stream(void **state)
{
    unsigned n = 0, kills = 0;

    (void)state;
    start(&replicas[0]);
    start(&replicas[1]);
    for (; n < 120; n++) {
        unsigned answer;

        if (n % 40 == 20) {
            struct replica *victim = &replicas[kills++ % 2];

            stop(victim, SIGKILL);
            start(victim);
        }
        answer = post_alert(&replicas[n % 2], n, "firing");
        assert_int_equal(answer, 200);
    }
    assert_true(wait_done(&replicas[0], 60));
    assert_int_equal(far_pager(&far).opened, 120);
    assert_int_equal(far_pager(&far).most, 1);
    assert_true(far_count(&far) >= 240);
    print_message("%u kills, %u requests twice\n", kills, doubles());
    assert_true(doubles() <= 2 * kills);
}

/* ---- the database ---------------------------------------------------- */

static pid_t database_pid(void)
{
    char path[256], *text;
    pid_t pid;

    (void)snprintf(path, sizeof(path), "%s/data/postmaster.pid", getenv("CLEW_TEST_POSTGRES"));
    text = read_text(path, NULL);
    pid = (pid_t)strtol(text, NULL, 10);
    free(text);
    return pid;
}

static void hold_database(bool hold)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/hold", getenv("CLEW_TEST_POSTGRES"));
    if (hold) {
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
        assert_int_equal(kill(database_pid(), SIGKILL), 0);
    } else {
        assert_int_equal(unlink(path), 0);
    }
}

/* Whether /health/ready comes to answer so, which a load balancer asks. */
static bool becomes(const struct replica *replica, unsigned ready)
{
    int64_t give_up = clew__instant_now() + 20 * CLEW__SECOND_NS;

    while (get(replica->management, "/health/ready", NULL) != ready)
        if (clew__instant_now() > give_up || usleep(20000) != 0)
            return false;
    return true;
}

static void test_replicas_wait_for_the_database(void **state)
{
    (void)state;
    start(&replicas[0]);
    start(&replicas[1]);
    assert_int_equal(post_alert(&replicas[0], 1, "firing"), 200);
    assert_true(far_wait(&far, 2, 20));
    hold_database(true);
    assert_int_equal(wait_for_answer(&replicas[0], 2, 503), 503);
    assert_int_equal(wait_for_answer(&replicas[1], 2, 503), 503);
    assert_int_equal(get(replicas[0].port, "/api/v1/alerts", NULL), 503);
    assert_true(becomes(&replicas[0], 503));
    hold_database(false);
    assert_int_equal(wait_for_answer(&replicas[0], 2, 200), 200);
    assert_int_equal(wait_for_answer(&replicas[1], 3, 200), 200);
    assert_true(becomes(&replicas[0], 200));
    assert_true(far_wait(&far, 6, 30));
    assert_true(wait_done(&replicas[0], 10));
    assert_int_equal(far_count(&far), 6);
    assert_int_equal(far_pager(&far).opened, 3);
}

/* kill -9 of the database under load: what was acknowledged is delivered. */
static void test_replicas_database_killed_under_load(void **state)
{
    unsigned acknowledged = 0;

    (void)state;
    start(&replicas[0]);
    start(&replicas[1]);
    for (unsigned n = 0; n < 200; n++) {
        if (n % 50 == 25)
            assert_int_equal(kill(database_pid(), SIGKILL), 0);
        /* As Alertmanager does: again, until it is taken. */
        assert_int_equal(wait_for_answer(&replicas[n % 2], n, 200), 200);
        acknowledged++;
    }
    assert_true(wait_done(&replicas[0], 60));
    assert_int_equal(far_pager(&far).opened, acknowledged);
    assert_int_equal(far_pager(&far).most, 1);
    print_message("%u requests twice\n", doubles());
    assert_true(doubles() <= 8);
}

int main(int argc, char **argv)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_replicas_send_each_page_once),
        TEST(test_replicas_killed_holder_is_replaced),
        TEST(test_replicas_stopped_holder_sends_nothing_later),
        TEST(test_replicas_cut_off_holder_sends_nothing),
        TEST(test_replicas_kills_in_a_stream),
        TEST(test_replicas_wait_for_the_database),
        TEST(test_replicas_database_killed_under_load),
    };

    if (argc != 2)
        return 64;
    program = argv[1];
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
