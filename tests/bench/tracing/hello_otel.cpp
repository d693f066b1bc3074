/* SPDX-License-Identifier: Apache-2.0
 * The same with opentelemetry-cpp. */
#include "bench.h"
#include "hello.h"

#include <cstdlib>

int main()
{
    const char *port = getenv("HELLO_PORT");

    if (!bench_otel.start_exporting(BENCH_PROTOBUF,
                                    static_cast<uint16_t>(port ? atoi(port) : 4318)))
        return 1;
    bench_otel.spans(1);
    hello_report();
    return 0;
}
