/* SPDX-License-Identifier: Apache-2.0
 * opentelemetry-cpp is not here. */
#include "bench.h"

const struct bench_tracer bench_otel;
