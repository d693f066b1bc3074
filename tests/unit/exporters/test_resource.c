/* SPDX-License-Identifier: Apache-2.0
 * What is found out about the process and what is around it, from files as
 * container engines and Kubernetes make them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <resource.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "12345678-9abc-def0-1234-56789abcdef0"

static char root[64];
static struct clew__resource resource;

static int setup(void **state)
{
    static const char *const directories[] = {"/proc",
                                              "/proc/self",
                                              "/etc",
                                              "/var",
                                              "/var/run",
                                              "/var/run/secrets",
                                              "/var/run/secrets/kubernetes.io",
                                              "/var/run/secrets/kubernetes.io/serviceaccount"};
    char path[256];

    (void)state;
    strcpy(root, "/tmp/clew-test-XXXXXX");
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", root, directories[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    static const char *const variables[] = {
        "KUBERNETES_SERVICE_HOST", "HOSTNAME",  "POD_NAME", "K8S_POD_NAME", "POD_UID",
        "POD_NAMESPACE",           "NODE_NAME",
    };

    (void)state;
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    clew__resource_done(&resource);
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
    return 0;
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s%s", root, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* The text of an attribute, "" when it is not there. */
static const char *get(const char *key)
{
    for (size_t i = 0; i < resource.n; i++)
        if (strcmp(resource.fields[i].key, key) == 0)
            return resource.fields[i].value.as.s;
    return "";
}

static void test_resource_container_ids(void **state)
{
    static const struct {
        const char *cgroup, *mountinfo, *id;
    } table[] = {
        {"12:pids:/docker/" ID "\n", "", ID},
        {"1:name=systemd:/system.slice/docker-" ID ".scope\n", "", ID},
        {"0::/kubepods.slice/kubepods-pod12345678_9abc_def0_1234_56789abcdef0.slice/"
         "cri-containerd-" ID ".scope\n",
         "", ID},
        {"11:cpu:/kubepods/burstable/pod" UID "/" ID, "", ID},
        {"0::/machine.slice/libpod-" ID ".scope/container\n",
         "1 2 0:1 /var/lib/containers/storage/overlay-containers/" ID "/userdata/hostname /etc/x\n",
         ID},
        {"0::/\n", "5 6 8:1 /var/lib/docker/containers/" ID "/hostname /etc/hostname rw - ext4\n",
         ID},
        {"0::/\n", "5 6 8:1 /io.containerd.grpc.v1.cri/sandboxes/" ID "/hostname /etc/hostname\n",
         ""},
        {"0::/user.slice/user-0.slice/session-1.scope\n", "", ""},
        {"0::/docker/" ID "0\n", "", ""}, /* 65 digits */
        {"0::/docker/0123\n", "1 /containers/0123/hostname", ""},
        {"", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        write_file("/proc/self/cgroup", table[i].cgroup);
        write_file("/proc/self/mountinfo", table[i].mountinfo);
        clew__resource_detect_container(&resource, root);
        assert_string_equal(get("container.id"), table[i].id);
        clew__resource_done(&resource);
    }
}

static void test_resource_pod_uids(void **state)
{
    static const struct {
        const char *cgroup, *mountinfo, *uid;
    } table[] = {
        {"11:cpu:/kubepods/burstable/pod" UID "/" ID "\n", "", UID},
        {"0::/kubepods.slice/kubepods-pod12345678_9abc_def0_1234_56789abcdef0.slice/x.scope\n", "",
         UID},
        {"0::/kubepods.slice/kubepods-burstable.slice/"
         "kubepods-burstable-pod12345678_9abc_def0_1234_56789abcdef0.slice/x\n",
         "", UID},
        {"0::/\n", "7 8 8:1 /var/lib/kubelet/pods/" UID "/etc-hosts /etc/hosts rw\n", UID},
        {"0::/pod" UID "\n", "", ""}, /* nothing says Kubernetes */
        {"0::/kubepods/podx\n", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        write_file("/proc/self/cgroup", table[i].cgroup);
        write_file("/proc/self/mountinfo", table[i].mountinfo);
        clew__resource_detect_kubernetes(&resource, root);
        assert_string_equal(get("k8s.pod.uid"), table[i].uid);
        clew__resource_done(&resource);
    }
}

static void test_resource_downward_api(void **state)
{
    (void)state;
    setenv("HOSTNAME", "web-0", 1);
    clew__resource_detect_kubernetes(&resource, root);
    assert_string_equal(get("k8s.pod.name"), ""); /* any host has a name */
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    write_file("/var/run/secrets/kubernetes.io/serviceaccount/namespace", "shop\n");
    clew__resource_detect_kubernetes(&resource, root);
    assert_string_equal(get("k8s.pod.name"), "web-0");
    assert_string_equal(get("k8s.namespace.name"), "shop");
    setenv("POD_NAME", "web-1", 1);
    setenv("POD_NAMESPACE", "other", 1);
    setenv("NODE_NAME", "node-3", 1);
    setenv("POD_UID", UID, 1);
    clew__resource_detect_kubernetes(&resource, root);
    assert_string_equal(get("k8s.pod.name"), "web-1");
    assert_string_equal(get("k8s.namespace.name"), "other");
    assert_string_equal(get("k8s.node.name"), "node-3");
    assert_string_equal(get("k8s.pod.uid"), UID);
}

static void test_resource_host_and_process(void **state)
{
    char path[256];
    FILE *f;

    (void)state;
    write_file("/etc/machine-id", "fedcba98765432100123456789abcdef\n");
    snprintf(path, sizeof(path), "%s/proc/self/cmdline", root);
    f = fopen(path, "w");
    assert_non_null(f);
    fwrite("server\0--password\0hush\0", 1, 23, f);
    fclose(f);
    snprintf(path, sizeof(path), "%s/proc/self/exe", root);
    assert_int_equal(symlink("/usr/bin/real server", path), 0);
    clew__resource_detect_host(&resource, root);
    clew__resource_detect_process(&resource, root);
    assert_string_equal(get("host.id"), "fedcba98765432100123456789abcdef");
    assert_string_equal(get("os.type"), "linux");
    assert_true(get("host.name")[0] != '\0');
    assert_string_equal(get("process.command"), "server");
    assert_string_equal(get("process.executable.name"), "real server");
    for (size_t i = 0; i < resource.n; i++)
        if (resource.fields[i].type == CLEW_TYPE_STRING)
            assert_null(strstr(resource.fields[i].value.as.s, "hush"));
}

static void test_resource_attributes_from_the_environment(void **state)
{
    static const char *const wrong[] = {"a",     "=b",    "a=b,c",  "a=%",     "a=%zz",
                                        "a=%ff", "a=%00", "a=b,=c", "%=broken"};

    (void)state;
    clew__resource_set(&resource, "service.name", "ours");
    clew__resource_set(&resource, "host.name", "found");
    assert_int_equal(clew__resource_parse(&resource, " a = b%2Cc%3D , key%20two=v,,service.name=no,"
                                                     "host.name=told,empty=,eq=x=y,"),
                     0);
    assert_string_equal(get("a"), "b,c=");
    assert_string_equal(get("key two"), "v");
    assert_string_equal(get("service.name"), "ours");
    assert_string_equal(get("host.name"), "told");
    assert_string_equal(get("eq"), "x=y");
    assert_int_equal(resource.n, 5);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(clew__resource_parse(&resource, wrong[i]), -EINVAL);
        assert_string_equal(get("a"), "b,c="); /* all of it is left out */
    }
}

static void test_resource_is_bounded(void **state)
{
    char text[8192] = "", one[32];

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(one, sizeof(one), "key%d=%d,", i, i);
        strcat(text, one);
    }
    assert_int_equal(clew__resource_parse(&resource, text), 0);
    assert_int_equal(resource.n, CLEW__RESOURCE_MAX);
}

static void test_resource_of_this_process(void **state)
{
    const struct clew__resource *mine = clew__resource_get();
    unsigned long serial = mine->serial;

    (void)state;
    assert_true(mine->n > 8);
    assert_ptr_equal(clew__resource_get(), mine);
    assert_int_equal(clew__resource_get()->serial, serial);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_resource_container_ids),
        TEST(test_resource_pod_uids),
        TEST(test_resource_downward_api),
        TEST(test_resource_host_and_process),
        TEST(test_resource_attributes_from_the_environment),
        TEST(test_resource_is_bounded),
        TEST(test_resource_of_this_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
