/* SPDX-License-Identifier: Apache-2.0
 * The log call from C++17: overloads instead of _Generic, call sites in
 * templates, inline functions and lambdas. Exit status 0: all lines were right. */
#include <clew/trace.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

static std::vector<std::string> lines;

static void take(void *, const struct clew_line *line)
{
    lines.emplace_back(line->json, line->json_len);
}

template <class T> static void in_template(T value)
{
    clew_info("templated", clew_kv("v", value));
}

static inline void in_inline()
{
    clew_info("inline", clew_kv("v", 1u));
}

static int failures;

static void expect(size_t i, const char *context)
{
    if (i < lines.size() && lines[i].find(context) != std::string::npos)
        return;
    std::fprintf(stderr, "line %zu is not %s: %s\n", i, context,
                 i < lines.size() ? lines[i].c_str() : "missing");
    failures++;
}

int main()
{
    static const struct clew_sink_ops sink = {"test",  take,    nullptr,
                                              nullptr, nullptr, CLEW_LEVEL_TRACE};
    std::string string = "std";
    std::string_view view = "a view, not all of it";

    clew_sink_add(&sink, nullptr);
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    clew_info("values", clew_kv("s", string), clew_kv("v", view.substr(0, 6)), clew_kv("l", "lit"),
              clew_kv("b", true), clew_kv("u8", static_cast<unsigned char>(3)), clew_kv("f", 1.5f),
              clew_kv("n", string.size()));
    in_template(3);
    in_template("text");
    in_template(string);
    in_inline();
    [&] { clew_warn("lambda", clew_kv("v", -1)); }();
    struct clew_span *span = clew_span_begin("cpp", CLEW_SPAN_INTERNAL);
    clew_span_set(span, clew_kv("k", string), clew_kv("n", 3));
    clew_span_end(span);
    {
        clew::span block("block", CLEW_SPAN_CLIENT);

        clew_span_set(block, clew_kv("k", string.size()));
        clew_span_event(block, "event", clew_kv("s", string));
        if (clew_span_current() != block)
            return 3;
    }
    if (clew_span_current())
        return 4;
    if (clew_log_flush(5000) != 0)
        return 2;
    expect(0,
           "{\"s\":\"std\",\"v\":\"a view\",\"l\":\"lit\",\"b\":true,\"u8\":3,\"f\":1.5,\"n\":3}");
    expect(1, "{\"v\":3}");
    expect(2, "{\"v\":\"text\"}");
    expect(3, "{\"v\":\"std\"}");
    expect(4, "\"message\":\"inline\",\"context\":{\"v\":1}");
    expect(5, "\"function\":\"operator()\"");
    return failures || lines.size() != 6;
}
