/* SPDX-License-Identifier: Apache-2.0
 * The service with opentelemetry-cpp and spdlog, by hand, for there is no adapter:
 * the same span, the same two lines. It derives no metrics, checks no ids and
 * has no spans of queries.
 * spdlog writes in the caller's thread into its buffer, which takes less
 * processor time than its queue; the batches are as large as ours. */
#include "bench.h"
#include "serve.h"

#include <opentelemetry/context/propagation/text_map_propagator.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_options.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/batch_span_processor_factory.h>
#include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#include <opentelemetry/sdk/trace/samplers/always_on_factory.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/sdk/trace/tracer_provider_factory.h>
#include <opentelemetry/trace/context.h>
#include <opentelemetry/trace/propagation/http_trace_context.h>
#include <opentelemetry/trace/scope.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <arpa/inet.h>
#include <chrono>
#include <memory>
#include <string>

namespace api = opentelemetry::trace;
namespace sdk = opentelemetry::sdk::trace;
namespace otlp = opentelemetry::exporter::otlp;
namespace nostd = opentelemetry::nostd;
using opentelemetry::context::Context;

static std::shared_ptr<sdk::TracerProvider> provider;
static nostd::shared_ptr<api::Tracer> tracer;
static std::shared_ptr<spdlog::logger> logger;

struct Exchange {
    nostd::shared_ptr<api::Span> span;
    std::chrono::steady_clock::time_point begin;
    std::string method, path, request_id, trace_id, span_id;
    unsigned status = 500;
};

class Headers : public opentelemetry::context::propagation::TextMapCarrier
{
  public:
    explicit Headers(MHD_Connection *of) : connection(of)
    {
    }
    nostd::string_view Get(nostd::string_view key) const noexcept override
    {
        const char *value =
            MHD_lookup_connection_value(connection, MHD_HEADER_KIND, std::string(key).c_str());
        return value ? value : "";
    }
    void Set(nostd::string_view, nostd::string_view) noexcept override
    {
    }

  private:
    MHD_Connection *connection;
};

static const char *header(MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

    return value ? value : "";
}

static void describe(api::Span &span, MHD_Connection *connection, const Exchange &exchange)
{
    const auto *address = reinterpret_cast<const sockaddr_in *>(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    const std::string host = header(connection, "Host");
    const size_t colon = host.find(':');
    const nostd::string_view ids[] = {exchange.request_id};
    char peer[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &address->sin_addr, peer, sizeof(peer));
    span.SetAttribute("http.request.method", exchange.method);
    span.SetAttribute("url.path", exchange.path);
    span.SetAttribute("url.scheme", "http");
    span.SetAttribute("http.request.header.x-request-id",
                      nostd::span<const nostd::string_view>(ids));
    span.SetAttribute("server.address", host.substr(0, colon));
    if (colon != std::string::npos)
        span.SetAttribute("server.port", std::stoi(host.substr(colon + 1)));
    span.SetAttribute("user_agent.original", header(connection, "User-Agent"));
    span.SetAttribute("network.protocol.version", "1.1");
    span.SetAttribute("client.address", peer);
    span.SetAttribute("network.peer.address", peer);
    span.SetAttribute("network.peer.port", static_cast<int32_t>(ntohs(address->sin_port)));
}

static Exchange *begin(MHD_Connection *connection, const char *url, const char *method)
{
    auto *exchange = new Exchange;
    api::propagation::HttpTraceContext propagator;
    Context none, parent = propagator.Extract(Headers(connection), none);
    api::StartSpanOptions options;
    char hex[32];

    exchange->begin = std::chrono::steady_clock::now();
    exchange->method = method;
    exchange->path = url;
    exchange->request_id = header(connection, "X-Request-ID");
    options.kind = api::SpanKind::kServer;
    options.parent = parent;
    exchange->span = tracer->StartSpan(method, options);
    exchange->span->GetContext().trace_id().ToLowerBase16(nostd::span<char, 32>(hex, 32));
    exchange->trace_id.assign(hex, 32);
    exchange->span->GetContext().span_id().ToLowerBase16(nostd::span<char, 16>(hex, 16));
    exchange->span_id.assign(hex, 16);
    if (exchange->span->IsRecording())
        describe(*exchange->span, connection, *exchange);
    return exchange;
}

#define IDS \
    "\"request_id\":\"{}\",\"correlation_id\":\"{}\",\"trace_id\":\"{}\",\"span_id\":\"{}\","
#define IDS_OF(e) (e).request_id, (e).request_id, (e).trace_id, (e).span_id

static MHD_Result handle(void *, MHD_Connection *connection, const char *url, const char *method,
                         const char *, const char *, size_t *, void **con_cls)
{
    auto *exchange = static_cast<Exchange *>(*con_cls);
    char body[BENCH_BODY_MAX];
    bench_order order;
    size_t len;

    if (!exchange) {
        *con_cls = begin(connection, url, method);
        return MHD_YES;
    }
    api::Scope scope(exchange->span);
    exchange->status = bench_order_answer(url, bench_authorization(connection), body, &len, &order);
    if (exchange->status == 200)
        SPDLOG_LOGGER_INFO(logger,
                           IDS "\"message\":\"Order read\",\"context\":{{\"order_id\":{},"
                               "\"customer\":\"{}\",\"items\":{},\"total\":{}}}",
                           IDS_OF(*exchange), order.id, order.customer, order.items, order.total);
    MHD_Response *response = bench_response(exchange->status, body, len, &order);
    MHD_add_response_header(response, "X-Request-ID", exchange->request_id.c_str());
    MHD_add_response_header(response, "X-Correlation-ID", exchange->request_id.c_str());
    MHD_Result result = MHD_queue_response(connection, exchange->status, response);
    MHD_destroy_response(response);
    return result;
}

static void completed(void *, MHD_Connection *, void **con_cls, MHD_RequestTerminationCode)
{
    std::unique_ptr<Exchange> exchange(static_cast<Exchange *>(*con_cls));

    if (!exchange)
        return;
    *con_cls = nullptr;
    api::Scope scope(exchange->span);
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - exchange->begin;
    exchange->span->UpdateName(exchange->method + " " BENCH_ROUTE);
    exchange->span->SetAttribute("http.route", BENCH_ROUTE);
    exchange->span->SetAttribute("http.response.status_code",
                                 static_cast<int32_t>(exchange->status));
    SPDLOG_LOGGER_INFO(logger,
                       IDS "\"message\":\"request completed\",\"context\":{{\"method\":\"{}\","
                           "\"route\":\"{}\",\"path\":\"{}\",\"status\":{},"
                           "\"duration_seconds\":{}}}",
                       IDS_OF(*exchange), exchange->method, BENCH_ROUTE, exchange->path,
                       exchange->status, took.count());
    exchange->span->End();
}

static bool start(const char *log_path, uint16_t otlp_port)
{
    otlp::OtlpHttpExporterOptions exporter;
    sdk::BatchSpanProcessorOptions batches;

    exporter.url = "http://127.0.0.1:" + std::to_string(otlp_port) + "/v1/traces";
    exporter.content_type = otlp::HttpRequestContentType::kBinary;
    batches.max_queue_size = 65536;
    batches.max_export_batch_size = 8192;
    provider = sdk::TracerProviderFactory::Create(
        sdk::BatchSpanProcessorFactory::Create(otlp::OtlpHttpExporterFactory::Create(exporter),
                                               batches),
        opentelemetry::sdk::resource::Resource::Create({{"service.name", "orders"}}),
        sdk::AlwaysOnSamplerFactory::Create());
    tracer = provider->GetTracer("mhd");
    logger = spdlog::basic_logger_mt("orders", log_path, true);
    logger->set_pattern("{\"timestamp\":\"%Y-%m-%dT%H:%M:%S.%FZ\",\"level\":\"%l\","
                        "\"service\":\"orders\",%v,\"source\":{\"file\":\"%s\",\"line\":%#,"
                        "\"function\":\"%!\"}}",
                        spdlog::pattern_time_type::utc);
    return true;
}

static MHD_Daemon *serve(int listener)
{
    return MHD_start_daemon(BENCH_FLAGS, 0, nullptr, nullptr, handle, nullptr,
                            MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_NOTIFY_COMPLETED,
                            completed, nullptr, MHD_OPTION_END);
}

static bool flush()
{
    logger->flush();
    return provider->ForceFlush(std::chrono::seconds(30));
}

extern "C" const bench_variant bench_with_otel = {"opentelemetry-cpp, spdlog", start, serve, flush};
