#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bridge behind the real Alertmanager and Prometheus, one and a pair: everybody is
paged once for each change, whatever is cut, repeated, killed or sent twice.

usage: alertmanager.py BRIDGE SAMPLES
"""
import datetime
import glob
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import bridge

PROGRAM, SAMPLES = sys.argv[1:3]

CONFIG = """
route:
  receiver: pager
  routes:
    - {receiver: group, matchers: ['alertname="Grouped"'], continue: true}
    - {receiver: pager}
receivers:
  - name: pager
    pagerduty_configs: [{routing_key: k, url: 'http://127.0.0.1:%(port)d/v2/enqueue'}]
  - name: group
    slack_configs:
      - {api_url: 'http://127.0.0.1:%(port)d/hook', text: '{{ .CommonLabels.alertname }}'}
"""

RECONCILE = """
alertmanagers: [{url: 'http://127.0.0.1:%(alertmanager)d'}]
reconcile_interval: 1s
route:
  receiver: pager
  routes: [{matchers: ['severity="warning"'], after: 2s}]
receivers:
  - name: pager
    pagerduty_configs: [{routing_key: k, url: 'http://127.0.0.1:%(port)d/v2/enqueue'}]
"""

ALERTMANAGER = """
route:
  receiver: bridge
  group_by: [alertname]
  group_wait: 500ms
  group_interval: 1s
  repeat_interval: 4h
  routes:
    - {receiver: cut, matchers: ['alertname="Cut"']}
receivers:
  - name: bridge
    webhook_configs: [{url: 'http://127.0.0.1:%(port)d/api/v1/alertmanager'}]
  - name: cut
    webhook_configs: [{url: 'http://127.0.0.1:%(port)d/api/v1/alertmanager', max_alerts: 1}]
"""


class Process:
    """A daemon of Debian's with a directory of its own."""

    def __init__(self, name):
        self.directory = tempfile.mkdtemp(prefix="clew-%s-" % name)
        self.port = bridge.free_port()
        self.process = None

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def spawn(self, *arguments):
        with open(os.path.join(self.directory, "out"), "a") as out:
            self.process = subprocess.Popen(arguments, stdout=out, stderr=out,
                                            preexec_fn=bridge.die_with_parent)
        bridge.wait_for(arguments[0],
                        lambda: bridge.request(self.port, "/-/ready", timeout=5)[0] == 200, 60)

    def kill(self, number=signal.SIGKILL):
        if self.process:
            self.process.send_signal(number)
            self.process.wait(30)
        self.process = None

    def remove(self):
        self.kill()
        shutil.rmtree(self.directory)


class Alertmanager(Process):
    def __init__(self, bridge_port):
        super().__init__("alertmanager")
        self.config = self.file("config.yml", ALERTMANAGER % {"port": bridge_port})
        self.cluster = bridge.free_port()

    def start(self, peers=None):
        """peers: the other nodes; None: no cluster."""
        cluster = ["--cluster.listen-address="]
        if peers is not None:
            cluster = ["--cluster.listen-address=127.0.0.1:%d" % self.cluster,
                       "--cluster.peer-timeout=1s", "--cluster.settle-timeout=1s"]
            cluster += ["--cluster.peer=127.0.0.1:%d" % peer.cluster for peer in peers]
        self.spawn("prometheus-alertmanager", "--config.file=" + self.config,
                   "--storage.path=" + os.path.join(self.directory, "data"),
                   "--web.listen-address=127.0.0.1:%d" % self.port, *cluster)

    def post(self, path, value):
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        if response.status != 200:
            raise AssertionError("%s: %d %s" % (path, response.status, text))
        return json.loads(text) if text else None

    def alert(self, name, *instances, since=None, resolved=False, severity="critical"):
        since = since or SINCE
        now = datetime.datetime.now(datetime.timezone.utc)
        end = now if resolved else now + datetime.timedelta(minutes=10)
        self.post("/api/v2/alerts", [
            {"labels": {"alertname": name, "instance": instance, "severity": severity},
             "annotations": {"summary": "%s is broken" % instance}, "startsAt": since,
             "endsAt": end.isoformat()} for instance in instances])

    def silence(self, name):
        now = datetime.datetime.now(datetime.timezone.utc)
        return self.post("/api/v2/silences", {
            "matchers": [{"name": "alertname", "value": name, "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + datetime.timedelta(minutes=10)).isoformat(),
            "createdBy": "test", "comment": "test"})


SINCE = (datetime.datetime.now(datetime.timezone.utc)
         - datetime.timedelta(seconds=30)).isoformat()


class Base(unittest.TestCase):
    def setUp(self):
        self.far = bridge.Far()
        self.bridge = bridge.Bridge(PROGRAM, CONFIG % {"port": self.far.port})
        self.processes = []
        self.assertTrue(self.bridge.start())

    def tearDown(self):
        for process in self.processes:
            process.remove()
        if self.bridge.process:
            self.assertEqual(self.bridge.stop(), 0, self.bridge.text("out"))
        self.assertNotIn("Sanitizer", self.bridge.text("out"))
        self.bridge.remove()
        self.far.stop()

    def alertmanager(self):
        process = Alertmanager(self.bridge.port)
        self.processes.append(process)
        return process

    def wait_events(self, *wanted):
        """Waits until PagerDuty has these events, in any order, and no other."""
        def same():
            with self.far.lock:
                return sorted(self.far.events, key=str) == sorted(wanted, key=str)

        try:
            bridge.wait_for("events", same, 40)
        except AssertionError:
            raise AssertionError("wanted %s, have %s" % (sorted(wanted), self.far.events)) from None

    def webhooks(self):
        return self.bridge.text().count('"webhook accepted"')

    def wait_webhooks(self, n):
        bridge.wait_for("%d webhooks" % n, lambda: self.webhooks() >= n, 60)

    def check_end(self, *wanted):
        """Nothing else came, and all is done."""
        self.bridge.settle()
        self.wait_events(*wanted)
        self.assertEqual(self.far.phantoms, [])


class One(Base):
    def test_prometheus_fires_and_resolves(self):
        """A target that is down, and comes back."""
        port = bridge.free_port()
        alertmanager = self.alertmanager()
        alertmanager.start()
        prometheus = Process("prometheus")
        self.processes.append(prometheus)
        rules = prometheus.file("rules.yml", """
groups:
  - name: test
    rules:
      - alert: InstanceDown
        expr: up == 0
        labels: {severity: critical}
        annotations: {summary: 'host-1 is down'}
""")
        config = prometheus.file("prometheus.yml", """
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {cluster: test}}
rule_files: ['%s']
alerting:
  alertmanagers: [{static_configs: [{targets: ['127.0.0.1:%d']}]}]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['127.0.0.1:%d']}]
""" % (rules, alertmanager.port, port))
        prometheus.spawn("prometheus", "--config.file=" + config,
                         "--storage.tsdb.path=" + os.path.join(prometheus.directory, "data"),
                         "--web.listen-address=127.0.0.1:%d" % prometheus.port,
                         "--rules.alert.resend-delay=1s")
        self.wait_events(("trigger", "host-1"))

        class Target(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        target = http.server.HTTPServer(("127.0.0.1", port), Target)
        threading.Thread(target=target.serve_forever, daemon=True).start()
        self.wait_events(("trigger", "host-1"), ("resolve", "host-1"))
        # Prometheus says so again and again, Alertmanager too.
        time.sleep(4)
        self.check_end(("trigger", "host-1"), ("resolve", "host-1"))
        target.shutdown()
        target.server_close()

    def test_group_grows_and_shrinks(self):
        alertmanager = self.alertmanager()
        alertmanager.start()
        alertmanager.alert("Grouped", "host-1", "host-2")
        fired = [("trigger", "host-1"), ("trigger", "host-2")]
        self.wait_events(*fired)
        alertmanager.alert("Grouped", "host-3")
        fired.append(("trigger", "host-3"))
        self.wait_events(*fired)
        alertmanager.alert("Grouped", "host-1", resolved=True)
        fired.append(("resolve", "host-1"))
        self.wait_events(*fired)
        alertmanager.alert("Grouped", "host-2", "host-3", resolved=True)
        fired += [("resolve", "host-2"), ("resolve", "host-3")]
        self.check_end(*fired)
        # Slack without send_resolved: once for what fired first, once for the third.
        self.assertEqual(len(self.far.hooks), 2)

    def test_cut_list_resolves_nothing(self):
        """max_alerts: the first of the list resolves, and the body says "resolved"."""
        alertmanager = self.alertmanager()
        alertmanager.start()
        alertmanager.alert("Cut", "host-1", "host-2", "host-3")
        self.wait_events(("trigger", "host-1"))
        alertmanager.alert("Cut", "host-1", resolved=True)
        self.wait_events(("trigger", "host-1"), ("resolve", "host-1"))
        alertmanager.alert("Cut", "host-0")  # the first of the list now
        self.check_end(("trigger", "host-1"), ("resolve", "host-1"), ("trigger", "host-0"))

    def test_alertmanager_is_killed(self):
        alertmanager = self.alertmanager()
        alertmanager.start()
        alertmanager.alert("Down", "host-1")
        self.wait_events(("trigger", "host-1"))
        seen = self.webhooks()
        alertmanager.kill()
        alertmanager.start()  # it has forgotten what it has told
        alertmanager.alert("Down", "host-1")
        self.wait_webhooks(seen + 1)
        self.check_end(("trigger", "host-1"))
        alertmanager.alert("Down", "host-1", resolved=True)
        self.check_end(("trigger", "host-1"), ("resolve", "host-1"))

    def test_bridge_is_killed(self):
        alertmanager = self.alertmanager()
        alertmanager.start()
        alertmanager.alert("Down", "host-1")
        self.wait_events(("trigger", "host-1"))
        self.bridge.settle()  # else it is sent again, to the same incident
        self.bridge.stop(signal.SIGKILL)
        alertmanager.alert("Down", "host-1", resolved=True)
        alertmanager.alert("Other", "host-2")
        time.sleep(2)  # Alertmanager tries and fails
        self.assertTrue(self.bridge.start())
        self.check_end(("trigger", "host-1"), ("resolve", "host-1"), ("trigger", "host-2"))


class Reconcile(Base):
    """Alertmanager never says that a silenced alert has ended."""

    def test_silenced_then_resolved_is_closed(self):
        alertmanager = self.alertmanager()
        alertmanager.start()
        with open(self.bridge.config, "a") as f:
            f.write("alertmanagers: [{url: 'http://127.0.0.1:%d'}]\nreconcile_interval: 1s\n"
                    % alertmanager.port)
        self.assertEqual(self.bridge.stop(), 0)
        self.assertTrue(self.bridge.start())
        alertmanager.alert("Down", "host-1")
        alertmanager.alert("Other", "host-2")
        fired = [("trigger", "host-1"), ("trigger", "host-2")]
        self.wait_events(*fired)
        time.sleep(3)  # what it was asked, Alertmanager does not count
        alertmanager.silence("Down")
        seen = self.webhooks()
        alertmanager.alert("Down", "host-1", resolved=True)
        self.check_end(*fired, ("resolve", "host-1"))
        self.assertEqual(self.webhooks(), seen)  # nobody said so


class Pair(Base):
    def start_pair(self):
        one, two = self.alertmanager(), self.alertmanager()
        one.start([])
        two.start([one])
        return one, two

    def tell_both(self, pair, *arguments, **more):
        """As Prometheus does."""
        for alertmanager in pair:
            alertmanager.alert(*arguments, **more)

    def test_pair_delivers_twice_after_an_outage(self):
        pair = self.start_pair()
        self.bridge.stop(signal.SIGKILL)
        self.tell_both(pair, "Down", "host-1", "host-2")
        time.sleep(3)  # both have tried
        self.assertTrue(self.bridge.start())
        fired = [("trigger", "host-1"), ("trigger", "host-2")]
        self.wait_webhooks(2)
        self.wait_events(*fired)
        self.tell_both(pair, "Down", "host-1", resolved=True)
        self.check_end(*fired, ("resolve", "host-1"))

    def test_one_of_the_pair_is_killed(self):
        pair = self.start_pair()
        self.tell_both(pair, "Down", "host-1")
        self.wait_events(("trigger", "host-1"))
        pair[0].kill()
        pair[1].alert("Down", "host-1", resolved=True)
        pair[1].alert("Down", "host-2")
        self.check_end(("trigger", "host-1"), ("resolve", "host-1"), ("trigger", "host-2"))
        pair[0].start([pair[1]])
        self.tell_both(pair, "Down", "host-2", resolved=True)
        self.check_end(("trigger", "host-1"), ("resolve", "host-1"), ("trigger", "host-2"),
                       ("resolve", "host-2"))


class Reconcile(Base):
    """What Alertmanager does not say of its own accord."""
    INTERVAL = 1

    def setUp(self):
        self.far = bridge.Far()
        self.processes = []
        port = bridge.free_port()
        self.bridge = bridge.Bridge(PROGRAM, RECONCILE % {"port": self.far.port, "alertmanager": port})
        self.one = self.alertmanager()
        self.one.port = port
        self.one.start()
        self.assertTrue(self.bridge.start())

    def unsilence(self, silence):
        import urllib.request
        urllib.request.urlopen(urllib.request.Request(
            "http://127.0.0.1:%d/api/v2/silence/%s" % (self.one.port, silence["silenceID"]),
            method="DELETE"), timeout=20).read()

    def test_ended_while_silenced(self):
        self.one.alert("Down", "host-1")
        self.wait_events(("trigger", "host-1"))
        self.one.silence("Down")
        time.sleep(2 * self.INTERVAL)
        self.assertEqual(self.bridge.alerts(), {"host-1": "firing"})
        self.one.alert("Down", "host-1", resolved=True)
        ended = time.monotonic()
        self.wait_events(("trigger", "host-1"), ("resolve", "host-1"))
        took = time.monotonic() - ended
        print("closed %.1f intervals after its end" % (took / self.INTERVAL))
        self.assertLess(took, 2 * self.INTERVAL + 1)
        self.check_end(("trigger", "host-1"), ("resolve", "host-1"))

    def test_restarted_empty(self):
        self.one.alert("Down", "host-1")
        self.wait_events(("trigger", "host-1"))
        self.one.kill()
        self.one.start()
        time.sleep(5 * self.INTERVAL)
        self.assertEqual(self.bridge.alerts(), {"host-1": "firing"})
        self.one.alert("Down", "host-1")
        time.sleep(2 * self.INTERVAL)
        self.check_end(("trigger", "host-1"))

    def test_page_is_confirmed(self):
        self.one.alert("Slow", "host-1", severity="warning")
        self.wait_events(("trigger", "host-1"))

    def test_page_waits_for_the_silence(self):
        """It fires, and is silenced before its page is due."""
        self.one.alert("Slow", "host-1", severity="warning")
        self.wait_webhooks(1)
        silence = self.one.silence("Slow")
        time.sleep(3 + 2 * self.INTERVAL)
        self.check_end()
        self.unsilence(silence)
        self.wait_events(("trigger", "host-1"))

    def test_page_comes_without_alertmanager(self):
        self.one.alert("Slow", "host-1", severity="warning")
        self.wait_webhooks(1)
        self.one.kill()
        self.wait_events(("trigger", "host-1"))


class Samples(Base):
    def send(self, name, times=1):
        with open(os.path.join(SAMPLES, name + ".json")) as f:
            body = f.read()
        for _ in range(times):
            self.assertEqual(self.bridge.post(body), 200)
        return json.loads(body)

    def pages(self):
        self.bridge.settle()
        with self.far.lock:
            return [action for action, _ in self.far.events]

    def test_all_samples_are_taken(self):
        names = glob.glob(os.path.join(SAMPLES, "*.json"))
        self.assertGreaterEqual(len(names), 10)
        for name in names:
            self.send(os.path.basename(name)[:-5])

    def test_repeats_page_once(self):
        """After a kill of Alertmanager, from a pair, and Prometheus' repeated ends."""
        self.send("grouped_firing_4", 5)
        self.assertEqual(self.pages(), ["trigger"] * 4)
        self.send("grouped_mixed_firing_and_resolved", 3)
        before = self.pages()
        self.send("grouped_mixed_resolved_REPEATED_same_endsAt", 10)
        self.assertEqual(self.pages(), before)
        self.send("grouped_all_resolved_4", 3)
        self.assertEqual(sorted(self.pages()), ["resolve"] * 4 + ["trigger"] * 4)

    def test_false_resolved_resolves_nothing(self):
        """The body says "resolved" while three that were cut off still fire."""
        self.send("grouped_firing_4")
        listed = self.send("truncated_FALSE_RESOLVED_3_still_firing")["alerts"]
        self.assertEqual(sorted(self.pages()), ["resolve"] * len(listed) + ["trigger"] * 4)
        self.assertEqual(sum(1 for s in self.bridge.alerts().values() if s == "firing"), 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
