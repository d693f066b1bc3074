/* SPDX-License-Identifier: Apache-2.0
 * A page of metrics as hostile as it gets: what is said of it has no controls. */
#include <lint.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct cli_lint lint = {.source = "page", .series_max = 10, .values_max = 5};
    char *page = malloc(size + 1), *said = NULL;
    size_t len = 0;

    if (!page)
        return 0;
    memcpy(page, data, size);
    lint.out = open_memstream(&said, &len);
    if (!lint.out || !cli_lint_page(&lint, page, size))
        abort();
    (void)fclose(lint.out);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)said[i] < ' ' && said[i] != '\n')
            abort();
    cli_lint_done(&lint);
    free(said);
    free(page);
    return 0;
}
