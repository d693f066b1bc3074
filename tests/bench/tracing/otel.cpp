/* SPDX-License-Identifier: Apache-2.0
 * opentelemetry-cpp under test: batch processor, OTLP exporters. Batches are as
 * large as ours are; with its default of 512 it is slower. */
#include "bench.h"

#include <opentelemetry/exporters/otlp/otlp_grpc_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_grpc_exporter_options.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_options.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/batch_span_processor_factory.h>
#include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#include <opentelemetry/sdk/trace/samplers/always_off_factory.h>
#include <opentelemetry/sdk/trace/samplers/always_on_factory.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/sdk/trace/tracer_provider_factory.h>
#include <opentelemetry/trace/noop.h>
#include <opentelemetry/trace/provider.h>
#include <opentelemetry/trace/scope.h>

#include <chrono>
#include <memory>
#include <string>

namespace api = opentelemetry::trace;
namespace sdk = opentelemetry::sdk::trace;
namespace otlp = opentelemetry::exporter::otlp;

static std::shared_ptr<sdk::TracerProvider> provider;
static opentelemetry::nostd::shared_ptr<api::Tracer> tracer;

static std::unique_ptr<sdk::SpanExporter> exporter(enum bench_protocol protocol, uint16_t port)
{
    const std::string address = "127.0.0.1:" + std::to_string(port);

    if (protocol == BENCH_GRPC) {
        otlp::OtlpGrpcExporterOptions options;
        options.endpoint = "http://" + address;
        return otlp::OtlpGrpcExporterFactory::Create(options);
    }
    otlp::OtlpHttpExporterOptions options;
    options.url = "http://" + address + "/v1/traces";
    options.content_type = protocol == BENCH_JSON ? otlp::HttpRequestContentType::kJson
                                                  : otlp::HttpRequestContentType::kBinary;
    return otlp::OtlpHttpExporterFactory::Create(options);
}

static bool start(std::unique_ptr<sdk::Sampler> sampler, enum bench_protocol protocol,
                  uint16_t port)
{
    sdk::BatchSpanProcessorOptions options;
    options.max_queue_size = 65536;
    options.max_export_batch_size = 8192;
    auto processor = sdk::BatchSpanProcessorFactory::Create(exporter(protocol, port), options);
    auto resource = opentelemetry::sdk::resource::Resource::Create({{"service.name", "bench"}});
    provider =
        std::make_shared<sdk::TracerProvider>(std::move(processor), resource, std::move(sampler));
    tracer = provider->GetTracer("bench");
    return true;
}

static bool start_disabled()
{
    tracer = api::Provider::GetTracerProvider()->GetTracer("bench"); /* the no-op one */
    return true;
}

static bool start_not_sampled()
{
    return start(sdk::AlwaysOffSamplerFactory::Create(), BENCH_PROTOBUF, 9);
}

static bool start_exporting(enum bench_protocol protocol, uint16_t port)
{
    return start(sdk::AlwaysOnSamplerFactory::Create(), protocol, port);
}

static void spans(unsigned n)
{
    auto current = tracer->StartSpan("GET /orders");
    api::Scope scope(current);

    for (unsigned i = 0; i < n; i++) {
        auto span = tracer->StartSpan("load order");

        span->SetAttribute("order.kind", "limit order");
        span->SetAttribute("customer.id", "7f3c2a1e9b8d4c6fa0e5d3b1");
        span->SetAttribute("order.items", static_cast<int32_t>(i));
        span->SetAttribute("order.open", true);
        span->End();
    }
    current->End();
}

static bool flush()
{
    return !provider || provider->ForceFlush(std::chrono::seconds(60));
}

static bool stop()
{
    return !provider || provider->Shutdown(std::chrono::seconds(60));
}

extern "C" const struct bench_tracer bench_otel = {
    "opentelemetry-cpp", start_disabled, start_not_sampled, start_exporting, spans, flush, stop,
};
