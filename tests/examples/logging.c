/* SPDX-License-Identifier: Apache-2.0
 * The log calls of liblog/README.md, whole: build it against libclew alone. */
#include <clew/logger.h>

#include <errno.h>
#include <sys/socket.h>

static size_t queue_state(void *queue, char *buf, size_t size)
{
    static const char text[] = "3 waiting";

    (void)queue;
    for (size_t i = 0; i < sizeof(text) - 1 && i < size; i++)
        buf[i] = text[i];
    return sizeof(text) - 1;
}

int main(void)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    const int shards[] = {1, 4, 9};
    const struct clew_logger *pool;

    if (clew_log_start("shop", "1.4.0") < 0)
        return 1;
    clew_info("Order placed", clew_kv("order_id", 7), clew_kv("amount", 100.25),
              clew_array("shards", shards, 3),
              clew_object("customer", clew_kv("name", "Ada"), clew_secret("email", "ada@x.org")));
    clew_warn("Peer gone", clew_ip("peer", (struct sockaddr *)&peer),
              clew_errno("error", ECONNRESET), clew_duration("after", INT64_C(1500000)),
              clew_lazy("queue", queue_state, NULL));
    clew_infof("%d files in %s", 3, "/var/spool");

    pool = clew_logger_with(clew_logger_get("db.pool"), clew_kv("pool", "orders"));
    clew_info_to(pool, "Connection opened", clew_kv("free", 4));

    clew_log_limited(CLEW_LEVEL_WARN, CLEW_PER_SECOND(10), "Disk slow", clew_kv("ms", 140));
    clew_log_limited(CLEW_LEVEL_INFO, CLEW_FIRST(5, 1000), "Cache miss");

    return clew_log_set_levels("info,db=debug,message:Cache*=off") < 0;
}
