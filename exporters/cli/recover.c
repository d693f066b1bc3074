/* SPDX-License-Identifier: Apache-2.0
 *
 * `clew recover`: what services that died left in their ring files, without
 * waiting for their next start. Lines that stand in the service's own file
 * already are left out; a line that was cut there is completed there.
 */
#include "cli.h"

#include <recover_priv.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: clew recover [options] DIRECTORY|FILE...\n"
    "\n"
    "Prints the log lines that services which died had not written yet, and removes\n"
    "their ring files. DIRECTORY is a service's CLEW_RING_DIR, as a rule\n"
    "/dev/shm/clewline-UID; files of living processes are left alone. Lines that the\n"
    "service's own log file has already are not printed.\n"
    "\n"
    "  -a, --append  append the lines to the files the services wrote to; those of\n"
    "                services that wrote elsewhere are printed\n"
    "  -k, --keep    keep the ring files\n"
    "  -h, --help\n"
    "\n"
    "Spans are not exported: leave the files to the service's next start for that.\n"
    "Exit status: 0; 1 when there was nothing; 2 when something could not be read or\n"
    "written, the ring file is kept then; 64 for wrong usage.\n";

struct work {
    bool append, keep;
    unsigned long files, lines, spans, busy;
    bool failed;
    int out[CLEW__TARGETS_MAX]; /* of the file at hand, -1: not open */
    struct clew__date date;
    struct clew__buf text;
};

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void format(struct work *work, const struct clew__line *line, bool as_text)
{
    char *p, *end;

    clew__buf_reset(&work->text);
    if (as_text) {
        clew__format_text(&work->text, line, false);
    } else if ((p = clew__buf_room(&work->text, clew__format_json_bound(line))) != NULL &&
               (end = clew__format_json(p, line, &work->date)) != NULL) {
        work->text.len = (size_t)(end - work->text.data);
    }
    clew__buf_addc(&work->text, '\n');
}

static void print(struct work *work, const struct clew__line *line)
{
    format(work, line, false);
    if (work->text.failed || fwrite(work->text.data, 1, work->text.len, stdout) != work->text.len)
        work->failed = true;
}

/* To the files of the service that lack it. */
static void append(struct work *work, const struct clew__dead *dead, const struct clew__line *line,
                   unsigned missing)
{
    for (unsigned t = 0; t < CLEW__TARGETS_MAX; t++) {
        const struct clew__file_target *target = &dead->header->target[t];

        if (!(missing & (1u << t)) || line->site->level < target->level)
            continue;
        if (work->out[t] < 0)
            work->out[t] = open(target->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        format(work, line, target->as_text);
        if (work->out[t] < 0 || work->text.failed ||
            !write_all(work->out[t], work->text.data, work->text.len)) {
            if (!work->failed)
                fprintf(stderr, "clew recover: %s: %s\n", target->path, strerror(errno));
            work->failed = true;
        }
    }
}

static void take_line(void *arg, const struct clew__dead *dead, struct clew__line *line,
                      unsigned found)
{
    struct work *work = arg;
    unsigned files = clew__dead_file_targets(dead), missing = files & ~found;

    for (unsigned t = 0; t < CLEW__TARGETS_MAX; t++)
        if (line->site->level < dead->header->target[t].level)
            missing &= ~(1u << t); /* that file was not to have it */
    if (files && !missing)
        return;
    work->lines++;
    if (work->append && files)
        append(work, dead, line, missing);
    else
        print(work, line);
}

static void take_span(void *arg, const struct clew_span_record *span)
{
    (void)span;
    ((struct work *)arg)->spans++;
}

static void recover_one(struct work *work, const char *path)
{
    struct clew__recovery to = {take_line, take_span, work};
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err;
    bool failed_before = work->failed;

    if (fd < 0) {
        fprintf(stderr, "clew recover: %s: %s\n", path, strerror(errno));
        work->failed = true;
        return;
    }
    for (unsigned t = 0; t < CLEW__TARGETS_MAX; t++)
        work->out[t] = -1;
    work->failed = false;
    err = clew__recover_file(fd, &to);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "clew recover: stdout: %s\n", strerror(errno));
        work->failed = true;
    }
    for (unsigned t = 0; t < CLEW__TARGETS_MAX; t++)
        if (work->out[t] >= 0 && close(work->out[t]) < 0)
            work->failed = true;
    if (err == -EBUSY) {
        work->busy++;
    } else if (err < 0) {
        fprintf(stderr, "clew recover: %s: %s\n", path, strerror(-err));
        work->failed = true;
    } else {
        work->files++;
        if (!work->keep && !work->failed && unlink(path) < 0) {
            fprintf(stderr, "clew recover: %s: %s\n", path, strerror(errno));
            work->failed = true;
        }
    }
    close(fd);
    work->failed |= failed_before;
}

static int is_ring_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > 6 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 6, ".rings") == 0;
}

/* Oldest first: the time stands behind the last '-'. */
static int by_time(const struct dirent **a, const struct dirent **b)
{
    const char *ta = strrchr((*a)->d_name, '-'), *tb = strrchr((*b)->d_name, '-');

    return strcmp(ta ? ta : "", tb ? tb : "");
}

static void recover_path(struct work *work, const char *path)
{
    struct dirent **list;
    struct stat st;
    char file[4096];
    int n;

    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        recover_one(work, path);
        return;
    }
    n = scandir(path, &list, is_ring_file, by_time);
    if (n < 0) {
        fprintf(stderr, "clew recover: %s: %s\n", path, strerror(errno));
        work->failed = true;
        return;
    }
    for (int i = 0; i < n; i++) {
        if (snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name) < (int)sizeof(file))
            recover_one(work, file);
        free(list[i]);
    }
    free(list);
}

int cli_recover(int argc, char **argv)
{
    static const struct option options[] = {{"append", no_argument, NULL, 'a'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct work work = {.append = false};
    int option;

    while ((option = getopt_long(argc, argv, "akh", options, NULL)) >= 0) {
        if (option == 'a') {
            work.append = true;
        } else if (option == 'k') {
            work.keep = true;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : EXIT_WRONG_USAGE;
        }
    }
    if (optind == argc) {
        fputs(usage, stderr);
        return EXIT_WRONG_USAGE;
    }
    clew__buf_init(&work.text, 4u << 20);
    for (; optind < argc; optind++)
        recover_path(&work, argv[optind]);
    clew__buf_done(&work.text);
    fprintf(stderr, "clew recover: %lu lines from %lu files", work.lines, work.files);
    if (work.spans)
        fprintf(stderr, ", %lu spans not exported", work.spans);
    if (work.busy)
        fprintf(stderr, ", %lu files belong to living processes", work.busy);
    fputc('\n', stderr);
    if (work.failed)
        return EXIT_TROUBLE;
    return work.files ? 0 : EXIT_NOTHING;
}
