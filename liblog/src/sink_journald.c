/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines to journald in its native protocol: one datagram a line, in it the
 * fields as NAME=value or, for values with anything but printable text, as
 * NAME, a newline, the length as 64 bits little-endian and the bytes. What is
 * too large for a datagram goes as a sealed memory file.
 *
 * A key becomes a field name that journald takes; where it would get a meaning
 * that the call did not intend (a line's own fields, those journald acts on)
 * it gets the prefix F_. Collector thread; the counter is for everybody.
 */
#include "sinks_priv.h"

#include <json.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRY_MAX (1u << 20)
#define NAME_MAX_BYTES 64u

_Atomic uint64_t clew__journald_lost;

struct journald {
    struct clew__peer peer;
    struct clew__buf entry;
    struct clew__buf value; /* numbers as text */
};

static bool is_text(const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        n = clew__utf8_sequence(s + i, len - i);
        if (n == 0 || (unsigned char)s[i] < 0x20 || s[i] == 0x7F)
            return false;
    }
    return true;
}

static void add_field(struct clew__buf *entry, const char *name, const char *s, size_t len)
{
    clew__buf_adds(entry, name);
    if (is_text(s, len)) {
        clew__buf_addc(entry, '=');
    } else {
        uint64_t size = htole64(len);

        clew__buf_addc(entry, '\n');
        clew__buf_add(entry, &size, sizeof(size));
    }
    clew__buf_add(entry, s, len);
    clew__buf_addc(entry, '\n');
}

static void add_string(struct clew__buf *entry, const char *name, const char *s)
{
    if (s && *s)
        add_field(entry, name, s, strlen(s));
}

/* The line's own names and those that change how journald or journalctl sees
 * an entry. A name that ends in '_' stands for all that begin with it. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {
        "MESSAGE",        "MESSAGE_ID", "PRIORITY",  "CODE_",         "REQUEST_ID",
        "CORRELATION_ID", "TRACE_ID",   "SPAN_ID",   "SYSLOG_",       "OBJECT_",
        "COREDUMP_",      "UNIT",       "USER_UNIT", "INVOCATION_ID", "USER_INVOCATION_ID",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);

        if (names[i][len - 1] == '_' ? strncmp(name, names[i], len) == 0
                                     : strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static void make_name(const char *key, char ret[NAME_MAX_BYTES + 1])
{
    size_t len = 0;
    char first = key[0];

    for (; key[len] && len < NAME_MAX_BYTES; len++) {
        char c = key[len];

        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            c = '_';
        ret[len] = c;
    }
    ret[len] = '\0';
    if (len > 0 && ret[0] != '_' && !(first >= '0' && first <= '9') && !is_reserved(ret))
        return;
    if (len > NAME_MAX_BYTES - 2)
        len = NAME_MAX_BYTES - 2;
    memmove(ret + 2, ret, len);
    memcpy(ret, "F_", 2);
    ret[len + 2] = '\0';
}

static void add_fields(struct journald *self, const struct clew_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[NAME_MAX_BYTES + 1];

        make_name(fields[i].key, name);
        clew__buf_reset(&self->value);
        clew__value_text(&self->value, fields[i].type, &fields[i].value);
        if (self->value.failed)
            self->entry.failed = true;
        else
            add_field(&self->entry, name, self->value.data, self->value.len);
    }
}

static void add_ids(struct clew__buf *entry, const struct clew_line *line)
{
    char hex[33];

    add_string(entry, "REQUEST_ID", line->request_id);
    add_string(entry, "CORRELATION_ID", line->correlation_id);
    if (clew__is_set(line->trace_id, 16)) {
        clew__hex(hex, line->trace_id, 16);
        add_field(entry, "TRACE_ID", hex, 32);
    }
    if (line->span_id) {
        clew__hex(hex, &line->span_id, 8);
        add_field(entry, "SPAN_ID", hex, 16);
    }
}

static void make_entry(struct journald *self, const struct clew_line *line)
{
    struct clew__buf *entry = &self->entry;
    const struct clew_site *site = line->site;

    clew__buf_reset(entry);
    add_field(entry, "MESSAGE", line->message, line->message_len);
    if (line->logger[0])
        add_field(entry, "LOGGER", line->logger, strlen(line->logger));
    clew__buf_addf(entry, "PRIORITY=%u\n", clew__severity(line->level));
    add_string(entry, "SYSLOG_IDENTIFIER", clew_service_name());
    add_string(entry, "CODE_FILE", site->file);
    clew__buf_addf(entry, "CODE_LINE=%d\n", site->line);
    add_string(entry, "CODE_FUNC", site->function);
    add_ids(entry, line);
    add_fields(self, line->bound, line->nbound);
    add_fields(self, line->fields, line->nfields);
}

/* A file that nobody can change any more, which journald asks for. */
static int make_file(const struct clew__buf *entry)
{
    int fd = memfd_create("clewline-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t written = 0;

    if (fd < 0)
        return -errno;
    while (written < entry->len) {
        ssize_t n = write(fd, entry->data + written, entry->len - written);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto failed;
        written += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        goto failed;
    return fd;

failed:;
    int error = errno;

    close(fd);
    return -error;
}

static int send_file(struct journald *self)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header;
    int r, fd = make_file(&self->entry);

    if (fd < 0)
        return fd;
    memset(&control, 0, sizeof(control));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    r = clew__peer_send(&self->peer, &message);
    close(fd);
    return r;
}

static void journald_line(void *arg, const struct clew_line *line)
{
    struct journald *self = arg;
    struct iovec data;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    int r = -E2BIG;

    make_entry(self, line);
    if (!self->entry.failed) {
        data = (struct iovec){self->entry.data, self->entry.len};
        r = clew__peer_send(&self->peer, &message);
        if (r == -EMSGSIZE || r == -ENOBUFS)
            r = send_file(self);
    }
    if (r < 0)
        atomic_fetch_add_explicit(&clew__journald_lost, 1, memory_order_relaxed);
}

static void journald_close(void *arg, uint64_t deadline_ns)
{
    struct journald *self = arg;

    (void)deadline_ns; /* nothing is kept back */
    clew__peer_done(&self->peer);
    clew__buf_done(&self->entry);
    clew__buf_done(&self->value);
    free(self);
}

int clew__journald_open(const char *address, const struct clew_sink_ops **ret_ops, void **ret_self)
{
    static const struct clew_sink_ops ops = {
        .name = "journald",
        .line = journald_line,
        .close = journald_close,
    };
    struct clew__addresses addresses = {0};
    struct journald *self;
    int r;

    if (!address)
        address = CLEW__JOURNALD_ADDRESS;
    r = clew__address_unix("journald", address, &addresses);
    if (r < 0)
        return r;
    self = calloc(1, sizeof(*self));
    if (!self)
        return clew_set_error(-ENOMEM, "journald: no memory");
    clew__peer_init(&self->peer, &clew__journald_lost);
    self->peer.addresses = addresses;
    clew__buf_init(&self->entry, ENTRY_MAX);
    clew__buf_init(&self->value, ENTRY_MAX);
    r = clew__peer_connect(&self->peer);
    if (r < 0)
        r = clew_set_error(1, "journald: %s: %s", address, strerror(-r));
    *ret_ops = &ops;
    *ret_self = self;
    return r;
}
