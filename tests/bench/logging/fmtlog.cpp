/* SPDX-License-Identifier: Apache-2.0
 * fmtlog: blocks when its queue is full (its default throws lines away), with
 * its own polling thread. The place of the call is part of the format, as its
 * header knows file and line only as one word. */
#define FMT_HEADER_ONLY
#define FMTLOG_HEADER_ONLY
#define FMTLOG_BLOCK 1
#include "peer.h"

#include <fmtlog.h>

#include <stdlib.h>
#include <string>

static std::string request_id, correlation_id, trace_id, span_id;

#define TEXT(x) TEXT_OF(x)
#define TEXT_OF(x) #x

static inline __attribute__((always_inline)) void peer_log(int order_id)
{
    logi("\"request_id\":\"{}\",\"correlation_id\":\"{}\",\"trace_id\":\"{}\",\"span_id\":\"{}\","
         "\"message\":\"Order placed\",\"context\":{{\"order_id\":{},\"symbol\":\"{}\","
         "\"amount\":{},\"ok\":{}}},\"source\":{{\"file\":\"fmtlog.cpp\",\"line\":" TEXT(
             __LINE__) ",\"function\":\"peer_log\"}}}}",
         request_id, correlation_id, trace_id, span_id, order_id, "ACME", 100.25, true);
}

#include "loops.h"

static void open_file(const char *path, int)
{
    setenv("TZ", "UTC", 1);
    tzset();
    fmtlog::setLogFile(path, true);
    fmtlog::setHeaderPattern(
        "{{\"timestamp\":\"{Ymd}T{HMSF}Z\",\"level\":\"{l}\",\"service\":\"bench\",");
    fmtlog::setFlushBufSize(256 * 1024);
    fmtlog::startPollingThread(100000); /* nanoseconds */
    request_id = BENCH_REQUEST_ID;
    correlation_id = BENCH_CORRELATION_ID;
    trace_id = BENCH_TRACE_ID;
    span_id = BENCH_SPAN_ID;
}

static void thread_begin()
{
    fmtlog::preallocate();
}

static void flush()
{
    fmtlog::stopPollingThread();
    fmtlog::poll(true);
}

static const struct peer peer = {"fmtlog", open_file, thread_begin, flush, nullptr, peer_loops};
const struct peer *const bench_fmtlog[] = {&peer, nullptr};
