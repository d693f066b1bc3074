/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring file of this process. It is created under a name nobody scans,
 * locked, and then renamed, so that another process which finds it unlocked
 * knows its owner to be dead. Chunks are allocated before they are mapped: a
 * full file system is an error here, not a SIGBUS later. Mappings are not
 * inherited by fork (the child makes a file of its own).
 *
 * Threads: everything here runs under file_lock, and none of it after a
 * thread's first record but storage for the rest of its ring.
 */
#include "core_priv.h"
#include "lock_priv.h"
#include "value_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_STEP_BYTES 8192u

static struct clew__lock file_lock = CLEW__LOCK_INITIALIZER;
static int fd = -1;
static char path[1024];
static uint64_t end;           /* bytes of the file that are given out */
static uint64_t header_backed; /* bytes of the header that have storage */
static struct clew__file_header *header;
static struct clew__dictionary *dictionary;
static size_t dictionary_bytes;

static void lock(void)
{
    clew__lock_take(&file_lock);
}

static void unlock(void)
{
    clew__lock_give(&file_lock);
}

/* The directory must be ours alone: others could plant files for us to
 * recover, or read what was logged. */
static int check_directory(const char *directory)
{
    struct stat st;

    /* It is there, as a rule. */
    if (lstat(directory, &st) < 0 &&
        ((mkdir(directory, 0700) < 0 && errno != EEXIST) || lstat(directory, &st) < 0))
        return clew_set_error(-errno, "ring directory %s: %s", directory, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return clew_set_error(-EPERM,
                              "ring directory %s: must be a directory of user %u that "
                              "nobody else can write",
                              directory, (unsigned)geteuid());
    return 0;
}

void clew__file_safe_name(char *out, size_t size, const char *service)
{
    size_t n = 0;

    for (; service[n] && n + 1 < size; n++) {
        unsigned char c = (unsigned char)service[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-';

        out[n] = plain ? (char)c : '_';
    }
    out[n] = '\0';
}

/* A program may run with its standard descriptors closed, and somebody will
 * write to one of these numbers: the ring file must not be there. */
static int above_standard(int descriptor)
{
    int moved;

    if (descriptor < 0 || descriptor > STDERR_FILENO)
        return descriptor;
    moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(descriptor);
    return moved;
}

static int open_named(const char *directory, const char *service)
{
    char safe[128], hidden[sizeof(path)];
    int err = check_directory(directory);

    if (err < 0)
        return err;
    clew__file_safe_name(safe, sizeof(safe), service);
    if (snprintf(path, sizeof(path), "%s/%s.%d-%016llx.rings", directory, safe, (int)getpid(),
                 (unsigned long long)clew__realtime_ns()) >= (int)sizeof(path) ||
        snprintf(hidden, sizeof(hidden), "%s/.new-%d-%016llx", directory, (int)getpid(),
                 (unsigned long long)clew__realtime_ns()) >= (int)sizeof(hidden)) {
        path[0] = '\0';
        return clew_set_error(-ENAMETOOLONG, "ring directory %s: name too long", directory);
    }
    fd = above_standard(open(hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd < 0)
        err = -errno;
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0 || rename(hidden, path) < 0) {
        err = -errno;
        unlink(hidden);
        close(fd);
        fd = -1;
    }
    if (err < 0) {
        path[0] = '\0';
        return clew_set_error(err, "ring file in %s: %s", directory, strerror(-err));
    }
    return 0;
}

static void *map(uint64_t offset, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, bytes, MADV_DONTFORK);
    return p;
}

static int back(uint64_t offset, size_t bytes)
{
    int err = posix_fallocate(fd, (off_t)offset, (off_t)bytes);

    return err ? clew_set_error(-err, "ring file: %s", strerror(err)) : 0;
}

/* Room at the end of the file; so many bytes of it are backed by storage. */
static int allocate(size_t bytes, size_t backed, uint64_t *ret_offset)
{
    int err = back(end, backed);

    if (err == 0 && backed < bytes && ftruncate(fd, (off_t)(end + bytes)) < 0)
        err = clew_set_error(-errno, "ring file: %s", strerror(errno));
    if (err < 0)
        return err;
    *ret_offset = end;
    end += bytes;
    return 0;
}

/* A chunk counts once nchunks says so: its bytes are valid before that. */
static int publish_chunk(enum clew__chunk_kind kind, uint64_t offset, uint64_t size)
{
    uint32_t n = atomic_load(&header->nchunks);

    if (n >= CLEW__CHUNKS_MAX)
        return clew_set_error(-ENOSPC, "ring file: more than %u threads at once", CLEW__CHUNKS_MAX);
    if (offsetof(struct clew__file_header, chunk) + (n + 1) * sizeof(header->chunk[0]) >
        header_backed) {
        int err = back(header_backed, HEADER_STEP_BYTES);

        if (err < 0)
            return err;
        header_backed += HEADER_STEP_BYTES;
    }
    header->chunk[n].kind = kind;
    header->chunk[n].offset = offset;
    header->chunk[n].size = size;
    atomic_store_explicit(&header->nchunks, n + 1, memory_order_release);
    return 0;
}

static int add_dictionary(void)
{
    size_t bytes = dictionary ? CLEW__DICTIONARY_BYTES : CLEW__DICTIONARY_FIRST_BYTES;
    uint64_t offset;
    struct clew__dictionary *next;
    int err = allocate(bytes, bytes, &offset);

    if (err < 0)
        return err;
    next = map(offset, bytes);
    if (!next)
        return clew_set_error(-ENOMEM, "ring file: mmap: %s", strerror(errno));
    atomic_store(&next->used, 8);
    err = publish_chunk(CLEW__CHUNK_DICTIONARY, offset, bytes);
    if (err < 0) {
        munmap(next, bytes);
        return err;
    }
    if (dictionary)
        munmap(dictionary, dictionary_bytes);
    dictionary = next;
    dictionary_bytes = bytes;
    return 0;
}

static void close_locked(bool remove_name)
{
    if (path[0] && remove_name)
        unlink(path);
    path[0] = '\0';
    if (dictionary)
        munmap(dictionary, dictionary_bytes);
    if (header)
        munmap(header, CLEW__FILE_HEADER_BYTES);
    if (fd >= 0)
        close(fd);
    dictionary = NULL;
    header = NULL;
    fd = -1;
}

static int set_up(const char *service, const char *version)
{
    uint64_t offset;
    int err;

    end = 0;
    header_backed = HEADER_STEP_BYTES;
    err = allocate(CLEW__FILE_HEADER_BYTES, header_backed, &offset);
    if (err < 0)
        return err;
    header = map(0, CLEW__FILE_HEADER_BYTES);
    if (!header)
        return clew_set_error(-ENOMEM, "ring file: mmap: %s", strerror(errno));
    header->pid = (uint64_t)getpid();
    (void)snprintf(header->service, sizeof(header->service), "%s", service);
    (void)snprintf(header->version, sizeof(header->version), "%s", version);
    err = add_dictionary();
    if (err < 0)
        return err;
    memcpy(header->magic, CLEW__FILE_MAGIC, sizeof(header->magic));
    return 0;
}

int clew__file_open(const char *directory, const char *service, const char *version)
{
    int err, fallback = 0;

    lock();
    err = open_named(directory, service);
    if (err == 0)
        err = set_up(service, version);
    if (err < 0) {
        close_locked(true);
        fallback = 1;
        fd = above_standard(memfd_create("clew-rings", MFD_CLOEXEC));
        err = fd < 0 ? -errno : set_up(service, version);
        if (err < 0)
            close_locked(true);
    }
    unlock();
    return err < 0 ? err : fallback;
}

void clew__file_close(bool remove_name)
{
    lock();
    close_locked(remove_name);
    unlock();
}

void clew__file_forget(void)
{
    /* Other threads do not exist here; one may have held the lock. */
    pthread_mutex_init(&file_lock.mutex, NULL);
    path[0] = '\0';
    header = NULL; /* neither mapping was inherited */
    dictionary = NULL;
    if (fd >= 0)
        close(fd);
    fd = -1;
}

const char *clew__file_name(void)
{
    return path;
}

void clew__file_set_target(unsigned i, const struct clew__file_target *target)
{
    lock();
    if (header)
        header->target[i] = *target;
    unlock();
}

/* Pages of the file at that address. Populated: no log call is to pay for a page
 * fault. */
static bool map_at(char *at, uint64_t offset, size_t bytes)
{
    return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd,
                (off_t)offset) != MAP_FAILED;
}

/* The nested ring and a thread's own lie in a row, in the file as in memory; but
 * in memory the same pages follow once more behind each data. */
static int map_rings(uint64_t offset, struct clew__ring *own, size_t backed,
                     struct clew__ring *nested)
{
    size_t nested_bytes = CLEW__RING_CONTROL_BYTES + nested->size;
    size_t bytes = nested_bytes + nested->size + CLEW__RING_CONTROL_BYTES + 2 * own->size;
    char *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *p_own = p + nested_bytes + nested->size;

    if (p == MAP_FAILED)
        return clew_set_error(-errno, "ring: mmap: %s", strerror(errno));
    if (!map_at(p, offset, nested_bytes) ||
        !map_at(p + nested_bytes, offset + CLEW__RING_CONTROL_BYTES, nested->size) ||
        !map_at(p_own, offset + nested_bytes, CLEW__RING_CONTROL_BYTES + backed) ||
        (backed == own->size && /* else it never begins anew before it has all storage */
         !map_at(p_own + CLEW__RING_CONTROL_BYTES + own->size,
                 offset + nested_bytes + CLEW__RING_CONTROL_BYTES, own->size))) {
        int err = clew_set_error(-errno, "ring: mmap: %s", strerror(errno));

        munmap(p, bytes);
        return err;
    }
    (void)madvise(p, bytes, MADV_DONTFORK);
    nested->control = (struct clew__ring_control *)(void *)p;
    nested->data = p + CLEW__RING_CONTROL_BYTES;
    own->control = (struct clew__ring_control *)(void *)p_own;
    own->data = p_own + CLEW__RING_CONTROL_BYTES;
    own->offset = offset + nested_bytes + CLEW__RING_CONTROL_BYTES;
    return 0;
}

int clew__file_add_rings(struct clew__ring *own, struct clew__ring *nested)
{
    size_t nested_bytes = CLEW__RING_CONTROL_BYTES + nested->size;
    size_t own_bytes = CLEW__RING_CONTROL_BYTES + own->size;
    size_t backed = own->size < CLEW__RING_FIRST_BYTES ? own->size : CLEW__RING_FIRST_BYTES;
    uint64_t offset;
    int err = -ESRCH;

    lock();
    if (header)
        err = allocate(nested_bytes + own_bytes, nested_bytes + CLEW__RING_CONTROL_BYTES + backed,
                       &offset);
    if (err == 0)
        err = map_rings(offset, own, backed, nested);
    /* Should it fail from here on, what was mapped stays with the file: without
     * room for a ring in it there is none for the next either. */
    if (err == 0)
        err = publish_chunk(CLEW__CHUNK_RING, offset, nested_bytes);
    if (err == 0)
        err = publish_chunk(CLEW__CHUNK_RING, offset + nested_bytes, own_bytes);
    unlock();
    /* A page more: who reads a record may look behind its end. */
    if (err == 0 && backed < own->size)
        atomic_store(&own->withheld, own->size - backed + CLEW__RING_CONTROL_BYTES);
    return err;
}

int clew__file_back_ring(struct clew__ring *ring)
{
    size_t rest = ring->size - CLEW__RING_FIRST_BYTES;
    int err = 0;

    lock();
    if (atomic_load(&ring->withheld)) {
        err = header ? back(ring->offset + CLEW__RING_FIRST_BYTES, rest) : -ESRCH;
        if (err == 0 && (!map_at(ring->data + CLEW__RING_FIRST_BYTES,
                                 ring->offset + CLEW__RING_FIRST_BYTES, rest) ||
                         !map_at(ring->data + ring->size, ring->offset, ring->size)))
            err = clew_set_error(-errno, "ring: mmap: %s", strerror(errno));
        if (err == 0) {
            (void)madvise(ring->data, 2 * ring->size, MADV_DONTFORK);
            atomic_store_explicit(&ring->withheld, 0, memory_order_release);
        }
    }
    unlock();
    return err;
}

void *clew__file_add_spans(size_t bytes)
{
    void *chunk = NULL;
    uint64_t offset;

    lock();
    if (header && allocate(bytes, bytes, &offset) == 0 && (chunk = map(offset, bytes)) &&
        publish_chunk(CLEW__CHUNK_SPANS, offset, bytes) < 0) {
        munmap(chunk, bytes);
        chunk = NULL;
    }
    unlock();
    return chunk;
}

static size_t entry_strings(char *at, const struct clew_site *site)
{
    const char *fixed[] = {site->message, site->file, site->function, site->logger};
    size_t used = 0;

    for (size_t i = 0; i < 4u + site->nfields; i++) {
        const char *s = i < 4 ? fixed[i] : site->keys[i - 4];
        size_t n = strlen(s) + 1;

        if (at)
            memcpy(at + used, s, n);
        used += n;
    }
    return used;
}

/* Room for an entry of that size, in a fresh dictionary if need be; what it
 * counts as used is left to publish_entry(). NULL: no file, or no room. */
static struct clew__dictionary_entry *locked_new_entry(size_t size)
{
    if (!header || size > CLEW__DICTIONARY_BYTES - 8)
        return NULL;
    if (atomic_load(&dictionary->used) + size > dictionary_bytes && add_dictionary() < 0)
        return NULL;
    return (struct clew__dictionary_entry *)((char *)dictionary + atomic_load(&dictionary->used));
}

static void locked_publish_entry(const struct clew__dictionary_entry *entry)
{
    atomic_fetch_add_explicit(&dictionary->used, entry->size, memory_order_release);
}

int clew__file_add_site(const struct clew_site *site)
{
    struct clew__dictionary_entry *entry;
    size_t fixed = sizeof(*entry) + site->nfields;
    size_t size = clew__align8(fixed + entry_strings(NULL, site));

    lock();
    entry = locked_new_entry(size);
    if (entry) {
        *entry = (struct clew__dictionary_entry){.size = (uint32_t)size,
                                                 .id = site->id,
                                                 .line = site->line,
                                                 .level = site->level,
                                                 .nfields = site->nfields,
                                                 .kind = CLEW__ENTRY_SITE};
        for (unsigned i = 0; i < site->nfields; i++)
            ((uint8_t *)(entry + 1))[i] = clew__stored_type(site, i);
        (void)entry_strings((char *)entry + fixed, site);
        locked_publish_entry(entry);
    }
    unlock();
    return entry ? 0 : -ENOSPC;
}

int clew__file_add_logger(uint32_t id, const char *name, const char *fields, size_t len)
{
    struct clew__dictionary_entry *entry;
    size_t name_bytes = strlen(name) + 1;
    size_t size = clew__align8(sizeof(*entry) + name_bytes + len);

    lock();
    entry = locked_new_entry(size);
    if (entry) {
        *entry = (struct clew__dictionary_entry){
            .size = (uint32_t)size, .id = id, .kind = CLEW__ENTRY_LOGGER, .bytes = (uint32_t)len};
        memcpy(entry + 1, name, name_bytes);
        memcpy((char *)(entry + 1) + name_bytes, fields, len);
        locked_publish_entry(entry);
    }
    unlock();
    return entry ? 0 : -ENOSPC;
}
