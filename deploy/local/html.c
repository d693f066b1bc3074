/* SPDX-License-Identifier: Apache-2.0
 * The frame of the pages and escaping. No script, nothing from elsewhere. */
#include "html.h"

#include <json.h>

#include <ctype.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fbfbfd;--fg:#1d2430;--dim:#667085;--line:#e3e6ec;"
    "--card:#fff;--err:#c62828;--warn:#a35b00;--ok:#1b7f4d;--accent:#2456c9}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12151b;--fg:#e3e7ee;--dim:#8d97a8;"
    "--line:#2a303b;--card:#191e26;--err:#ff7b72;--warn:#e3a13b;--ok:#4cc38a;--accent:#7aa2ff}}"
    "*{box-sizing:border-box}body{margin:0;font:14px/1.5 system-ui,sans-serif;background:var(--bg);"
    "color:var(--fg)}header{display:flex;gap:1.5em;align-items:baseline;padding:.7em 1.5em;"
    "border-bottom:1px solid var(--line);background:var(--card)}header b{font-size:1.1em}"
    "main{padding:1em "
    "1.5em;max-width:1400px;margin:auto}a{color:var(--accent);text-decoration:none}"
    "a:hover{text-decoration:underline}h2{font-size:1em;margin:1.6em 0 .5em}table{border-collapse:"
    "collapse;width:100%;background:var(--card);border:1px solid var(--line);border-radius:6px}"
    "td,th{text-align:left;padding:.3em .7em;border-top:1px solid var(--line);vertical-align:top}"
    "th{color:var(--dim);font-weight:500;border-top:0}.num{text-align:right;font-variant-numeric:"
    "tabular-nums}code,.mono{font:12.5px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}"
    ".nw{white-space:nowrap}.dim{color:var(--dim)}.ERROR,.FATAL,.triggered{color:var(--err);font-"
    "weight:600}"
    ".WARN,.acknowledged{color:var(--warn);font-weight:600}.INFO,.resolved{color:var(--ok)}"
    ".bar{position:relative;height:1.1em;background:var(--line);border-radius:3px;min-width:280px}"
    ".bar i{position:absolute;top:0;bottom:0;background:var(--accent);border-radius:3px;"
    "min-width:2px}.bar.bad i{background:var(--err)}.msg{background:var(--card);border:1px solid "
    "var(--line);border-left:4px solid var(--dim);border-radius:6px;padding:.6em .9em;margin:.6em "
    "0;"
    "white-space:pre-wrap}form{margin:.5em 0}input{font:inherit;padding:.25em .5em;width:22em;"
    "border:1px solid var(--line);border-radius:5px;background:var(--card);color:var(--fg)}"
    ".inline{display:inline}button{font:inherit;padding:.1em .7em;border:1px solid var(--line);"
    "border-radius:5px;background:var(--bg);color:var(--accent);cursor:pointer}"
    ".buttons{display:flex;gap:.9em;flex-wrap:wrap;align-items:baseline;margin-top:.4em}"
    ".thread{margin-left:2em}.said{white-space:pre-wrap}"
    ".empty{color:var(--dim);padding:.7em 0}";

void html_text(struct clew__buf *out, const char *text, size_t len)
{
    size_t i = 0;

    while (i < len) {
        size_t n = clew__utf8_sequence(text + i, len - i);
        unsigned char c = (unsigned char)text[i];

        if (n == 0 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
            clew__buf_adds(out, "\xEF\xBF\xBD");
            i++;
            continue;
        }
        if (c == '<')
            clew__buf_adds(out, "&lt;");
        else if (c == '>')
            clew__buf_adds(out, "&gt;");
        else if (c == '&')
            clew__buf_adds(out, "&amp;");
        else if (c == '"')
            clew__buf_adds(out, "&quot;");
        else if (c == '\'')
            clew__buf_adds(out, "&#39;");
        else
            clew__buf_add(out, text + i, n);
        i += n;
    }
}

void html_string(struct clew__buf *out, const char *text)
{
    if (text)
        html_text(out, text, strlen(text));
}

void html_query(struct clew__buf *out, const char *text)
{
    for (; text && *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text))
            clew__buf_addc(out, *text);
        else
            clew__buf_addf(out, "%%%02X", (unsigned char)*text);
    }
}

void html_begin(struct clew__buf *out, const char *title)
{
    clew__buf_init(out, 16u << 20);
    clew__buf_adds(out, "<!doctype html><html lang=en><meta charset=utf-8>"
                        "<meta name=viewport content='width=device-width,initial-scale=1'><title>");
    html_string(out, title);
    clew__buf_adds(out, " · clew-local</title><style>");
    clew__buf_adds(out, style);
    clew__buf_adds(out, "</style><header><b>clew-local</b><a href=/>Overview</a>"
                        "<a href=/logs>Logs</a><a href=/slack>Slack</a>"
                        "<a href=/pagerduty>PagerDuty</a></header><main>");
}

void html_finish(struct clew__buf *out, struct request *request, unsigned status)
{
    clew__buf_adds(out, "</main></html>\n");
    request->status = out->failed ? 500 : status;
    request->content_type = "text/html; charset=utf-8";
    request->answer = clew__buf_take(out, &request->answer_len);
}
