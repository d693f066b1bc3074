/* SPDX-License-Identifier: Apache-2.0
 * The same with libclew-export, and a place to send it to. */
#include "hello.h"

#include <clew/export.h>
#include <clew/trace.h>

int main(void)
{
    if (clew_start("hello", "1") < 0)
        return 1;
    clew_span_end(clew_span_start("hello", CLEW_SPAN_INTERNAL));
    hello_report();
    return 0;
}
