/* SPDX-License-Identifier: Apache-2.0
 * A program that traces nothing. */
#include "hello.h"

int main(void)
{
    hello_report();
    return 0;
}
