/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking at the machine. Files are read up to a bound and may say anything:
 * what does not have the form that is looked for is left out. Arguments of the
 * command are never taken, they may be secrets.
 *
 * Sources: cgroups(7) and proc_pid_mountinfo(5); the names that docker, podman,
 * containerd and CRI-O give their cgroups and mounts; Kubernetes' downward API,
 * whose variables have no fixed names: those that OpenTelemetry's operator and
 * most charts use are read.
 */
#include "resource.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FILE_MAX 65536u
#define CONTAINER_ID_LEN 64u
#define POD_UID_LEN 36u

/* The beginning of a file as a string, free() it; NULL. */
static char *read_file(const char *root, const char *path)
{
    char name[1024], *text;
    ssize_t n = 0, got;
    int fd;

    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int)sizeof(name))
        return NULL;
    fd = open(name, O_RDONLY | O_CLOEXEC);
    text = fd < 0 ? NULL : malloc(FILE_MAX);
    while (text && n < (ssize_t)FILE_MAX - 1 &&
           (got = read(fd, text + n, FILE_MAX - 1 - (size_t)n)) > 0)
        n += got;
    if (fd >= 0)
        close(fd);
    if (text)
        text[n] = '\0';
    return text;
}

/* The first line of a file. */
static void set_from_file(struct clew__resource *r, const char *key, const char *root,
                          const char *path)
{
    char *text = read_file(root, path);

    if (text) {
        text[strcspn(text, "\r\n")] = '\0';
        clew__resource_set(r, key, text);
    }
    free(text);
}

void clew__resource_detect_host(struct clew__resource *r, const char *root)
{
    static const char *const architectures[][2] = {
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"ppc64le", "ppc64"}, {"s390x", "s390x"}};
    struct utsname names;

    clew__resource_set(r, "os.type", "linux");
    set_from_file(r, "host.id", root, "/etc/machine-id");
    if (uname(&names) < 0)
        return;
    clew__resource_set(r, "host.name", names.nodename);
    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
        if (strcmp(names.machine, architectures[i][0]) == 0)
            clew__resource_set(r, "host.arch", architectures[i][1]);
}

void clew__resource_detect_process(struct clew__resource *r, const char *root)
{
    char link[1024], path[1024], *command;
    ssize_t n = -1;

    if (r->n < CLEW__RESOURCE_MAX) {
        char *key = strdup("process.pid");

        if (key)
            r->fields[r->n++] = (struct clew_field){.key = key,
                                                    .type = CLEW_TYPE_INT,
                                                    .key_len = 11,
                                                    .value = clew_value_int(getpid())};
    }
    if (snprintf(link, sizeof(link), "%s/proc/self/exe", root) < (int)sizeof(link))
        n = readlink(link, path, sizeof(path) - 1);
    if (n > 0) {
        path[n] = '\0';
        clew__resource_set(r, "process.executable.path", path);
        clew__resource_set(r, "process.executable.name",
                           strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    }
    command = read_file(root, "/proc/self/cmdline"); /* up to the first NUL */
    if (command)
        clew__resource_set(r, "process.command", command);
    free(command);
}

/* ---- containers ------------------------------------------------------------------------ */

static bool is_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)text[i]) && (text[i] < 'a' || text[i] > 'f'))
            return false;
    return true;
}

/* 64 hex digits that end where a name ends. */
static bool is_container_id(const char *text)
{
    return is_hex(text, strnlen(text, CONTAINER_ID_LEN)) &&
           strnlen(text, CONTAINER_ID_LEN) == CONTAINER_ID_LEN &&
           !isalnum((unsigned char)text[CONTAINER_ID_LEN]) && text[CONTAINER_ID_LEN] != '_';
}

/* In the last part of a cgroup's path, perhaps after "docker-" or the like. */
static const char *id_in_cgroup(const char *line)
{
    const char *name = line;

    for (const char *p = line; *p && *p != '\n'; p++)
        if (*p == '/')
            name = p + 1;
    for (const char *p = name; *p && *p != '\n'; p++)
        if ((p == name || p[-1] == '-' || p[-1] == ':') && is_container_id(p))
            return p;
    return NULL;
}

/* In the path of a file that the engine mounted, such as
 * /var/lib/docker/containers/<id>/hostname; sandboxes are not containers. */
static const char *id_in_mount(const char *line)
{
    static const char directory[] = "containers/";
    size_t len = strcspn(line, "\n");
    const char *end = line + len;

    for (const char *p = line; (p = memmem(p, (size_t)(end - p), directory, 11)); p += 11)
        if (is_container_id(p + 11))
            return p + 11;
    return NULL;
}

static bool set_id(struct clew__resource *r, const char *text, const char *(*find)(const char *))
{
    for (const char *line = text; line && *line;) {
        const char *id = find(line), *next = strchr(line, '\n');
        char copy[CONTAINER_ID_LEN + 1];

        if (id) {
            memcpy(copy, id, CONTAINER_ID_LEN);
            copy[CONTAINER_ID_LEN] = '\0';
            clew__resource_set(r, "container.id", copy);
            return true;
        }
        line = next ? next + 1 : NULL;
    }
    return false;
}

void clew__resource_detect_container(struct clew__resource *r, const char *root)
{
    char *cgroup = read_file(root, "/proc/self/cgroup"), *mounts;

    if (!set_id(r, cgroup, id_in_cgroup)) {
        mounts = read_file(root, "/proc/self/mountinfo");
        (void)set_id(r, mounts, id_in_mount);
        free(mounts);
    }
    free(cgroup);
}

/* ---- Kubernetes -------------------------------------------------------------------------- */

/* 8-4-4-4-12 hex digits; systemd's cgroups have '_' for '-'. */
static bool copy_uid(char to[POD_UID_LEN + 1], const char *from)
{
    for (size_t i = 0; i < POD_UID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? from[i] != '-' && from[i] != '_' : !is_hex(from + i, 1))
            return false;
        to[i] = dash ? '-' : from[i];
    }
    to[POD_UID_LEN] = '\0';
    return !isalnum((unsigned char)from[POD_UID_LEN]);
}

/* The first uid that follows `before` in a file that speaks of `of`. */
static bool set_uid(struct clew__resource *r, const char *root, const char *path, const char *of,
                    const char *before)
{
    char *text = read_file(root, path), uid[POD_UID_LEN + 1];
    const char *p = text && strstr(text, of) ? text : NULL;
    bool found = false;

    while (p && !found && (p = strstr(p, before))) {
        p += strlen(before);
        found = copy_uid(uid, p);
    }
    if (found)
        clew__resource_set(r, "k8s.pod.uid", uid);
    free(text);
    return found;
}

static void set_from_variables(struct clew__resource *r, const char *key, const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);

        if (value && *value) {
            clew__resource_set(r, key, value);
            return;
        }
    }
}

void clew__resource_detect_kubernetes(struct clew__resource *r, const char *root)
{
    static const char account[] = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    const char *in_pod = getenv("KUBERNETES_SERVICE_HOST"), *host = getenv("HOSTNAME");

    if (!set_uid(r, root, "/proc/self/cgroup", "kubepods", "pod"))
        (void)set_uid(r, root, "/proc/self/mountinfo", "kubelet", "/pods/");
    set_from_variables(r, "k8s.pod.uid", (const char *const[]){"K8S_POD_UID", "POD_UID", NULL});
    if (in_pod) {
        set_from_file(r, "k8s.namespace.name", root, account);
        if (host)
            clew__resource_set(r, "k8s.pod.name", host); /* unless the pod has a name of its own */
    }
    set_from_variables(r, "k8s.pod.name", (const char *const[]){"K8S_POD_NAME", "POD_NAME", NULL});
    set_from_variables(
        r, "k8s.namespace.name",
        (const char *const[]){"K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE", NULL});
    set_from_variables(r, "k8s.node.name",
                       (const char *const[]){"K8S_NODE_NAME", "NODE_NAME", NULL});
    set_from_variables(r, "k8s.container.name",
                       (const char *const[]){"K8S_CONTAINER_NAME", "CONTAINER_NAME", NULL});
}
