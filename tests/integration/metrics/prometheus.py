#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes the service; what it says must be what was counted,
and its exemplars must name the traces.

usage: prometheus.py SERVICE
"""
import sys
import time
import unittest

import running

PROGRAM = sys.argv[1]


class Base:
    features = ()

    @classmethod
    def setUpClass(cls):
        cls.service = running.Service(PROGRAM, "hostile")
        for i in range(20):
            running.get(cls.service.port, "/orders/%d" % i,
                        traceparent=running.TRACEPARENT % ("%032x" % (0xABC0 + i), "%016x" % 7))
        for _ in range(3):
            running.get(cls.service.port, "/broken")
        cls.prometheus = running.Prometheus([cls.service.metrics_port], *cls.features)
        running.wait_for("a scrape", lambda: "1" in cls.prometheus.query("up").values())

    @classmethod
    def tearDownClass(cls):
        cls.prometheus.stop()
        assert cls.service.stop() == 0

    def value(self, expression):
        values = list(self.prometheus.query(expression).values())
        self.assertEqual(len(values), 1, expression)
        return float(values[0])

    def test_target_is_up_without_an_error(self):
        target = self.prometheus.ask("/api/v1/targets")["activeTargets"][0]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))

    def test_what_was_counted(self):
        self.assertEqual(self.value('http_requests_total{path="/orders/{id}",status="200"}'), 20)
        self.assertEqual(self.value('http_requests_total{path="/broken",status="500"}'), 3)
        self.assertEqual(self.value('http_request_duration_seconds_count{path="/broken"}'), 3)
        self.assertEqual(self.value('hostile_total{value="a\\nb"}'), 1)
        self.assertEqual(self.value("service_health_status"), 1)
        self.assertEqual(self.value('service_info{service="metrics_service"}'), 1)
        self.assertEqual(self.value(
            'sum(http_requests_total{status=~"5.."}) / sum(http_requests_total)'), 3 / 23)

    def test_quantiles(self):
        p95 = self.value("histogram_quantile(0.95, sum by (le) "
                         "(http_request_duration_seconds_bucket))")
        self.assertTrue(0 < p95 < 10)

    def test_exemplars_name_the_traces(self):
        def exemplars():
            return self.prometheus.ask(
                "/api/v1/query_exemplars", query="http_request_duration_seconds_bucket",
                start=time.time() - 300, end=time.time() + 60)

        found = running.wait_for("exemplars", exemplars)
        traces = {e["labels"]["trace_id"] for series in found for e in series["exemplars"]
                  if series["seriesLabels"]["path"] == "/orders/{id}"}
        self.assertTrue(traces)
        self.assertLessEqual(traces, {"%032x" % (0xABC0 + i) for i in range(20)})


class Text(Base, unittest.TestCase):
    """OpenMetrics, as Prometheus asks for it when it may choose."""
    features = ("exemplar-storage",)


class Protobuf(Base, unittest.TestCase):
    """With native histograms Prometheus asks for protobuf."""
    features = ("exemplar-storage", "native-histograms")

    def test_native_histogram(self):
        self.assertEqual(self.value('histogram_count(native_seconds{value="a\\nb"})'), 1)
        self.assertEqual(self.value('histogram_sum(native_seconds{value="back\\\\slash"})'), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
