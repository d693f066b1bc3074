/* SPDX-License-Identifier: Apache-2.0
 * spdlog, synchronous and with its thread pool: a JSON-shaped pattern around a
 * JSON-shaped format. It escapes nothing. Its default queue blocks when full. */
#include "peer.h"

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <string>

static std::shared_ptr<spdlog::logger> logger;
static std::string request_id, correlation_id, trace_id, span_id;

static inline __attribute__((always_inline)) void peer_log(int order_id)
{
    SPDLOG_LOGGER_INFO(
        logger,
        "\"request_id\":\"{}\",\"correlation_id\":\"{}\",\"trace_id\":\"{}\",\"span_id\":\"{}\","
        "\"message\":\"Order placed\",\"context\":{{\"order_id\":{},\"symbol\":\"{}\","
        "\"amount\":{},\"ok\":{}}}",
        request_id, correlation_id, trace_id, span_id, order_id, "ACME", 100.25, true);
}

#include "loops.h"

static void prepare()
{
    logger->set_pattern("{\"timestamp\":\"%Y-%m-%dT%H:%M:%S.%FZ\",\"level\":\"%l\","
                        "\"service\":\"bench\",%v,\"source\":{\"file\":\"%s\",\"line\":%#,"
                        "\"function\":\"%!\"}}",
                        spdlog::pattern_time_type::utc);
    request_id = BENCH_REQUEST_ID;
    correlation_id = BENCH_CORRELATION_ID;
    trace_id = BENCH_TRACE_ID;
    span_id = BENCH_SPAN_ID;
}

/* Without a lock where one thread logs. */
static void open_sync(const char *path, int threads)
{
    logger = threads == 1 ? spdlog::basic_logger_st("sync", path, true)
                          : spdlog::basic_logger_mt("sync", path, true);
    prepare();
}

static void open_async(const char *path, int)
{
    spdlog::init_thread_pool(spdlog::details::default_async_q_size, 1);
    logger = spdlog::basic_logger_mt<spdlog::async_factory>("async", path, true);
    prepare();
}

static void thread_begin()
{
}

static void flush_sync()
{
    logger->flush();
}

/* Its flush() only asks for one; the end of the pool is what waits. */
static void flush_async()
{
    logger.reset();
    spdlog::shutdown();
}

static const struct peer sync_peer = {"spdlog sync", open_sync, thread_begin,
                                      flush_sync,    nullptr,   peer_loops};
static const struct peer async_peer = {"spdlog async", open_async, thread_begin,
                                       flush_async,    nullptr,    peer_loops};
const struct peer *const bench_spdlog[] = {&sync_peer, &async_peer, nullptr};
