/* SPDX-License-Identifier: Apache-2.0
 * See rendering.h. */
#include "rendering.h"

struct bench bench;
struct clew__config *config;
struct made_page made;

int rendering_setup(void **state)
{
    bench_init(&bench);
    config = load_config(&bench, *state);
    page_init(&made, 1);
    return 0;
}

int rendering_teardown(void **state)
{
    (void)state;
    page_done(&made);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

void rendering_use(const char *text)
{
    (void)clew__config_free(config);
    config = load_config(&bench, text);
}
