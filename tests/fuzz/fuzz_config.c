/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration of the alert bridge: whatever it says, it is taken, or refused
 * with the place of the error; what was taken sends every alert somewhere.
 */
#include "bridge_config.h"

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char *file;

static void must(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "fuzz_config: %s: %s\n", what, clew_last_error());
        abort();
    }
}

static void take_warning(const char *text)
{
    must(strncmp(text, file, strlen(file)) == 0, "a warning without a place");
}

static void check(const struct clew__config *config)
{
    const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
    json_t *labels = json_pack("{s:s, s:s, s:s}", "alertname", "Down", "severity", "critical",
                               "team", "checkout");
    size_t n = clew__route_match(config->route, labels, hits);

    must(n > 0, "an alert that goes nowhere");
    for (size_t i = 0; i < n; i++)
        must(clew__config_receiver(config, hits[i]->receiver) != NULL, "an unknown receiver");
    must(*config->storage && *config->listen, "nothing where something is needed");
    for (size_t i = 0; i < config->nreceivers; i++)
        for (size_t j = 0; j < config->receivers[i].n; j++) {
            const struct clew__integration *one = &config->receivers[i].integrations[j];

            must(one->off || (*one->target && *one->url), "an integration without a target");
            must(one->off || clew__config_integration(config, one->target, one->receiver) != NULL,
                 "an integration that is not found again");
        }
    json_decref(labels);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct clew__config *config = NULL;
    int r;

    r = fuzz_load_config(data, size, take_warning, &file, &config);
    if (r < 0) {
        must(!config, "a configuration beside an error");
        must(r == -ENOMEM || strncmp(clew_last_error(), file, strlen(file)) == 0,
             "an error without a place");
        return 0;
    }
    check(config);
    (void)clew__config_free(config);
    return 0;
}
