/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring file of a dead process, as recovery reads it: whatever stands in its
 * dictionary, its checkpoints and its records, nothing is read outside of it,
 * and each line that comes out is one valid JSON object without a newline.
 *
 * The input: length of the dictionary's entries (2 bytes), of the context (2),
 * head and tail in units of 8 (2 each), a patch of the header (4 bytes of
 * offset, 4 of value); then entries, context, ring data.
 */
#include <clew/trace.h>
#include <recover_priv.h>

#include <jansson.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DATA_BYTES 8192u
#define DICTIONARY_AT CLEW__FILE_HEADER_BYTES
#define RING_AT (DICTIONARY_AT + CLEW__DICTIONARY_BYTES)
#define FILE_BYTES (RING_AT + CLEW__RING_CONTROL_BYTES + DATA_BYTES)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct clew__buf text;

static void must(bool condition, const char *what, const char *line, size_t len)
{
    if (!condition) {
        fprintf(stderr, "fuzz_rings: %s\n%.*s\n", what, (int)len, line);
        abort();
    }
}

static void take_line(void *arg, const struct clew__dead *dead, struct clew__line *line,
                      unsigned found)
{
    struct clew__date date = {.len = 0};
    json_error_t error;
    char *p, *end;
    json_t *json;
    size_t bound = clew__format_json_bound(line);

    (void)arg, (void)dead, (void)found;
    clew__buf_reset(&text);
    p = clew__buf_room(&text, bound);
    end = p ? clew__format_json(p, line, &date) : NULL;
    if (!end)
        return;
    must((size_t)(end - p) <= bound, "more than the bound", p, 0);
    must(!memchr(p, '\n', (size_t)(end - p)), "a newline", p, (size_t)(end - p));
    json = json_loadb(p, (size_t)(end - p), JSON_ALLOW_NUL, &error);
    /* Large numbers and NUL in a key are JSON, but not for jansson. */
    must(json || json_error_code(&error) == json_error_numeric_overflow ||
             json_error_code(&error) == json_error_null_byte_in_key,
         error.text, p, (size_t)(end - p));
    json_decref(json);
    clew__buf_reset(&text);
    clew__format_text(&text, line, true);
}

static void check_text(const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        n = clew__utf8_sequence(s + i, len - i);
        must(n > 0, "bad UTF-8", s, len);
    }
}

static void check_fields(const struct clew_field *fields, size_t n)
{
    char room[256];

    for (size_t i = 0; i < n; i++) {
        must(fields[i].key_len > 0, "an empty key", "", 0);
        check_text(fields[i].key, fields[i].key_len);
        if (fields[i].type == CLEW_TYPE_STRING && fields[i].value.as.s)
            check_text(fields[i].value.as.s, fields[i].value.len);
        (void)clew_field_text(&fields[i], room, sizeof(room));
        for (size_t k = 0; k < i; k++)
            must(fields[k].key_len != fields[i].key_len ||
                     memcmp(fields[k].key, fields[i].key, fields[i].key_len) != 0,
                 "a key twice", fields[i].key, fields[i].key_len);
    }
}

static void take_span(void *arg, const struct clew_span_record *span)
{
    (void)arg;
    must(span->end_ns >= span->start_ns, "an end before the start", "", 0);
    check_text(span->name, strlen(span->name));
    check_text(span->status_message, strlen(span->status_message));
    check_text(span->trace_state, strlen(span->trace_state));
    check_text(span->scope, strlen(span->scope));
    check_fields(span->attributes, span->nattributes);
    for (size_t i = 0; i < span->nevents; i++) {
        check_text(span->events[i].name, strlen(span->events[i].name));
        check_fields(span->events[i].attributes, span->events[i].nattributes);
    }
    for (size_t i = 0; i < span->nlinks; i++) {
        check_text(span->links[i].trace_state, strlen(span->links[i].trace_state));
        check_fields(span->links[i].attributes, span->links[i].nattributes);
    }
}

/* A sound file with what the input says in it. */
static void build(char *file, const unsigned char *in, size_t size)
{
    struct clew__file_header *header = (void *)file;
    struct clew__dictionary *dictionary = (void *)(file + DICTIONARY_AT);
    struct clew__ring_control *control = (void *)(file + RING_AT);
    uint16_t n[4];
    uint32_t patch[2];
    size_t entries, context;

    memcpy(header->magic, CLEW__FILE_MAGIC, 8);
    strcpy(header->service, "fuzz");
    header->nchunks = 3;
    header->chunk[0].kind = CLEW__CHUNK_DICTIONARY;
    header->chunk[0].offset = DICTIONARY_AT;
    header->chunk[0].size = CLEW__DICTIONARY_BYTES;
    header->chunk[1].kind = CLEW__CHUNK_RING;
    header->chunk[1].offset = RING_AT;
    header->chunk[1].size = CLEW__RING_CONTROL_BYTES + DATA_BYTES;
    /* The ring's data once more, as open spans. */
    header->chunk[2].kind = CLEW__CHUNK_SPANS;
    header->chunk[2].offset = RING_AT + CLEW__RING_CONTROL_BYTES;
    header->chunk[2].size = DATA_BYTES;
    memcpy(n, in, sizeof(n));
    memcpy(patch, in + sizeof(n), sizeof(patch));
    in += 16;
    size -= 16;
    entries = n[0] < size ? n[0] : size;
    memcpy((char *)dictionary + 8, in, entries < 32768 ? entries : 32768);
    dictionary->used = 8 + entries;
    in += entries;
    size -= entries;
    context = n[1] < size ? n[1] : size;
    if (context > CLEW__CONTEXT_MAX)
        context = CLEW__CONTEXT_MAX;
    control->checkpoint[n[3] & 1].context_len = (uint32_t)context;
    control->checkpoint[n[3] & 1].clock.mult = UINT64_C(1) << 32;
    memcpy(control->checkpoint[n[3] & 1].context, in, context);
    in += context;
    size -= context;
    control->head = n[2] * UINT64_C(8);
    control->tail = (n[3] & ~1u) * UINT64_C(4) / 8 * 8 | (n[3] & 1);
    memcpy((char *)control + CLEW__RING_CONTROL_BYTES, in, size < DATA_BYTES ? size : DATA_BYTES);
    if (patch[0] < sizeof(*header) - 4 && patch[0] >= sizeof(header->magic))
        memcpy(file + patch[0], &patch[1], 4);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct clew__recovery to = {take_line, take_span, NULL};
    char *file;
    int fd;

    if (size < 16 || clew_span_current()) /* tracing is linked: spans are read */
        return 0;
    clew__buf_init(&text, 8u << 20);
    fd = memfd_create("rings", 0);
    if (fd < 0 || ftruncate(fd, FILE_BYTES) < 0)
        return 0;
    file = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file != MAP_FAILED) {
        build(file, data, size);
        /* No path of the input's is opened or written to. */
        memset(((struct clew__file_header *)(void *)file)->target, 0,
               sizeof(((struct clew__file_header *)(void *)file)->target));
        munmap(file, FILE_BYTES);
        (void)clew__recover_file(fd, &to);
    }
    close(fd);
    clew__buf_done(&text);
    return 0;
}
