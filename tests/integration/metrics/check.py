#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Pages with hostile metrics, made under load, read by parsers that are not ours:
Debian's prometheus_client (its strict OpenMetrics parser), promtool, protobuf.

usage: check.py PAGES METRICS_PROTO OTLP_METRICS_PROTO
"""
import gzip
import http.server
import importlib
import math
import os
import subprocess
import sys
import tempfile
import threading

from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

ROUNDS = 30
HOSTILE = 13 * 13
TRACE = "abcdef" + "0" * 26
problems = []


def check(good, text):
    if not good:
        problems.append(text)


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def samples(families):
    return {(s.name, tuple(sorted(s.labels.items()))): s for f in families for s in f.samples}


def value(all_samples, name, **labels):
    labels.setdefault("service", 'the "service"\n')
    labels.setdefault("region", "eu")
    sample = all_samples.get((name, tuple(sorted(labels.items()))))
    check(sample is not None, f"{name} {labels} is not on the page")
    return sample.value if sample else math.nan


def check_common(all_samples, kind):
    check(value(all_samples, "busy_seconds_count", kind="x")
          == value(all_samples, "busy_seconds_bucket", kind="x", le="+Inf"),
          f"{kind}: count is not the last bucket")
    check(math.isnan(value(all_samples, "nan_gauge")), f"{kind}: NaN")
    check(value(all_samples, "inf_gauge") == math.inf, f"{kind}: +Inf")
    check(value(all_samples, "minus_gauge") == -math.inf, f"{kind}: -Inf")
    check(value(all_samples, "huge_total") == 1e300, f"{kind}: 1e300")
    hostile = [s for (name, _), s in all_samples.items() if name == "hostile_total"]
    check(len(hostile) == HOSTILE and all(s.value == 1 for s in hostile), f"{kind}: hostile labels")
    check(not any("evil" in name for name, _ in all_samples), f"{kind}: a label became a sample")
    check(any(s.labels["a"] == 'le="0.5"} 1\nevil_total 5' and s.labels["service"] == "x\ufffdy"
              for s in hostile), f"{kind}: a label's value is another")


def check_openmetrics(data, before):
    families = list(openmetrics_parser.text_string_to_metric_families(data.decode()))
    found = samples(families)
    check_common(found, "openmetrics")
    check({f.name: f.type for f in families}.get("build") == "info", "openmetrics: build is no info")
    exemplar = found[("busy_total", (("kind", "x"), ("region", "eu"),
                                     ("service", 'the "service"\n')))].exemplar
    check(exemplar and exemplar.labels["trace_id"] == TRACE, "openmetrics: exemplar of the counter")
    check(any(s.exemplar and s.exemplar.labels["trace_id"] == TRACE
              for (name, _), s in found.items() if name == "busy_seconds_bucket"),
          "openmetrics: exemplars of the buckets")
    for (name, labels), sample in found.items():
        if name.endswith(("_total", "_bucket", "_count")):
            check(sample.value >= before.get((name, labels), 0), f"openmetrics: {name} went back")
            before[(name, labels)] = sample.value


def check_text(data, directory):
    check_common(samples(text_parser.text_string_to_metric_families(data.decode())), "text")
    result = subprocess.run(["promtool", "check", "metrics"], input=data, capture_output=True)
    out = (result.stdout + result.stderr).decode()
    # Its opinions on names (status 3) are not our matter here; a page that it cannot parse is.
    check("error while linting" not in out and "parsing" not in out, "promtool: " + out[:300])


def families_of(data, proto):
    at, found = 0, {}
    while at < len(data):
        size = shift = 0
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        family = proto.MetricFamily()
        family.ParseFromString(data[at:at + size])
        check(family.name not in found, f"protobuf: {family.name} is there twice")
        found[family.name] = family
        at += size
    return found


def spread(spans, deltas):
    key = count = 0
    delta = iter(deltas)
    for span in spans:
        key += span.offset
        for _ in range(span.length):
            count += next(delta)
            yield key, count
            key += 1
    check(next(delta, None) is None, "protobuf: more deltas than buckets")


def check_protobuf(data, proto):
    found = families_of(data, proto)
    classic = found["busy_seconds"].metric[0].histogram
    check(classic.sample_count == classic.bucket[-1].cumulative_count
          and classic.bucket[-1].upper_bound == math.inf, "protobuf: count is not the last bucket")
    check(classic.created_timestamp.seconds > 1600000000, "protobuf: created")
    check(any(b.exemplar.label[0].value == TRACE for b in classic.bucket if b.exemplar.label),
          "protobuf: exemplars of the buckets")
    counter = found["busy_total"].metric[0].counter
    check(counter.exemplar.label[0].value == TRACE and counter.created_timestamp.seconds > 0,
          "protobuf: the counter")
    native = found["busy_native"].metric[0].histogram
    positive = list(spread(native.positive_span, native.positive_delta))
    negative = list(spread(native.negative_span, native.negative_delta))
    check(native.sample_count == native.zero_count + sum(n for _, n in positive + negative),
          "protobuf: count of the native histogram")
    base = 2 ** 2 ** -native.schema
    top = math.exp(49 / 5) - 2
    check(base ** (positive[-1][0] - 1) < top <= base ** positive[-1][0] * (1 + 1e-9),
          "protobuf: the highest native bucket")
    check(base ** (negative[-1][0] - 1) < 1 <= base ** negative[-1][0] * (1 + 1e-9),
          "protobuf: the native bucket of -1")
    check(native.exemplars and native.exemplars[0].timestamp.seconds > 0,
          "protobuf: exemplars of the native histogram")
    check(len(found["hostile_total"].metric) == HOSTILE, "protobuf: hostile labels")
    check("no_series_total" not in found, "protobuf: an empty family")


def attributes(point):
    return {a.key: a.value.string_value for a in point.attributes}


def check_otlp(data, proto):
    request = proto.ExportMetricsServiceRequest()
    request.ParseFromString(data)
    (resource,) = request.resource_metrics
    check(any(a.key == "service.name" and a.value.string_value for a in resource.resource.attributes),
          "otlp: no service.name")
    found = {m.name: m for s in resource.scope_metrics for m in s.metrics}
    busy = found["busy"].sum
    check(busy.is_monotonic and busy.aggregation_temporality == 2
          and busy.data_points[0].start_time_unix_nano < busy.data_points[0].time_unix_nano
          and attributes(busy.data_points[0]) == {"kind": "x"}
          and busy.data_points[0].exemplars[0].trace_id.hex() == TRACE, "otlp: the counter")
    check(found["busy_seconds"].unit == "s", "otlp: unit")
    classic = found["busy_seconds"].histogram.data_points[0]
    check(classic.count == sum(classic.bucket_counts) > 0
          and len(classic.bucket_counts) == len(classic.explicit_bounds) + 1, "otlp: the histogram")
    native = found["busy_native"].exponential_histogram.data_points[0]
    check(native.count == native.zero_count + sum(native.positive.bucket_counts)
          + sum(native.negative.bucket_counts), "otlp: count of the exponential histogram")
    base, top = 2 ** 2 ** -native.scale, math.exp(49 / 5) - 2
    last = native.positive.offset + len(native.positive.bucket_counts) - 1
    check(base ** last < top <= base ** (last + 1) * (1 + 1e-9), "otlp: the highest bucket")
    check(base ** native.negative.offset < 1 <= base ** (
        native.negative.offset + len(native.negative.bucket_counts)) * (1 + 1e-9),
          "otlp: the bucket of -1")
    check(len(found["hostile"].sum.data_points) == HOSTILE, "otlp: hostile labels")
    check(found["minus_gauge"].gauge.data_points[0].as_double == -math.inf, "otlp: -Inf")


class Collector(http.server.BaseHTTPRequestHandler):
    requests = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        check(self.path == "/v1/metrics" and self.headers["Content-Encoding"] == "gzip",
              f"otlp: a request to {self.path}")
        Collector.requests.append(gzip.decompress(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    pages, schema, otlp_schema = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        for file in schema, otlp_schema:
            subprocess.run(["protoc", "--python_out=" + directory, "-I", os.path.dirname(file), file],
                           check=True)
        sys.path.insert(0, directory)
        proto = importlib.import_module("metrics_pb2")
        environment = dict(os.environ, CLEW_METRICS_LABELS="service,region=eu", CLEW_LOG_OUTPUT="none",
                           CLEW_RING_DIR=directory, OTEL_METRIC_EXPORT_INTERVAL="50",
                           OTEL_EXPORTER_OTLP_METRICS_COMPRESSION="gzip",
                           OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=
                           f"http://127.0.0.1:{server.server_port}/v1/metrics")
        out = subprocess.run([pages, directory, str(ROUNDS)], env=environment, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        check("0.openmetrics application/openmetrics-text; version=1.0.0; charset=utf-8" in out,
              "content type of OpenMetrics")
        before = {}
        for i in range(ROUNDS):
            check_openmetrics(read(f"{directory}/{i}.openmetrics"), before)
            check_protobuf(read(f"{directory}/{i}.protobuf"), proto)
            check_text(read(f"{directory}/{i}.text"), directory)
        check(len(Collector.requests) > 1, "otlp: nothing but the last request")
        check_otlp(Collector.requests[-1], importlib.import_module("otlp_metrics_pb2"))
    server.shutdown()
    for problem in dict.fromkeys(problems):
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


main()
