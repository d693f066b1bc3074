/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu.h"

bool clew__avx2;

__attribute__((constructor)) static void look_at_cpu(void)
{
    clew__avx2 = clew__cpu_has_avx2();
}
