/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the lines that a dead process left did it write itself? Its
 * checkpoints say how long the files were before. The lines after that are
 * compared with those its records make: one ring's lines stand in the file in
 * their order, so each line of the file is looked for only where each ring has
 * got to. What other processes wrote there matches nothing. If the process died
 * inside of write(2), the file's last line may be the first part of one: the
 * other part is appended, unless somebody else has written behind it. Then the
 * piece stays, and the line is written as a whole.
 */
#include "recover_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_MAX (UINT64_C(1) << 30)
#define LINE_MAX_BYTES (2u << 20)

/* Where one ring has got to in one target. */
struct matcher {
    struct clew__walk walk;
    uint8_t *found;
    uint64_t offset;       /* in the file looked at; UINT64_MAX: not in this one */
    struct clew__buf line; /* expected next, with its newline; empty: none */
    struct clew__date date;
};

static bool format(struct matcher *m, const struct clew__line *line, bool as_text)
{
    size_t bound = clew__format_json_bound(line) + 1;
    char *p, *end;

    clew__buf_reset(&m->line);
    if (as_text) {
        clew__format_text(&m->line, line, false);
        clew__buf_addc(&m->line, '\n');
        return !m->line.failed;
    }
    p = clew__buf_room(&m->line, bound);
    end = p ? clew__format_json(p, line, &m->date) : NULL;
    if (!end)
        return false;
    *end++ = '\n';
    m->line.len = (size_t)(end - m->line.data);
    return true;
}

/* Makes the next line that the target would have got. */
static void expect(struct matcher *m, const struct clew__file_target *target)
{
    struct clew__line line;

    clew__buf_reset(&m->line);
    for (; m->walk.record; clew__walk_next(&m->walk))
        if (clew__walk_line(&m->walk, &line) && line.site->level >= target->level &&
            format(m, &line, target->as_text))
            return;
    clew__buf_reset(&m->line);
}

static void mark(struct matcher *m, unsigned t, const struct clew__file_target *target)
{
    m->found[m->walk.number] |= (uint8_t)(1u << t);
    clew__walk_next(&m->walk);
    expect(m, target);
}

/* ---- the file -------------------------------------------------------------------- */

/* Opens the file of that inode: the path, or what it was renamed to beside. */
static int open_inode(const char *path, uint64_t inode)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK);
    const char *slash = strrchr(path, '/');
    const struct dirent *entry;
    char other[1024];
    struct stat st;
    DIR *dir;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (inode == 0 || st.st_ino == inode))
        return fd;
    if (fd >= 0)
        close(fd);
    (void)snprintf(other, sizeof(other), "%.*s", (int)(slash - path) + 1, path);
    dir = inode ? opendir(other) : NULL;
    fd = -1;
    while (dir && fd < 0 && (entry = readdir(dir)) != NULL)
        if (entry->d_ino == inode &&
            snprintf(other, sizeof(other), "%.*s%s", (int)(slash - path) + 1, path, entry->d_name) <
                (int)sizeof(other))
            fd = open(other, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK);
    if (dir)
        closedir(dir);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != inode)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Whether the rest stands where the file ended then: a living process may have been
 * faster. */
static bool complete(int fd, uint64_t end, const char *rest, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, rest, len);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            rest += n;
            len -= (size_t)n;
            end += (uint64_t)n;
        }
    }
    return lseek(fd, 0, SEEK_CUR) == (off_t)end;
}

/* Whether the ring's next line is this one of the file. When another process
 * died inside of write(2), the first part of its line stands before ours. */
static bool is_this(const struct matcher *m, uint64_t offset, const char *line, size_t len,
                    bool glued)
{
    if (m->line.len == 0)
        return false;
    if (glued) /* what stands before ours may lie before what we looked from */
        return m->line.len < len && offset + len - m->line.len >= m->offset &&
               memcmp(m->line.data, line + len - m->line.len, m->line.len) == 0;
    return offset >= m->offset && m->line.len >= len &&
           (line[len - 1] != '\n' || m->line.len == len) && memcmp(m->line.data, line, len) == 0;
}

/* Whether the file ends there, and not only because a living process has written a
 * part of its line by now: such a write(2) has the file's lock, for which a change of
 * nothing waits. */
static bool ends_at(int fd, off_t size)
{
    struct stat st;

    (void)!fchown(fd, (uid_t)-1, (gid_t)-1);
    return fstat(fd, &st) == 0 && st.st_size == size;
}

/* One line of the file, or its cut end. */
static void compare(struct matcher *ms, size_t n, unsigned t,
                    const struct clew__file_target *target, int fd, uint64_t offset,
                    const char *line, size_t len)
{
    bool whole = line[len - 1] == '\n';

    for (int glued = 0; glued <= whole; glued++)
        for (size_t i = 0; i < n; i++) {
            struct matcher *m = &ms[i];

            if (!is_this(m, offset, line, len, glued))
                continue;
            /* Else a part of it stands alone, and it is written once more as a whole. */
            if (whole || complete(fd, offset + len, m->line.data + len, m->line.len - len))
                mark(m, t, target);
            return;
        }
}

static void look_through(struct matcher *ms, size_t n, unsigned t,
                         const struct clew__file_target *target, int fd)
{
    uint64_t from = UINT64_MAX, page = (uint64_t)sysconf(_SC_PAGESIZE), base;
    const char *bytes, *at, *end;
    struct stat st;

    for (size_t i = 0; i < n; i++)
        if (ms[i].line.len && ms[i].offset < from)
            from = ms[i].offset;
    if (fstat(fd, &st) < 0 || from >= (uint64_t)st.st_size ||
        (uint64_t)st.st_size - from > WINDOW_MAX)
        return;
    base = from / page * page;
    bytes =
        mmap(NULL, (size_t)((uint64_t)st.st_size - base), PROT_READ, MAP_SHARED, fd, (off_t)base);
    if (bytes == MAP_FAILED)
        return;
    end = bytes + ((uint64_t)st.st_size - base);
    for (at = bytes + (from - base); at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline - at) + 1 : (size_t)(end - at);

        if (!newline && !ends_at(fd, st.st_size))
            break;
        compare(ms, n, t, target, fd, base + (uint64_t)(at - bytes), at, len);
        at += len;
    }
    munmap((void *)bytes, (size_t)((uint64_t)st.st_size - base));
}

/* ---- a target ----------------------------------------------------------------------- */

/* The files that the rings' checkpoints name, then the one that has the path
 * now, if the output was moved on to it since. */
static void match_target(struct matcher *ms, size_t n, unsigned t,
                         const struct clew__file_target *target)
{
    uint64_t now = 0, last = 0;
    struct stat st;

    if (stat(target->path, &st) == 0)
        now = st.st_ino;
    for (size_t i = 0; i < n; i++) {
        uint64_t inode = ms[i].walk.position[t].inode;
        int fd = inode && inode != last ? open_inode(target->path, inode) : -1;

        last = inode;
        if (fd < 0)
            continue;
        for (size_t k = 0; k < n; k++)
            ms[k].offset =
                ms[k].walk.position[t].inode == inode ? ms[k].walk.position[t].offset : UINT64_MAX;
        look_through(ms, n, t, target, fd);
        close(fd);
    }
    for (size_t i = 0; i < n; i++) { /* without a position nothing was written */
        uint64_t inode = ms[i].walk.position[t].inode;

        ms[i].offset = inode && inode != now ? 0 : UINT64_MAX;
    }
    if (now) {
        int fd = open_inode(target->path, now);

        if (fd >= 0) {
            look_through(ms, n, t, target, fd);
            close(fd);
        }
    }
}

static bool is_file(const struct clew__file_target *target)
{
    return target->path[0] == '/' && memchr(target->path, '\0', sizeof(target->path));
}

unsigned clew__dead_file_targets(const struct clew__dead *dead)
{
    unsigned bits = 0;

    for (unsigned t = 0; t < CLEW__TARGETS_MAX; t++)
        if (is_file(&dead->header->target[t]))
            bits |= 1u << t;
    return bits;
}

void clew__dead_match(struct clew__dead *dead)
{
    struct matcher *ms = calloc(dead->nrings + 1, sizeof(*ms));

    for (unsigned t = 0; ms && t < CLEW__TARGETS_MAX; t++) {
        const struct clew__file_target *target = &dead->header->target[t];
        size_t n = 0;

        if (!is_file(target))
            continue;
        for (size_t i = 0; i < dead->nrings; i++) {
            ms[n].found = dead->rings[i].found;
            ms[n].date.len = 0;
            clew__buf_init(&ms[n].line, LINE_MAX_BYTES);
            if (clew__walk_begin(&ms[n].walk, dead, i))
                expect(&ms[n++], target);
        }
        match_target(ms, n, t, target);
        for (size_t i = 0; i < n; i++) {
            clew__walk_end(&ms[i].walk);
            clew__buf_done(&ms[i].line);
        }
    }
    free(ms);
}
