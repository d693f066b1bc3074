#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The pages of a service, read by parsers that are not ours: promtool's and
the strict OpenMetrics parser of Prometheus' Python client.

usage: pages.py SERVICE CLEW

The class Requirements has the eleven tests that the requirements name (Q2).
"""
import concurrent.futures
import gzip
import json
import math
import re
import statistics
import subprocess
import sys
import time
import unittest

from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

import running

PROGRAM, CLEW = sys.argv[1:3]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# What Prometheus 3 sends: with native histograms wanted, and without.
PROMETHEUS_3_NATIVE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1")
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
    "*/*;q=0.2")


def promtool(page):
    return subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)


class Requirements(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = running.Service(PROGRAM)
        for _ in range(5):
            running.get(cls.service.port, "/orders/17")
        running.get(cls.service.port, "/broken")

    @classmethod
    def tearDownClass(cls):
        assert cls.service.stop() == 0

    def scrape(self, **headers):
        return running.get(self.service.metrics_port, "/metrics", **headers)

    def samples(self):
        return running.samples(self.scrape()[2])

    def test_01_endpoint_is_there(self):
        self.assertEqual(self.scrape()[0], 200)

    def test_02_content_type(self):
        self.assertRegex(self.scrape()[1]["Content-Type"], r"^text/plain; version=0\.0\.4\b")

    def test_03_http_requests_total(self):
        self.assertIn(b"# TYPE http_requests_total counter\n", self.scrape()[2])
        self.assertEqual(
            self.samples()['http_requests_total{method="GET",path="/broken",status="500"}'], 1)

    def test_04_http_request_duration_seconds(self):
        page = self.scrape()[2]
        self.assertIn(b"# TYPE http_request_duration_seconds histogram\n", page)
        found = running.samples(page)
        labels = 'method="GET",path="/broken"'
        self.assertEqual(found["http_request_duration_seconds_count{%s}" % labels], 1)
        self.assertEqual(found['http_request_duration_seconds_bucket{%s,le="+Inf"}' % labels], 1)
        self.assertGreater(found["http_request_duration_seconds_sum{%s}" % labels], 0)

    def test_05_active_connections(self):
        self.assertIn(b"# TYPE active_connections gauge\n", self.scrape()[2])
        running.wait_for("no request at work", lambda: self.samples()["active_connections"] == 0)

    def test_06_database_metrics(self):
        found = self.samples()
        self.assertEqual(found["db_connections_active"], 3)
        self.assertEqual(found["db_connections_idle"], 7)

    def test_07_cache_metrics(self):
        found = self.samples()
        self.assertGreaterEqual(found['cache_hits_total{cache_type="orders"}'], 5)
        self.assertGreaterEqual(found['cache_misses_total{cache_type="orders"}'], 1)

    def test_08_answers_in_less_than_ten_milliseconds(self):
        times = []
        for _ in range(51):
            began = time.perf_counter()
            self.scrape()
            times.append(time.perf_counter() - began)
        print("a scrape takes %.2f ms" % (statistics.median(times) * 1e3), file=sys.stderr)
        self.assertLess(statistics.median(times), 0.010)

    def test_09_middleware_records(self):
        series = 'http_requests_total{method="GET",path="/orders/{id}",status="200"}'
        before = self.samples()[series]
        for i in range(10):
            running.get(self.service.port, "/orders/%d" % i)
        running.wait_for("ten requests more", lambda: self.samples()[series] == before + 10)

    def test_10_format(self):
        result = promtool(self.scrape()[2])
        self.assertEqual(result.returncode, 0, result.stderr.decode() + result.stdout.decode())

    def test_11_concurrent_scrapes(self):
        """Each sees at least what was counted before it was asked for."""
        def scrape_after(_):
            running.get(self.service.port, "/orders/1")
            counted = self.counted = self.counted + 1  # at most too few
            found = self.samples()["handled_total"]
            return counted, found

        self.counted = int(self.samples()["handled_total"])
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            for counted, found in pool.map(scrape_after, range(480)):
                self.assertGreaterEqual(found, counted)

        def agree():
            found = self.samples()
            return found["handled_total"] == sum(v for k, v in found.items()
                                                 if k.startswith("http_requests_total{"))

        running.wait_for("both counts to agree", agree)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = running.Service(PROGRAM, "hostile", CLEW_METRICS_ADDRESS="127.0.0.1:0")

    @classmethod
    def tearDownClass(cls):
        assert cls.service.stop() == 0

    def scrape(self, **headers):
        status, got, page = running.get(self.service.metrics_port, "/metrics", **headers)
        self.assertEqual(status, 200)
        return got, page

    def check_hostile(self, families):
        values = {}
        for family in families:
            for sample in family.samples:
                values.setdefault(sample.name, {})[sample.labels.get("value")] = sample.value
        counted = values["hostile_total"]
        self.assertEqual(counted["a\nb"], 1)
        self.assertEqual(counted['"quoted"'], 2)
        self.assertEqual(counted["back\\slash"], 3)
        self.assertEqual(counted["\\n"], 5)
        self.assertEqual(counted["été"], 11)
        self.assertEqual(max(counted.values()), 1e300)
        self.assertTrue(all(len(value) <= 256 for value in counted))
        self.assertTrue(math.isnan(values["nan"][None]))
        self.assertEqual(values["infinite"][None], -math.inf)
        return values

    def test_strict_openmetrics_parser(self):
        headers, page = self.scrape(Accept=OPENMETRICS)
        self.assertTrue(headers["Content-Type"].startswith(OPENMETRICS))
        families = list(openmetrics_parser.text_string_to_metric_families(page.decode()))
        self.check_hostile(families)
        exemplars = [sample.exemplar for family in families for sample in family.samples
                     if family.name == "hostile_seconds" and sample.exemplar]
        self.assertTrue(exemplars)
        self.assertEqual(exemplars[0].labels["trace_id"], "ab" + 28 * "0" + "01")

    def test_text_parser_and_promtool(self):
        page = self.scrape()[1]
        self.check_hostile(text_parser.text_string_to_metric_families(page.decode()))
        result = promtool(page)  # reads it all, and finds the one name that is against its rules
        self.assertEqual(result.stderr.decode().strip(),
                         'with_le_total non-histogram metrics should not have "le" label')

    def test_negotiation(self):
        """Accept → Content-Type; the newest Prometheus gets the best we have."""
        for accept, wanted in (
                ("", "text/plain; version=0.0.4"),
                ("*/*", "text/plain; version=0.0.4"),
                ("text/html", "text/plain; version=0.0.4"),
                (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
                ("application/openmetrics-text;q=0.1, text/plain", "text/plain; version=0.0.4"),
                (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0"),
                (PROMETHEUS_3_NATIVE, "application/vnd.google.protobuf; "
                                      "proto=io.prometheus.client.MetricFamily")):
            headers, page = self.scrape(Accept=accept)
            self.assertTrue(headers["Content-Type"].startswith(wanted),
                            "%s: %s" % (accept, headers["Content-Type"]))
            if accept == PROMETHEUS_3:
                self.assertIn("escaping=allow-utf-8", headers["Content-Type"])
                list(openmetrics_parser.text_string_to_metric_families(page.decode()))

    def test_gzip(self):
        headers, page = self.scrape(Accept_Encoding="gzip")
        self.assertEqual(headers["Content-Encoding"], "gzip")
        self.assertIn("Accept-Encoding", headers["Vary"])
        self.check_hostile(text_parser.text_string_to_metric_families(
            gzip.decompress(page).decode()))
        self.assertIsNone(self.scrape(Accept_Encoding="gzip;q=0")[0]["Content-Encoding"])

    def test_health_page(self):
        status, headers, body = running.get(self.service.health_port, "/health")
        page = json.loads(body)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        self.assertEqual(page["service"], "metrics_service")
        self.assertEqual((page["healthy"], page["ready"], page["live"]), (True, True, True))
        self.assertEqual(page["checks"], {"database": True})
        self.assertIsInstance(page["uptime_seconds"], float)
        self.assertAlmostEqual(page["timestamp"], time.time(), delta=30)
        self.assertEqual(running.get(self.service.health_port, "/metrics")[0], 404)


class Lint(unittest.TestCase):
    def test_our_own_page_is_clean(self):
        """Names that the requirements fix are notes: their twins are there."""
        service = running.Service(PROGRAM)
        running.get(service.port, "/orders/1")
        try:
            result = subprocess.run(
                [CLEW, "metrics", "lint", "http://127.0.0.1:%d/metrics" % service.metrics_port],
                capture_output=True, text=True)
            health = running.get(service.health_port, "/health/ready")[0]
        finally:
            service.stop()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(health, 200)
        self.assertIn("service_cpu_usage_ratio is there", result.stdout)
        self.assertIn("last_successful_operation_timestamp_seconds is there", result.stdout)
        self.assertRegex(result.stdout, r"\d+ metrics: 0 errors, 0 warnings, \d+ notes\n$")

    def test_what_cannot_be_read(self):
        result = subprocess.run([CLEW, "metrics", "lint", "/nowhere/page"], capture_output=True,
                                text=True)
        self.assertEqual((result.returncode, result.stderr),
                         (2, "clew: /nowhere/page: No such file or directory\n"))
        result = subprocess.run([CLEW, "metrics", "lint", "-"], input="", capture_output=True,
                                text=True)
        self.assertEqual((result.returncode, result.stderr), (2, "clew: -: no metrics\n"))

    def test_ports_of_the_requirements_collide(self):
        """B10: the documented layout on one host."""
        services = ["csca-service=8081", "document-signer=8082", "inspection-system=8083",
                    "passport-engine=8084", "mdl-engine=8085", "mdoc-engine=8086",
                    "trust-anchor=9080", "pkd-service=9090", "prometheus:9090"]
        result = subprocess.run([CLEW, "ports", *services], capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(re.findall(r"^collision: (\d+)", result.stdout, re.M),
                         ["8082", "8083", "8084", "8085", "8086", "9081", "9090"])
        result = subprocess.run([CLEW, "ports", "a=8081", "b=8083"], capture_output=True)
        self.assertEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
