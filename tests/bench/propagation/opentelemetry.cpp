// SPDX-License-Identifier: Apache-2.0
// opentelemetry-cpp's propagators, which are headers alone, on the same carrier.
#include "carrier.h"

#include <opentelemetry/baggage/propagation/baggage_propagator.h>
#include <opentelemetry/context/propagation/composite_propagator.h>
#include <opentelemetry/trace/propagation/http_trace_context.h>

namespace nostd = opentelemetry::nostd;
namespace context = opentelemetry::context;

namespace
{
class Carrier : public context::propagation::TextMapCarrier
{
  public:
    Carrier(const carrier *from, carrier *to) : from_(from), to_(to)
    {
    }
    nostd::string_view Get(nostd::string_view key) const noexcept override
    {
        for (size_t i = 0; i < from_->n; i++)
            if (from_->headers[i].name_len == key.size() &&
                memcmp(from_->headers[i].name, key.data(), key.size()) == 0)
                return {from_->headers[i].value, from_->headers[i].value_len};
        return "";
    }
    void Set(nostd::string_view key, nostd::string_view value) noexcept override
    {
        carrier_put(to_, key.data(), key.size(), value.data(), value.size());
    }

  private:
    const carrier *from_;
    carrier *to_;
};

using Propagator = context::propagation::TextMapPropagator;

std::unique_ptr<Propagator> make(bool baggage)
{
    if (!baggage)
        return std::unique_ptr<Propagator>(
            new opentelemetry::trace::propagation::HttpTraceContext());
    std::vector<std::unique_ptr<Propagator>> both;
    both.emplace_back(new opentelemetry::trace::propagation::HttpTraceContext());
    both.emplace_back(new opentelemetry::baggage::propagation::BaggagePropagator());
    return std::unique_ptr<Propagator>(
        new context::propagation::CompositePropagator(std::move(both)));
}

double extract(const carrier *from, bool baggage, int n)
{
    auto propagator = make(baggage);
    Carrier c(from, nullptr);
    context::Context root;
    uint64_t start = bench_now_ns();

    for (int i = 0; i < n; i++) {
        context::Context now = propagator->Extract(c, root);
        asm volatile("" ::"r"(&now) : "memory");
    }
    return (double)(bench_now_ns() - start) / n;
}

double inject(const carrier *from, carrier *to, bool baggage, int n)
{
    auto propagator = make(baggage);
    Carrier in(from, nullptr), out(nullptr, to);
    context::Context root;
    context::Context now = propagator->Extract(in, root);
    uint64_t start = bench_now_ns();

    for (int i = 0; i < n; i++) {
        to->n = to->used = 0;
        propagator->Inject(out, now);
        asm volatile("" ::: "memory");
    }
    return (double)(bench_now_ns() - start) / n;
}

const peer opentelemetry_cpp = {"opentelemetry-cpp", extract, inject};
} // namespace

extern "C" {
extern const struct peer *const bench_opentelemetry;
const struct peer *const bench_opentelemetry = &opentelemetry_cpp;
}
