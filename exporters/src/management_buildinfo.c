/* SPDX-License-Identifier: Apache-2.0
 * /buildinfo: what this library is made of, and what it runs with. */
#include "management_priv.h"

#include <clew/log.h>

#include <curl/curl.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <sys/utsname.h>
#include <zlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#ifdef __OPTIMIZE__
#define OPTIMIZED true
#else
#define OPTIMIZED false
#endif
#ifdef NDEBUG
#define ASSERTIONS false
#else
#define ASSERTIONS true
#endif
#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif

static json_t *libraries(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "libcurl", curl->version, "libmicrohttpd",
                     MHD_get_version(), "gnutls", gnutls_check_version(NULL), "zlib", zlibVersion(),
                     "jansson", JANSSON_VERSION);
}

static json_t *features(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    return json_pack("{s:b, s:b, s:b, s:b}", "management_tls",
                     MHD_is_feature_supported(MHD_FEATURE_TLS) == MHD_YES, "export_http2",
                     (curl->features & CURL_VERSION_HTTP2) != 0, "export_tls",
                     (curl->features & CURL_VERSION_SSL) != 0, "openmetrics", true);
}

void clew__page_buildinfo(struct clew__page *page, const struct clew__page_request *request)
{
    struct utsname host;
    bool known = uname(&host) == 0;

    (void)request;
    clew__page_json(page, 200,
                    json_pack("{s:s, s:s, s:s, s:s, s:i, s:{s:b, s:b, s:b}, s:s, s:s, s:o, s:o}",
                              "service", clew_service_name(), "service_version",
                              clew_service_version(), "clewline_version", CLEW_VERSION, "compiler",
                              COMPILER, "c_standard", (int)(__STDC_VERSION__ / 100), "build",
                              "optimized", OPTIMIZED, "assertions", ASSERTIONS, "sanitized",
                              SANITIZED, "system", known ? host.sysname : "", "architecture",
                              known ? host.machine : "", "libraries", libraries(), "features",
                              features()));
}
