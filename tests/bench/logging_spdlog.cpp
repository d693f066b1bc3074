/* SPDX-License-Identifier: Apache-2.0
 * spdlog with a JSON-shaped pattern, synchronous and asynchronous. It escapes
 * nothing and writes text only, so it does less than is asked of ours. */
#include "logging.h"

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

static std::shared_ptr<spdlog::logger> logger;

static const char pattern[] =
    "{\"timestamp\":\"%Y-%m-%dT%H:%M:%S.%FZ\",\"level\":\"%l\",\"service\":\"bench\",%v}";

static void open_sync(const char *path)
{
    logger = spdlog::basic_logger_st("sync", path, true);
    logger->set_pattern(pattern);
}

static void open_async(const char *path)
{
    spdlog::init_thread_pool(8192, 1);
    logger = spdlog::basic_logger_mt<spdlog::async_factory>("async", path, true);
    logger->set_pattern(pattern);
}

static void log_one(int i)
{
    logger->info("\"request_id\":\"{}\",\"message\":\"Order placed\",\"context\":{{\"order_id\":{},"
                 "\"symbol\":\"{}\",\"amount\":{},\"ok\":{}}}",
                 "0197f0aa-1111-7222-8333-444455556666", i, "ACME", 100.25, true);
}

static void flush_sync()
{
    logger->flush();
}

static void flush_async()
{
    logger.reset();
    spdlog::shutdown();
}

static const struct peer sync_peer = {"spdlog sync", open_sync, log_one, flush_sync};
static const struct peer async_peer = {"spdlog async", open_async, log_one, flush_async};
const struct peer *const bench_peers[] = {&sync_peer, &async_peer, nullptr};
