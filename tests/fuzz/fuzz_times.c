/* SPDX-License-Identifier: Apache-2.0
 *
 * Times and spans of time as others write them: what is read can be written, and read
 * again as the same.
 */
#include <common/duration.h>
#include <common/instant.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    char *text = malloc(size + 1), instant[CLEW__INSTANT_TEXT], span[CLEW__DURATION_TEXT];
    int64_t value, again;

    must(text != NULL, "malloc");
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (clew__instant_parse(text, &value) && value) {
        must(strlen(clew__instant_format(value, instant)) < sizeof(instant), "instant");
        must(clew__instant_parse(instant, &again) && again == value, "another instant");
    }
    if (clew__duration_parse(text, &value)) {
        must(value >= 0 && strlen(clew__duration_format(value, span)) < sizeof(span), "span");
        must(clew__duration_parse(span, &again) && again == value, "another span");
    }
    free(text);
    return 0;
}
