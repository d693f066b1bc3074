/* SPDX-License-Identifier: Apache-2.0
 * quill: a bounded queue that blocks, the file sink, UTC, and no second look at
 * each character of the strings. */
#include "peer.h"

#include <quill/Backend.h>
#include <quill/Frontend.h>
#include <quill/LogMacros.h>
#include <quill/sinks/FileSink.h>

#include <string>

struct Options : quill::FrontendOptions {
    static constexpr quill::QueueType queue_type = quill::QueueType::BoundedBlocking;
    static constexpr size_t initial_queue_capacity = 2048u * 1024u;
};
using Frontend = quill::FrontendImpl<Options>;

static quill::LoggerImpl<Options> *logger;
static std::string request_id, correlation_id, trace_id, span_id;

static inline __attribute__((always_inline)) void peer_log(int order_id)
{
    LOG_INFO(logger,
             "\"request_id\":\"{}\",\"correlation_id\":\"{}\",\"trace_id\":\"{}\","
             "\"span_id\":\"{}\",\"message\":\"Order placed\",\"context\":{{\"order_id\":{},"
             "\"symbol\":\"{}\",\"amount\":{},\"ok\":{}}}",
             request_id, correlation_id, trace_id, span_id, order_id, "ACME", 100.25, true);
}

#include "loops.h"

static void open_file(const char *path, int)
{
    quill::BackendOptions backend;
    quill::FileSinkConfig file;
    quill::PatternFormatterOptions pattern(
        "{{\"timestamp\":\"%(time)\",\"level\":\"%(log_level)\",\"service\":\"bench\",%(message),"
        "\"source\":{{\"file\":\"%(file_name)\",\"line\":%(line_number),"
        "\"function\":\"%(caller_function)\"}}}}",
        "%Y-%m-%dT%H:%M:%S.%QnsZ", quill::Timezone::GmtTime, false);

    backend.check_backend_singleton_instance = false; /* a file in /tmp otherwise */
    backend.sleep_duration = std::chrono::nanoseconds{0};
    backend.check_printable_char = {};
    backend.error_notifier = {}; /* it would report that the queue was full */
    quill::Backend::start(backend);
    file.set_open_mode('w');
    logger = Frontend::create_or_get_logger(
        "bench", Frontend::create_or_get_sink<quill::FileSink>(path, file), pattern);
    request_id = BENCH_REQUEST_ID;
    correlation_id = BENCH_CORRELATION_ID;
    trace_id = BENCH_TRACE_ID;
    span_id = BENCH_SPAN_ID;
}

static void thread_begin()
{
    Frontend::preallocate();
}

static void flush()
{
    logger->flush_log();
}

static const struct peer peer = {"quill", open_file, thread_begin, flush, nullptr, peer_loops};
const struct peer *const bench_quill[] = {&peer, nullptr};
