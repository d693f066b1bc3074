/* SPDX-License-Identifier: Apache-2.0
 * Exports one span with everything a span may have, and its child. */
#include <clew/export.h>
#include <clew/trace.h>

#include <errno.h>
#include <stdio.h>

static void set_all(struct clew_span *span)
{
    static const int ints[] = {1, -2};
    static const double doubles[] = {0.5};
    static const bool bools[] = {true, false};
    static const char *const texts[] = {"a", "b \"quoted\""};

    clew_span_set(span, clew_kv("text", "caf\xc3\xa9 \"x\"\n"), clew_kv("empty", ""),
                  clew_kv("int", -3), clew_kv("big", INT64_MIN), clew_kv("bool", (bool)false),
                  clew_kv("double", 0.1), clew_duration("took", 1500000000),
                  clew_hex("bytes", "\0\xff\x10", 3), clew_null("null"),
                  clew_errno("errno", ENOENT));
    clew_span_set(
        span, clew_array("ints", ints, 2), clew_array("doubles", doubles, 1),
        clew_array("bools", bools, 2), clew_array("texts", texts, 2),
        clew_object("object", clew_kv("n", 1), clew_object("inner", clew_kv("deep", "yes"))));
}

int main(void)
{
    struct clew_link link = {.trace_id = {0xaa, [15] = 0xbb},
                             .trace_flags = 1,
                             .is_remote = true,
                             .trace_state = "vendor=1"};
    struct clew_span *span, *child;
    int err;

    __builtin_memset(&link.span_id, 0xcc, 8);
    if (clew_start("emitter", "2.1") < 0) {
        fprintf(stderr, "emit: %s\n", clew_last_error());
        return 1;
    }
    span = clew_span_begin("everything", CLEW_SPAN_SERVER);
    set_all(span);
    clew_span_event_at(span, UINT64_C(1700000000123456789), "happened", clew_kv("attempt", 2));
    clew_span_link(span, &link, clew_kv("why", "because"));
    clew_span_set_status(span, CLEW_SPAN_ERROR, "broken");
    child = clew_span_start_with(
        "child", &(struct clew_span_options){.scope = "clew.test", .kind = CLEW_SPAN_CLIENT});
    clew_span_end(child);
    clew_span_end(span);
    err = clew_shutdown(20000);
    if (err)
        fprintf(stderr, "emit: clew_shutdown() returned %d\n", err);
    return err != 0;
}
