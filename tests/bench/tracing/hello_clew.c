/* SPDX-License-Identifier: Apache-2.0
 * The smallest traced program: libclew alone. */
#include "hello.h"

#include <clew/trace.h>

int main(void)
{
    clew_span_end(clew_span_start("hello", CLEW_SPAN_INTERNAL));
    hello_report();
    return 0;
}
