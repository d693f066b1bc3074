/* SPDX-License-Identifier: Apache-2.0
 *
 * The backtrace of a crash: backtrace(3) walks the stack, /proc/self/maps says
 * which module each address is in. backtrace() is not on POSIX's list for
 * handlers: its first use loads a library, which is done beforehand, and after
 * that it reads unwinding tables; what it may do with a damaged stack, fault or
 * not return, its caller has to bear. Memory is static: one report at a time.
 */
#include "crash_priv.h"

#include <execinfo.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define FRAMES_MAX 48
#define OWN_FRAMES_MAX 16 /* of the handler, above those */
#define MODULE_BYTES 40

static struct frame {
    uintptr_t pc;
    uintptr_t offset;
    char module[MODULE_BYTES];
} frames[FRAMES_MAX];
static size_t nframes;

struct clew__crash_place clew__crash_place(const void *ucontext)
{
    const ucontext_t *context = ucontext;
    struct clew__crash_place place = {0, 0};

    (void)context;
#if defined(__x86_64__)
    place.pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    place.sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    place.pc = (uintptr_t)context->uc_mcontext.pc;
    place.sp = (uintptr_t)context->uc_mcontext.sp;
#elif defined(__riscv)
    place.pc = (uintptr_t)context->uc_mcontext.__gregs[REG_PC];
    place.sp = (uintptr_t)context->uc_mcontext.__gregs[REG_SP];
#endif
    return place;
}

void clew__crash_trace_prepare(void)
{
    void *some[4];

    (void)backtrace(some, 4);
}

static void add_frame(const void *pc)
{
    frames[nframes] = (struct frame){.pc = (uintptr_t)pc};
    nframes++;
}

/* A call to nowhere has no tables to unwind by, but on x86-64 the address that
 * the call returns to lies on top of the stack. */
static void add_caller(const struct clew__crash_place *place)
{
#if defined(__x86_64__)
    void *caller;

    memcpy(&caller, (void *)place->sp, sizeof(caller));
    add_frame(caller);
#else
    (void)place;
#endif
}

void clew__crash_trace_walk(const struct clew__crash_place *place)
{
    static void *found[OWN_FRAMES_MAX + FRAMES_MAX];
    bool known = place->sp != 0;
    int n, first = 0;

    nframes = 0;
    if (known)
        add_frame((void *)place->pc); /* stays if the rest faults */
    n = backtrace(found, OWN_FRAMES_MAX + FRAMES_MAX);
    while (known && first < n && (uintptr_t)found[first] != place->pc)
        first++;
    if (known && first == n) {
        add_caller(place);
        return;
    }
    nframes = 0;
    for (int i = first; i < n && nframes < FRAMES_MAX; i++)
        add_frame(found[i]);
}

/* ---- modules ------------------------------------------------------------------- */

static const char *read_hex(const char *at, uintptr_t *ret)
{
    *ret = 0;
    for (;; at++) {
        if (*at >= '0' && *at <= '9')
            *ret = *ret << 4 | (uintptr_t)(*at - '0');
        else if (*at >= 'a' && *at <= 'f')
            *ret = *ret << 4 | (uintptr_t)(*at - 'a' + 10);
        else
            return at;
    }
}

/* The module's name as one word. */
static void copy_name(char ret[MODULE_BYTES], const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = 0;

    for (const char *p = slash ? slash + 1 : path; *p && n < MODULE_BYTES - 1; p++)
        ret[n++] = *p <= ' ' || *p == '+' ? '_' : *p;
    ret[n] = '\0';
}

/* One line: "start-end perms offset device inode   path". A module's mappings
 * follow each other; the one of offset 0 says where it begins. */
static void take_mapping(const char *line)
{
    static uintptr_t base, inode;
    uintptr_t start, end, offset, number;
    const char *at = read_hex(line, &start);

    if (*at != '-')
        return;
    at = read_hex(at + 1, &end);
    if (strnlen(at, 6) < 6)
        return;
    at = read_hex(at + 6, &offset); /* " r-xp " */
    at = strchr(*at ? at + 1 : at, ' ');
    if (!at)
        return;
    at = read_hex(at + 1, &number); /* decimal, but as good to compare */
    if (offset == 0 || number != inode)
        base = start - offset;
    inode = number;
    at += strspn(at, " ");
    for (size_t i = 0; i < nframes; i++) {
        if (frames[i].pc < start || frames[i].pc >= end)
            continue;
        frames[i].offset = frames[i].pc - base;
        copy_name(frames[i].module, *at ? at : "?");
    }
}

static void find_modules(void)
{
    static char chunk[4096], line[512];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n;

    if (fd < 0)
        return;
    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            if (chunk[i] == '\n') {
                line[len] = '\0';
                take_mapping(line);
                len = 0;
            } else if (len < sizeof(line) - 1) {
                line[len++] = chunk[i];
            }
        }
    }
    close(fd);
}

size_t clew__crash_trace_text(char ret[CLEW__CRASH_TRACE_BYTES])
{
    size_t len = 0;

    find_modules();
    for (size_t i = 0; i < nframes; i++) {
        struct frame *frame = &frames[i];
        char hex[19];
        size_t n, name;

        if (!frame->module[0]) {
            frame->offset = frame->pc;
            frame->module[0] = '?';
        }
        n = clew__crash_hex(hex, frame->offset);
        name = strlen(frame->module);
        if (len + 1 + name + 1 + n > CLEW__CRASH_TRACE_BYTES)
            break;
        if (len > 0)
            ret[len++] = ' ';
        memcpy(ret + len, frame->module, name);
        len += name;
        ret[len++] = '+';
        memcpy(ret + len, hex, n);
        len += n;
    }
    return len;
}
