/* SPDX-License-Identifier: Apache-2.0
 *
 * What the spans come from: the service, its process, its host, the container
 * and the Kubernetes pod around it (OpenTelemetry semantic conventions,
 * "Resource"; names of attributes are theirs). Found out once a process; what
 * OTEL_RESOURCE_ATTRIBUTES says wins over what was found, except for the name of
 * the service, which is the same in lines and spans.
 */
#ifndef CLEW_RESOURCE_H
#define CLEW_RESOURCE_H

#include <clew/sink.h>

#define CLEW__RESOURCE_MAX 64u

struct clew__resource {
    unsigned long serial; /* another one for each process */
    size_t n;
    struct clew_field fields[CLEW__RESOURCE_MAX]; /* no key twice; own their texts */
};

/* The resource of this process. Static; delivery thread. */
const struct clew__resource *clew__resource_get(void);

/* Sets an attribute; empty values and what passes the maximum are left out. */
void clew__resource_set(struct clew__resource *r, const char *key, const char *value);
void clew__resource_done(struct clew__resource *r);

/* Takes k=v,k2=v2 with percent-encoding. returns 0; -EINVAL and nothing is set
 * (OpenTelemetry specification, "Specifying resource information via an
 * environment variable"). r NULL: only looks */
int clew__resource_parse(struct clew__resource *r, const char *text);

/* resource_detect.c: files are looked for below root, "" for the system's. */
void clew__resource_detect_host(struct clew__resource *r, const char *root);
void clew__resource_detect_process(struct clew__resource *r, const char *root);
void clew__resource_detect_container(struct clew__resource *r, const char *root);
void clew__resource_detect_kubernetes(struct clew__resource *r, const char *root);

#endif
