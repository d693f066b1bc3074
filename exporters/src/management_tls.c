/* SPDX-License-Identifier: Apache-2.0
 * Certificates, by GnuTLS: tried before the server starts, so that an error
 * names its file; and those of clients, when one is wanted. */
#include "management_priv.h"

#include <clew/log.h>

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

/* The whole file with a NUL behind it; gnutls_free(). */
static int load(const char *variable, const char *path, gnutls_datum_t *ret)
{
    int err;

    errno = 0;
    err = gnutls_load_file(path, ret);
    if (err < 0)
        return clew_set_error(errno ? -errno : -EINVAL, "%s=%.256s: %s", variable, path,
                              errno ? strerror(errno) : gnutls_strerror(err));
    return 0;
}

static int check(const struct clew__management_settings *settings,
                 const gnutls_datum_t *certificate, const gnutls_datum_t *key,
                 const gnutls_datum_t *ca)
{
    gnutls_certificate_credentials_t credentials;
    int err = gnutls_certificate_allocate_credentials(&credentials);

    if (err < 0)
        return clew_set_error(-ENOMEM, "TLS: %s", gnutls_strerror(err));
    err = gnutls_certificate_set_x509_key_mem(credentials, certificate, key, GNUTLS_X509_FMT_PEM);
    if (err < 0) {
        err = clew_set_error(-EINVAL,
                             "CLEW_MANAGEMENT_TLS_CERTIFICATE=%.256s with "
                             "CLEW_MANAGEMENT_TLS_KEY=%.256s: %s",
                             settings->certificate, settings->key, gnutls_strerror(err));
    } else if (ca->data &&
               gnutls_certificate_set_x509_trust_mem(credentials, ca, GNUTLS_X509_FMT_PEM) < 1) {
        err = clew_set_error(-EINVAL, "CLEW_MANAGEMENT_TLS_CLIENT_CA=%.256s: has no certificate",
                             settings->client_ca);
    }
    gnutls_certificate_free_credentials(credentials);
    return err < 0 ? err : 0;
}

int clew__tls_load(const struct clew__management_settings *settings, struct clew__tls *ret)
{
    gnutls_datum_t certificate = {NULL, 0}, key = {NULL, 0}, ca = {NULL, 0};
    int err;

    *ret = (struct clew__tls){NULL, NULL, NULL};
    if (!settings->key[0])
        return 0;
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return clew_set_error(-ENOTSUP, "CLEW_MANAGEMENT_TLS_KEY: this libmicrohttpd has no TLS");
    err = load("CLEW_MANAGEMENT_TLS_CERTIFICATE", settings->certificate, &certificate);
    if (err == 0)
        err = load("CLEW_MANAGEMENT_TLS_KEY", settings->key, &key);
    if (err == 0 && settings->client_ca[0])
        err = load("CLEW_MANAGEMENT_TLS_CLIENT_CA", settings->client_ca, &ca);
    if (err == 0)
        err = check(settings, &certificate, &key, &ca);
    *ret = (struct clew__tls){(char *)certificate.data, (char *)key.data, (char *)ca.data};
    if (err < 0)
        clew__tls_done(ret);
    return err;
}

void clew__tls_done(struct clew__tls *tls)
{
    gnutls_free(tls->certificate);
    if (tls->key)
        gnutls_memset(tls->key, 0, strlen(tls->key));
    gnutls_free(tls->key);
    gnutls_free(tls->client_ca);
    *tls = (struct clew__tls){NULL, NULL, NULL};
}

bool clew__tls_has_client(struct MHD_Connection *connection)
{
    static unsigned char client[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID, client, 0};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned status = 1;

    return info && info->tls_session &&
           gnutls_certificate_verify_peers(info->tls_session, &purpose, 1, &status) == 0 &&
           status == 0;
}
