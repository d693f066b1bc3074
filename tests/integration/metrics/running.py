# SPDX-License-Identifier: Apache-2.0
"""What the tests of metrics share: the service, requests to it, waiting."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

TRACEPARENT = "00-%s-%s-01"


class Service:
    """The program beside this file, with its ports."""

    def __init__(self, program, *arguments, **variables):
        self.directory = tempfile.mkdtemp(prefix="clew-metrics-")
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("CLEW_", "OTEL_"))}
        environment.update(CLEW_MANAGEMENT_ADDRESS="127.0.0.1:0", CLEW_LOG_OUTPUT="none",
                           CLEW_RING_DIR=os.path.join(self.directory, "rings"), **variables)
        self.process = subprocess.Popen([program, *arguments], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline().split()
        self.port, self.health_port, self.metrics_port = map(int, line)

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(30)
        self.process.stdout.close()
        shutil.rmtree(self.directory)
        return status


def get(port, path, timeout=20, **headers):
    """(status, headers, body) of one request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path,
                           headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=30):
    """The first true value of condition()."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("gave up waiting for " + what)
        time.sleep(0.05)


def samples(page):
    """{'name{labels}': value} of a text page."""
    found = {}
    for line in page.decode().split("\n"):
        if line and not line.startswith("#"):
            series, value = line.split(" # ")[0].rsplit(" ", 1)
            found[series] = float(value)
    return found


class Prometheus:
    """Debian's Prometheus, scraping the ports every second."""

    def __init__(self, ports, *features):
        self.directory = tempfile.mkdtemp(prefix="clew-prometheus-")
        self.port = free_port()
        targets = ", ".join('"127.0.0.1:%d"' % port for port in ports)
        config = os.path.join(self.directory, "prometheus.yml")
        with open(config, "w") as f:
            f.write("global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: test\n"
                    "    static_configs:\n      - targets: [%s]\n" % targets)
        self.log = open(os.path.join(self.directory, "log"), "w")
        self.process = subprocess.Popen(
            ["prometheus", "--config.file=" + config,
             "--storage.tsdb.path=" + os.path.join(self.directory, "data"),
             "--web.listen-address=127.0.0.1:%d" % self.port,
             "--enable-feature=" + ",".join(features)],
            stdout=self.log, stderr=subprocess.STDOUT)
        wait_for("Prometheus", self.is_ready, 60)

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("Prometheus ended: " + self.text())
        try:
            return get(self.port, "/-/ready", timeout=5)[0] == 200
        except OSError:
            return False

    def text(self):
        with open(self.log.name) as f:
            return f.read()

    def ask(self, path, **parameters):
        status, _, body = get(self.port, path + "?" + urllib.parse.urlencode(parameters))
        if status != 200:
            raise AssertionError("%s: %d %s" % (path, status, body[:500]))
        return json.loads(body)["data"]

    def query(self, expression):
        """{labels: value}; labels as a sorted tuple of pairs."""
        return {tuple(sorted(r["metric"].items())): r.get("value", [0, "0"])[1]
                for r in self.ask("/api/v1/query", query=expression)["result"]}

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.directory)
