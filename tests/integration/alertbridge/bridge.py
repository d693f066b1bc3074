# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests of the alert bridge share: the bridge as a process, the far
sides that remember what they got, and the faults that the bridge is given."""
import ctypes
import http.client
import http.server
import json
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

PATH = "/api/v1/alertmanager"


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=30, step=0.01):
    """The first true value of condition()."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("gave up waiting for " + what)
        time.sleep(step)


def request(port, path, body=None, timeout=20):
    """(status, text) of one request over a connection of its own; status 0: no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body and body.encode())
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def alert(number, severity="critical", status="firing", **labels):
    labels = {"alertname": "Down", "severity": severity, "instance": "host-%d" % number, **labels}
    return {"status": status, "labels": labels, "annotations": {"summary": "host-%d is broken" % number},
            "startsAt": "2026-11-20T20:59:17.632Z",
            "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-11-20T22:00:00Z",
            "generatorURL": "http://prometheus.example/", "fingerprint": "%016x" % number}


def webhook(alerts, group=None):
    group = group or alerts[0]["labels"]["instance"]
    return json.dumps({"version": "4", "groupKey": "{}:{instance=\"%s\"}" % group,
                       "truncatedAlerts": 0, "receiver": "bridge", "status": "firing",
                       "alerts": alerts, "groupLabels": {"instance": group}, "commonLabels": {},
                       "commonAnnotations": {}, "externalURL": "http://am.example"})


class Far:
    """PagerDuty at /v2/enqueue, Slack's incoming webhook at /hook, Slack's bot at /api/;
    it stays while the bridge comes and goes."""

    def __init__(self):
        far = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = far.take(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a bridge that was killed

        self.lock = threading.Lock()
        self.clear()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def clear(self):
        with self.lock:
            self.opened = {}    # PagerDuty's dedup key: how often an incident was opened
            self.open = set()   # those that are open
            self.phantoms = []  # resolves of what was not open
            self.names = {}     # dedup key: the instance in it
            self.hooks = []     # instances of each message of the incoming webhook
            self.messages = []  # of the bot: {channel, ts, thread, key, text}
            self.events = []    # (action, instance) of PagerDuty, in order

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self, path, body):
        with self.lock:
            if path == "/v2/enqueue":
                return 202, self.take_event(json.loads(body))
            if path == "/hook":
                self.hooks.append(sorted(set(re.findall(r"host-\d+", body.decode()))))
                return 200, b"ok"
            return 200, json.dumps(self.take_call(path, body)).encode()

    def take_event(self, event):
        key = event["dedup_key"]
        found = re.search(r"host-\d+", json.dumps(event))
        if found:
            self.names[key] = found.group()
        self.events.append((event["event_action"], self.names.get(key)))
        if event["event_action"] == "resolve":
            if key not in self.open:
                self.phantoms.append(key)
            self.open.discard(key)
        elif event["event_action"] == "trigger" and key not in self.open:
            self.open.add(key)
            self.opened[key] = self.opened.get(key, 0) + 1
        return b'{"status":"success"}'

    def take_call(self, path, body):
        method = path.rsplit("/", 1)[1]
        if method in ("conversations.history", "conversations.replies"):
            form = dict(urllib.parse.parse_qsl(body.decode()))
            return {"ok": True, "messages": [
                {"ts": m["ts"], "metadata": {"event_type": "clewline_alert",
                                             "event_payload": {"delivery": m["key"]}}}
                for m in self.messages if m["channel"] == form["channel"]
                and m["thread"] == form.get("ts")]}
        message = json.loads(body)
        if method == "chat.update":
            known = any(m["ts"] == message["ts"] for m in self.messages)
            return {"ok": known, "error": "message_not_found", "ts": message["ts"],
                    "channel": message["channel"]}
        ts = "%d.%06d" % (time.time(), len(self.messages))
        self.messages.append({"channel": message["channel"], "ts": ts,
                              "thread": message.get("thread_ts"), "text": json.dumps(message),
                              "key": message["metadata"]["event_payload"]["delivery"]})
        return {"ok": True, "channel": message["channel"], "ts": ts}

    def triggered(self):
        """Instances for which an incident was ever opened."""
        with self.lock:
            return {self.names[key] for key in self.opened}

    def open_now(self):
        with self.lock:
            return {self.names[key] for key in self.open}


class Faults:
    """The plan of faults.c."""
    SIZE = 6 * 8 + 256
    WRITES, SYNCS, OPENS = 1, 2, 4

    def __init__(self, directory):
        self.path = os.path.join(directory, "faults")
        with open(self.path, "wb") as f:
            f.write(bytes(self.SIZE))
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), self.SIZE)

    def set(self, kill_at=0, after=False, error=0, what=0, path=""):
        self.map[:] = struct.pack("6Q256s", 0, kill_at, after, error, what, 0, path.encode())

    def calls(self):
        return struct.unpack_from("Q", self.map, 0)[0]

    def failed(self):
        return struct.unpack_from("Q", self.map, 40)[0]


class Bridge:
    """The program with a store of its own. library: faults.c, to be preloaded."""

    def __init__(self, program, config, library=None, prefix="clew-bridge-"):
        self.directory = tempfile.mkdtemp(prefix=prefix)
        self.program, self.library, self.process = program, library, None
        self.port = free_port()
        self.faults = Faults(self.directory)
        self.config = self.file("config.yml")
        with open(self.config, "w") as f:
            f.write("listen: 127.0.0.1:%d\nstorage: %s\n%s"
                    % (self.port, self.file("store.db"), config))

    def file(self, name):
        return os.path.join(self.directory, name)

    def environment(self, faulty):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("CLEW_", "OTEL_"))}
        environment.update(CLEW_RING_DIR=self.file("rings"), CLEW_LOG_OUTPUT=self.file("log"),
                           CLEW_MANAGEMENT_ADDRESS="127.0.0.1:0")
        if faulty:
            environment.update(LD_PRELOAD=self.library, CLEW_FAULTS=self.faults.path,
                               ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "")
                               + ":verify_asan_link_order=0")
        return environment

    def spawn(self, faulty=True):
        with open(self.file("out"), "a") as out:
            self.process = subprocess.Popen([self.program, "--config", self.config],
                                            env=self.environment(faulty and self.library),
                                            stdout=out, stderr=out, preexec_fn=die_with_parent)

    def start(self, faulty=True):
        """True when it listens; False when it died before."""
        self.spawn(faulty)
        wait_for("the bridge", lambda: self.process.poll() is not None or self.listens(), 60, 0.002)
        return self.process.poll() is None

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60) if self.process else 0
        self.process = None
        return status

    def post(self, body):
        return request(self.port, PATH, body)[0]

    def get(self, path):
        status, text = request(self.port, path)
        return json.loads(text) if status == 200 else None

    def deliveries(self):
        view = self.get("/api/v1/deliveries")
        return None if view is None else view["deliveries"]

    def settle(self, seconds=30):
        """Waits until nothing is queued."""
        def settled():
            deliveries = self.deliveries()
            return deliveries is not None and all(d["state"] != "queued" for d in deliveries)

        wait_for("the deliveries", settled, seconds)

    def alerts(self):
        """{instance: status} of what it knows to fire."""
        return {a["labels"]["instance"]: a["status"] for a in self.get("/api/v1/alerts")["alerts"]}

    def text(self, name="log"):
        try:
            with open(self.file(name), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def remove(self):
        if self.process:
            self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory)
