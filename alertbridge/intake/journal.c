/* SPDX-License-Identifier: Apache-2.0
 * One file that is written from its start again whenever all of it is in the store,
 * so that it stays small and its blocks are allocated. Sequences only grow: what
 * follows the newest record is older, or no record, and so the end is known without
 * being written anywhere. A record is [head][texts][body], padded to 8 bytes; its
 * checksum covers all of it.
 *
 * A record that is not whole is the end if nothing newer comes after it: it was
 * being written when the process or the machine died, and was never acknowledged.
 * If something newer does, the file was damaged: the others are still taken.
 *
 * After a failed sync nobody knows which pages the disk has. What was to be synced
 * was refused, and is written again at the same place by the next one. */
#include "journal.h"

#include <clew/log.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define FILE_MAX (512u << 20)
#define KEEP_MAX (16u << 20) /* a larger file is cut when it is empty */
#define PENDING_KEEP (256u << 10)
#define TEXTS_MAX (1u << 20)
#define ALIGN 8u

static const char magic[8] = "clewhook";

struct head {
    char magic[8];
    uint64_t sequence;
    int64_t received_at;
    uint32_t texts_len; /* four, each with its NUL */
    uint32_t reserved;
    uint64_t len;   /* of the body */
    uint64_t check; /* CRC-32 of everything else */
};

struct clew__journal {
    int fd;
    struct clew__buf pending; /* appended, not synced */
    uint64_t next, synced;    /* sequences: of the next record, of the newest on the disk */
    atomic_uint_fast64_t end; /* offset behind the newest record */
    struct place {
        uint64_t at, sequence; /* offset; of the record before it */
    } read, marked;
};

static size_t padded(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static uint64_t check_of(const struct head *head, const void *rest, size_t len)
{
    uLong crc = crc32_z(0, (const Bytef *)head, offsetof(struct head, check));

    return crc32_z(crc, rest, len);
}

static int read_all(int fd, void *to, size_t len, uint64_t at)
{
    char *next = to;

    while (len) {
        ssize_t n = pread(fd, next, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        next += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_all(int fd, const char *from, size_t len, uint64_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, from, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* The whole record at an offset, its texts and body in room; it ends before `limit`.
 * returns 0, -ENODATA: there is none; -errno */
static int read_at(const struct clew__journal *journal, uint64_t at, uint64_t limit,
                   struct head *head, struct clew__buf *room)
{
    char *rest;
    size_t len;
    int r = read_all(journal->fd, head, sizeof(*head), at);

    if (r < 0)
        return r;
    if (memcmp(head->magic, magic, sizeof(magic)) != 0 || head->texts_len > TEXTS_MAX ||
        head->len > FILE_MAX || at + sizeof(*head) + head->texts_len + head->len > limit)
        return -ENODATA;
    len = head->texts_len + (size_t)head->len;
    clew__buf_reset(room);
    rest = clew__buf_room(room, len + 1);
    if (!rest)
        return -ENOMEM;
    r = read_all(journal->fd, rest, len, at + sizeof(*head));
    if (r < 0)
        return r;
    rest[len] = '\0';
    room->len = len;
    return head->check == check_of(head, rest, len) ? 0 : -ENODATA;
}

static uint64_t size_of(const struct head *head)
{
    return sizeof(*head) + padded(head->texts_len + (size_t)head->len);
}

/* Moves *at to the next place where a record may begin. A place that can't be read
 * is passed over. */
static bool find_magic(const struct clew__journal *journal, uint64_t size, uint64_t *at)
{
    char chunk[65536];

    while (*at + sizeof(struct head) <= size) {
        size_t n = size - *at < sizeof(chunk) ? (size_t)(size - *at) : sizeof(chunk);
        ssize_t got = pread(journal->fd, chunk, n, (off_t)*at);

        for (ssize_t i = 0; i + (ssize_t)sizeof(magic) <= got; i += ALIGN)
            if (memcmp(chunk + i, magic, sizeof(magic)) == 0) {
                *at += (uint64_t)i;
                return true;
            }
        *at += padded(n);
    }
    return false;
}

/* The next record from *at on that is newer than `sequence`; *at is moved there.
 * returns 1, 0 none, -ENOMEM */
static int find_newer(const struct clew__journal *journal, uint64_t size, uint64_t sequence,
                      uint64_t *at, struct head *head, struct clew__buf *room)
{
    for (; find_magic(journal, size, at); *at += ALIGN) {
        int r = read_at(journal, *at, size, head, room);

        if (r == -ENOMEM)
            return r;
        if (r == 0 && head->sequence > sequence)
            return 1;
        if (r == 0)
            *at += size_of(head) - ALIGN;
    }
    return 0;
}

/* Whether a record begins here that is newer and not whole. */
static bool is_torn(const struct clew__journal *journal, uint64_t at, uint64_t sequence)
{
    struct head head;

    return read_all(journal->fd, &head, sizeof(head), at) == 0 &&
           memcmp(head.magic, magic, sizeof(magic)) == 0 && head.sequence > sequence;
}

/* Finds the records that the store does not have, and the end. */
static int scan(struct clew__journal *journal, uint64_t size, uint64_t applied,
                struct clew__journal_found *found)
{
    struct clew__buf room;
    struct head head;
    uint64_t at = 0, last = applied;
    int r;

    clew__buf_init(&room, FILE_MAX + TEXTS_MAX);
    while ((r = find_newer(journal, size, last, &at, &head, &room)) > 0) {
        if (found->waiting++ == 0)
            journal->read.at = at;
        last = head.sequence;
        journal->end = at += size_of(&head);
    }
    clew__buf_done(&room);
    found->torn = is_torn(journal, journal->end, last);
    found->newest = journal->synced = last;
    journal->next = last + 1;
    journal->read.sequence = applied;
    journal->marked = journal->read;
    return r;
}

/* A new file's name has to be on the disk too. */
static int sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, r = 0;

    if (fd < 0 || fsync(fd) != 0)
        r = -errno;
    if (fd >= 0)
        (void)close(fd);
    free(copy);
    return r;
}

int clew__journal_open(const char *path, uint64_t applied, struct clew__journal **ret_journal,
                       struct clew__journal_found *ret_found)
{
    struct clew__journal *journal = calloc(1, sizeof(*journal));
    struct stat status;
    int r;

    if (!journal)
        return clew_set_error(-ENOMEM, "out of memory");
    *ret_found = (struct clew__journal_found){0};
    clew__buf_init(&journal->pending, FILE_MAX);
    journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    r = journal->fd < 0 || fstat(journal->fd, &status) != 0 ? -errno : sync_directory(path);
    if (r == 0)
        r = scan(journal, (uint64_t)status.st_size, applied, ret_found);
    if (r == 0) {
        *ret_journal = journal;
        return 0;
    }
    (void)clew__journal_close(journal);
    return clew_set_error(r, "the journal %s: %s", path, strerror(-r));
}

struct clew__journal *clew__journal_close(struct clew__journal *journal)
{
    if (!journal)
        return NULL;
    if (journal->fd >= 0)
        (void)close(journal->fd);
    clew__buf_done(&journal->pending);
    free(journal);
    return NULL;
}

int clew__journal_append(struct clew__journal *journal, struct clew__journal_record *record)
{
    const char *const texts[] = {record->request_id, record->correlation_id, record->traceparent,
                                 record->labels};
    struct head head = {.received_at = record->received_at, .len = record->len};
    struct clew__buf *pending = &journal->pending;
    size_t start = pending->len, len;

    for (unsigned i = 0; i < 4; i++)
        head.texts_len += (uint32_t)strlen(texts[i]) + 1;
    len = sizeof(head) + padded(head.texts_len + record->len);
    if (head.texts_len > TEXTS_MAX || journal->end + start + len > FILE_MAX)
        return clew_set_error(-ENOSPC, "too many webhooks wait for the store");
    memcpy(head.magic, magic, sizeof(magic));
    head.sequence = journal->next;
    clew__buf_add(pending, &head, sizeof(head));
    for (unsigned i = 0; i < 4; i++)
        clew__buf_add(pending, texts[i], strlen(texts[i]) + 1);
    clew__buf_add(pending, record->body, record->len);
    while (pending->len % ALIGN && !pending->failed)
        clew__buf_addc(pending, '\0');
    if (pending->failed) {
        pending->failed = false;
        pending->len = start;
        return clew_set_error(-ENOMEM, "out of memory");
    }
    head.check =
        check_of(&head, pending->data + start + sizeof(head), head.texts_len + record->len);
    memcpy(pending->data + start, &head, sizeof(head));
    record->sequence = journal->next++;
    return 0;
}

int clew__journal_sync(struct clew__journal *journal, uint64_t *ret_last)
{
    struct clew__buf *pending = &journal->pending;
    int r = write_all(journal->fd, pending->data, pending->len, journal->end);

    if (r == 0 && fdatasync(journal->fd) != 0)
        r = -errno;
    if (r == 0) {
        journal->end += pending->len;
        *ret_last = journal->synced = journal->next - 1;
    } else {
        journal->next = journal->synced + 1;
        (void)clew_set_error(r, "the journal: %s", strerror(-r));
    }
    if (pending->cap > PENDING_KEEP)
        clew__buf_done(pending);
    else
        clew__buf_reset(pending);
    return r;
}

int clew__journal_read(struct clew__journal *journal, struct clew__buf *room,
                       struct clew__journal_record *ret_record)
{
    struct head head;
    const char *text;
    int r =
        find_newer(journal, journal->end, journal->read.sequence, &journal->read.at, &head, room);

    if (r <= 0)
        return r < 0 ? clew_set_error(r, "out of memory") : 0;
    text = room->data;
    *ret_record = (struct clew__journal_record){.sequence = head.sequence,
                                                .received_at = head.received_at,
                                                .body = room->data + head.texts_len,
                                                .len = head.len};
    ret_record->request_id = text;
    ret_record->correlation_id = text += strlen(text) + 1;
    ret_record->traceparent = text += strlen(text) + 1;
    ret_record->labels = text += strlen(text) + 1;
    journal->read.at += size_of(&head);
    journal->read.sequence = head.sequence;
    return 1;
}

void clew__journal_again(struct clew__journal *journal)
{
    journal->read = journal->marked;
}

void clew__journal_mark(struct clew__journal *journal)
{
    journal->marked = journal->read;
}

void clew__journal_rewind(struct clew__journal *journal)
{
    if (journal->end > KEEP_MAX)
        (void)!ftruncate(journal->fd, 0);
    journal->end = 0;
    journal->read = journal->marked = (struct place){.at = 0, .sequence = journal->synced};
}
