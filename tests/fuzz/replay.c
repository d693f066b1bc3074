/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target over the files of a corpus, for compilers without
 * libFuzzer: replay DIRECTORY. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int replay(const char *path)
{
    unsigned char *data = malloc(INPUT_MAX_BYTES), *exact;
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file || !data) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, INPUT_MAX_BYTES, file);
    (void)fclose(file);
    exact = realloc(data, size ? size : 1); /* a read beyond the end is seen */
    (void)LLVMFuzzerTestOneInput(exact ? exact : data, size);
    free(exact ? exact : data);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    int n = 0, failed = 0;

    if (!directory) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 64;
    }
    while ((entry = readdir(directory)) != NULL) {
        char path[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        failed |= replay(path);
        n++;
    }
    (void)closedir(directory);
    printf("%d inputs\n", n);
    return failed || n == 0;
}
