/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <address.h>
#include <clew/log.h>
#include <settings.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct clew__settings settings;

static int forget(void **state)
{
    static const char *const names[] = {
        "CLEW_LOKI_URL",
        "CLEW_LOKI_LABELS",
        "CLEW_LOKI_TENANT",
        "CLEW_LOKI_USERNAME",
        "CLEW_LOKI_PASSWORD",
        "CLEW_LOKI_PASSWORD_FILE",
        "CLEW_LOKI_BEARER_TOKEN",
        "CLEW_MANAGEMENT_ADDRESS",
        "CLEW_METRICS_ADDRESS",
        "CLEW_METRICS_ENABLED",
        "CLEW_BASE_PORT",
        "CLEW_MANAGEMENT_ALLOW",
        "CLEW_MANAGEMENT_USERNAME",
        "CLEW_MANAGEMENT_PASSWORD",
        "CLEW_MANAGEMENT_PASSWORD_FILE",
        "CLEW_MANAGEMENT_BEARER_TOKEN",
        "CLEW_MANAGEMENT_BEARER_TOKEN_FILE",
        "CLEW_MANAGEMENT_TLS_CERTIFICATE",
        "CLEW_MANAGEMENT_TLS_KEY",
        "CLEW_MANAGEMENT_TLS_CLIENT_CA",
        "CLEW_EXPORT_QUEUE_KIB",
        "CLEW_SHUTDOWN_TIMEOUT_MS",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_TRACES_EXPORTER",
        "OTEL_SDK_DISABLED",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_INSECURE",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_RESOURCE_ATTRIBUTES",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    return 0;
}

static void test_settings_nothing_set_means_no_network(void **state)
{
    (void)state;
    setenv("CLEW_LOKI_URL", "", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_null(settings.management.pages.variable);
    assert_null(settings.management.metrics.variable);
    assert_true(settings.metrics);
    assert_string_equal(settings.loki_url, "");
    assert_string_equal(settings.otlp.url, "");
}

static void test_settings_wrong_values_name_the_variable(void **state)
{
    static const char *const wrong[][2] = {
        {"CLEW_LOKI_URL", "ftp://x"},
        {"CLEW_MANAGEMENT_ADDRESS", "nowhere"},
        {"CLEW_MANAGEMENT_ADDRESS", "::1:9"},
        {"CLEW_MANAGEMENT_ADDRESS", "127.0.0.1:99999"},
        {"CLEW_MANAGEMENT_ADDRESS", "70000"},
        {"CLEW_METRICS_ADDRESS", "127.0.0.1"},
        {"CLEW_METRICS_ENABLED", "perhaps"},
        {"CLEW_BASE_PORT", "64536"},
        {"CLEW_BASE_PORT", "0"},
        {"CLEW_BASE_PORT", "localhost:8081"},
        {"CLEW_MANAGEMENT_ALLOW", "10.0.0.0/33"},
        {"CLEW_MANAGEMENT_ALLOW", "10.0.0.0/8,::1/129"},
        {"CLEW_MANAGEMENT_ALLOW", "10.0.0.0/"},
        {"CLEW_MANAGEMENT_ALLOW", "example.com"},
        {"CLEW_MANAGEMENT_USERNAME", "prometheus"},
        {"CLEW_MANAGEMENT_USERNAME", "a:b"},
        {"CLEW_MANAGEMENT_PASSWORD", "secret"},
        {"CLEW_MANAGEMENT_PASSWORD_FILE", "/nowhere"},
        {"CLEW_MANAGEMENT_BEARER_TOKEN", "two\nlines"},
        {"CLEW_MANAGEMENT_BEARER_TOKEN_FILE", "/dev/null"},
        {"CLEW_MANAGEMENT_TLS_CERTIFICATE", "/c.pem"},
        {"CLEW_MANAGEMENT_TLS_KEY", "/k.pem"},
        {"CLEW_MANAGEMENT_TLS_CLIENT_CA", "/ca.pem"},
        {"CLEW_EXPORT_QUEUE_KIB", "12"},
        {"CLEW_SHUTDOWN_TIMEOUT_MS", "soon"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv(wrong[i][0], wrong[i][1], 1);
        assert_int_equal(clew__settings_read(&settings), -EINVAL);
        assert_non_null(strstr(clew_last_error(), wrong[i][0]));
        unsetenv(wrong[i][0]);
    }
    setenv("CLEW_LOKI_URL", "http://loki:3100", 1);
    setenv("CLEW_LOKI_LABELS", "bad-name=1", 1);
    assert_int_equal(clew__settings_read(&settings), -EINVAL);
    setenv("CLEW_LOKI_LABELS", "service=x", 1);
    assert_int_equal(clew__settings_read(&settings), -EINVAL);
    unsetenv("CLEW_LOKI_LABELS");
    setenv("CLEW_LOKI_TENANT", "a/b", 1);
    assert_int_equal(clew__settings_read(&settings), -EINVAL);
}

static void test_settings_urls_and_labels(void **state)
{
    (void)state;
    setenv("CLEW_LOKI_URL", "http://loki:3100/", 1);
    setenv("CLEW_LOKI_LABELS", "env=prod,region=eu \"west\"", 1);
    setenv("CLEW_LOKI_USERNAME", "Aladdin", 1);
    setenv("CLEW_LOKI_PASSWORD", "open sesame", 1);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel:4318/base/", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_string_equal(settings.loki_url, "http://loki:3100/loki/api/v1/push");
    assert_string_equal(settings.loki_labels, ", env=\"prod\", region=\"eu \\\"west\\\"\"");
    /* the example of RFC 7617, section 2 */
    assert_string_equal(settings.loki_authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_string_equal(settings.otlp.url, "https://otel:4318/base/v1/traces");
    setenv("CLEW_LOKI_URL", "http://gateway/loki/api/v1/push", 1);
    setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:9/as/is", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_string_equal(settings.loki_url, "http://gateway/loki/api/v1/push");
    assert_string_equal(settings.otlp.url, "http://other:9/as/is");
    setenv("OTEL_TRACES_EXPORTER", "none", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_string_equal(settings.otlp.url, "");
}

static void test_settings_wrong_otel_values_are_told_and_passed_over(void **state)
{
    (void)state;
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318", 1);
    setenv("OTEL_BSP_SCHEDULE_DELAY", "often", 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,broken,x-y=z", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.bsp_delay_ms, 5000);
    assert_string_equal(settings.otlp.headers, "api-key: a b\nx-y: z\n");
    assert_int_equal(settings.nwarnings, 2);
    assert_non_null(strstr(settings.warnings[0], "OTEL_BSP_SCHEDULE_DELAY"));
}

static void test_settings_header_injection_is_refused(void **state)
{
    (void)state;
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318", 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0aEvil: 1", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_string_equal(settings.otlp.headers, "");
}

static void test_settings_secret_from_a_file(void **state)
{
    char path[] = "/tmp/clew-secret-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0 && write(fd, "s3cret\n", 7) == 7);
    close(fd);
    setenv("CLEW_LOKI_URL", "http://loki:3100", 1);
    setenv("CLEW_LOKI_USERNAME", "u", 1);
    setenv("CLEW_LOKI_PASSWORD_FILE", path, 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_string_equal(settings.loki_authorization, "Basic dTpzM2NyZXQ=");
    unlink(path);
    assert_int_equal(clew__settings_read(&settings), -EINVAL);
    assert_non_null(strstr(clew_last_error(), "CLEW_LOKI_PASSWORD_FILE"));
}

static void test_settings_addresses(void **state)
{
    struct sockaddr_storage a;

    (void)state;
    assert_int_equal(clew__address_parse("127.0.0.1:80", &a), 0);
    assert_true(clew__address_is_loopback(&a));
    assert_int_equal(ntohs(((struct sockaddr_in *)&a)->sin_port), 80);
    assert_int_equal(clew__address_parse("[::1]:80", &a), 0);
    assert_true(clew__address_is_loopback(&a));
    assert_int_equal(clew__address_parse("0.0.0.0:0", &a), 0);
    assert_false(clew__address_is_loopback(&a));
    assert_int_equal(clew__address_parse(":9464", &a), 0);
    assert_false(clew__address_is_loopback(&a));
    assert_int_equal(clew__address_parse("localhost:80", &a), -EINVAL);
    assert_int_equal(clew__address_parse("127.0.0.1", &a), -EINVAL);
    assert_int_equal(clew__address_parse("127.0.0.1:", &a), -EINVAL);
}

static void test_settings_otlp_protocols(void **state)
{
    static const char export[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    static const struct {
        const char *endpoint, *insecure, *url;
    } grpc[] = {
        {"http://c:4317", "", "http://c:4317"},
        {"https://c:4317/ignored?x", "", "https://c:4317"},
        {"c:4317", "", "https://c:4317"},
        {"c:4317", "TRUE", "http://c:4317"},
    };
    char url[256];

    (void)state;
    setenv("OTEL_TRACES_EXPORTER", "otlp", 1); /* asked for: the default endpoint */
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_string_equal(settings.otlp.url, "http://localhost:4318/v1/traces");
    assert_int_equal(settings.otlp.protocol, CLEW__OTLP_HTTP_PROTOBUF);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.otlp.protocol, CLEW__OTLP_GRPC);
    snprintf(url, sizeof(url), "http://localhost:4317%s", export);
    assert_string_equal(settings.otlp.url, url);
    for (size_t i = 0; i < sizeof(grpc) / sizeof(grpc[0]); i++) {
        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", grpc[i].endpoint, 1);
        setenv("OTEL_EXPORTER_OTLP_INSECURE", grpc[i].insecure, 1);
        assert_int_equal(clew__settings_read(&settings), 0);
        snprintf(url, sizeof(url), "%s%s", grpc[i].url, export);
        assert_string_equal(settings.otlp.url, url);
    }
    setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", 1); /* the signal's own */
    setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.otlp.protocol, CLEW__OTLP_HTTP_JSON);
    assert_string_equal(settings.otlp.url, "http://c:4318/");
    setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "carrier-pigeon", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.nwarnings, 1);
}

static void test_settings_batches(void **state)
{
    (void)state;
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.bsp_batch_due, 512);
    assert_int_equal(settings.bsp_batch, 8192);
    assert_int_equal(settings.bsp_queue, 65536);
    assert_int_equal(settings.bsp_timeout_ms, 0);
    setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100", 1);
    setenv("OTEL_BSP_EXPORT_TIMEOUT", "3000", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.bsp_batch, 100);
    assert_int_equal(settings.bsp_batch_due, 100);
    assert_int_equal(settings.bsp_queue, 100);
    assert_int_equal(settings.bsp_timeout_ms, 3000);
    assert_int_equal(settings.nwarnings, 0);
    setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512", 1); /* more than the queue holds */
    setenv("OTEL_RESOURCE_ATTRIBUTES", "no equals sign", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.bsp_batch, 100);
    assert_int_equal(settings.nwarnings, 2);
}

static const char *listens(const struct clew__listen *listen)
{
    static char text[2][64];
    static unsigned i;

    if (!listen->variable)
        return "off";
    i ^= 1;
    clew__address_print((const struct sockaddr *)&listen->address, text[i], sizeof(text[i]));
    return text[i];
}

static void test_settings_port_layouts(void **state)
{
    static const struct {
        const char *management, *metrics, *base, *pages_at, *metrics_at;
    } layouts[] = {
        {"9464", "", "", "127.0.0.1:9464", "off"},
        {":9464", "", "", "0.0.0.0:9464", "off"},
        {"", "[::1]:9000", "", "off", "[::1]:9000"},
        {"", "", "8081", "127.0.0.1:8082", "127.0.0.1:9081"},
        {"", "", "[::]:9080", "[::]:9081", "[::]:10080"},
        {"127.0.0.1:1", "", "8081", "127.0.0.1:1", "127.0.0.1:9081"},
        {"", "0.0.0.0:7", "64535", "127.0.0.1:64536", "0.0.0.0:7"},
        {"127.0.0.1:0", "127.0.0.1:0", "", "127.0.0.1:0", "127.0.0.1:0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        setenv("CLEW_MANAGEMENT_ADDRESS", layouts[i].management, 1);
        setenv("CLEW_METRICS_ADDRESS", layouts[i].metrics, 1);
        setenv("CLEW_BASE_PORT", layouts[i].base, 1);
        assert_int_equal(clew__settings_read(&settings), 0);
        assert_string_equal(listens(&settings.management.pages), layouts[i].pages_at);
        assert_string_equal(listens(&settings.management.metrics), layouts[i].metrics_at);
    }
    setenv("CLEW_MANAGEMENT_ADDRESS", "9464", 1);
    setenv("CLEW_METRICS_ADDRESS", "9464", 1);
    assert_int_equal(clew__settings_read(&settings), -EINVAL);
    assert_non_null(strstr(clew_last_error(), "CLEW_METRICS_ADDRESS"));
}

static void test_settings_networks(void **state)
{
    static const struct {
        const char *network, *address;
        bool has;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.77/25", "192.0.2.127", true},
        {"192.0.2.77/25", "192.0.2.128", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "203.0.113.9", true},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool v6 = strchr(cases[i].address, ':');
        struct sockaddr_storage peer;
        struct clew__network network;
        unsigned char bytes[16];
        char text[80];

        snprintf(text, sizeof(text), v6 ? "[%s]:1" : "%s:1", cases[i].address);
        assert_int_equal(clew__address_parse(text, &peer), 0);
        clew__address_bytes((struct sockaddr *)&peer, bytes);
        assert_int_equal(clew__network_parse(cases[i].network, strlen(cases[i].network), &network),
                         0);
        if (clew__network_has(&network, bytes) != cases[i].has)
            fail_msg("%s and %s", cases[i].network, cases[i].address);
    }
    setenv("CLEW_MANAGEMENT_ALLOW", " 10.0.0.0/8, ::1,192.0.2.7 ", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_int_equal(settings.management.nallowed, 3);
}

static void test_settings_management_credentials(void **state)
{
    (void)state;
    setenv("CLEW_MANAGEMENT_USERNAME", "Aladdin", 1);
    setenv("CLEW_MANAGEMENT_PASSWORD", "open sesame", 1);
    setenv("CLEW_MANAGEMENT_BEARER_TOKEN", "t0ken", 1); /* either lets in */
    setenv("CLEW_MANAGEMENT_TLS_CERTIFICATE", "/c.pem", 1);
    setenv("CLEW_MANAGEMENT_TLS_KEY", "/k.pem", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_string_equal(settings.management.basic, "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_string_equal(settings.management.bearer, "t0ken");
    assert_string_equal(settings.management.key, "/k.pem");
    setenv("CLEW_METRICS_ENABLED", "False", 1);
    assert_int_equal(clew__settings_read(&settings), 0);
    assert_false(settings.metrics);
}

#define TEST(name) cmocka_unit_test_setup(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_settings_nothing_set_means_no_network),
        TEST(test_settings_wrong_values_name_the_variable),
        TEST(test_settings_urls_and_labels),
        TEST(test_settings_wrong_otel_values_are_told_and_passed_over),
        TEST(test_settings_header_injection_is_refused),
        TEST(test_settings_secret_from_a_file),
        TEST(test_settings_addresses),
        TEST(test_settings_port_layouts),
        TEST(test_settings_networks),
        TEST(test_settings_management_credentials),
        TEST(test_settings_otlp_protocols),
        TEST(test_settings_batches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
