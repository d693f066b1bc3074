#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is exported, read by decoders that are not ours: Python's protobuf with
a schema compiled by protoc, its JSON, and gRPC's own server.

usage: decode.py EMIT OTLP_PROTO

EMIT is run once for each protocol against a collector in this process, which
first refuses it in a way that has to be tried again.
"""
import base64
import gzip
import http.server
import importlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
problems = []


def check(good, text):
    if not good:
        problems.append(text)
        print("not ok:", text)


def compile_schema(proto):
    directory = tempfile.mkdtemp(prefix="clew-otlp-")
    subprocess.run(["protoc", "-I", os.path.dirname(proto), "--python_out", directory, proto],
                   check=True)
    sys.path.insert(0, directory)
    schema = importlib.import_module("otlp_pb2")
    subprocess.run(["rm", "-rf", directory], check=True)
    return schema


def ids_to_base64(node):
    """OTLP's JSON has ids in hex where protobuf's has base64."""
    if isinstance(node, dict):
        return {k: base64.b64encode(bytes.fromhex(v)).decode()
                if k in ("traceId", "spanId", "parentSpanId") else ids_to_base64(v)
                for k, v in node.items()}
    return [ids_to_base64(n) for n in node] if isinstance(node, list) else node


class HttpCollector:
    """Says 503 with Retry-After to the first request."""

    def __init__(self):
        self.requests = queue.Queue()
        collector = self
        seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                seen.append(body)
                first = len(seen) == 1
                if not first:
                    check(body == seen[0], "a repeat has the same bytes")
                    collector.requests.put((self.path, self.headers, body))
                self.send_response(503 if first else 200)
                if first:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()


class GrpcCollector:
    """Says RESOURCE_EXHAUSTED with RetryInfo to the first request."""

    def __init__(self, schema, credentials=None):
        import grpc
        self.requests = queue.Queue()
        calls = []

        def export(request, context):
            calls.append(time.monotonic())
            if len(calls) == 1:
                retry = schema.RetryInfo(retry_delay=schema.Duration(nanos=700_000_000))
                status = schema.RpcStatus(code=8, message="slow down", details=[schema.RpcAny(
                    type_url="type.googleapis.com/google.rpc.RetryInfo",
                    value=retry.SerializeToString())])
                context.set_trailing_metadata(
                    (("grpc-status-details-bin", status.SerializeToString()),))
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down, 100%")
            check(calls[1] - calls[0] >= 0.65, "RetryInfo is honoured")
            self.requests.put((context.invocation_metadata(), context.time_remaining(), request))
            return schema.Response()

        handler = grpc.method_handlers_generic_handler(SERVICE, {
            "Export": grpc.unary_unary_rpc_method_handler(
                export, request_deserializer=schema.Request.FromString,
                response_serializer=schema.Response.SerializeToString)})
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        self.server.add_generic_rpc_handlers((handler,))
        self.port = (self.server.add_secure_port("127.0.0.1:0", credentials) if credentials
                     else self.server.add_insecure_port("127.0.0.1:0"))
        self.server.start()

    def stop(self):
        self.server.stop(None).wait()


def plain(any_value):
    """An AnyValue as Python has it."""
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    value = getattr(any_value, kind)
    if kind == "array_value":
        return [plain(v) for v in value.values]
    if kind == "kvlist_value":
        return {p.key: plain(p.value) for p in value.values}
    return value


def attributes(pairs):
    keys = [p.key for p in pairs]
    check(len(keys) == len(set(keys)), "no key twice")
    return {p.key: plain(p.value) for p in pairs}


EXPECTED = {
    "text": "café \"x\"\n", "empty": "", "int": -3, "big": -2**63, "bool": False, "double": 0.1,
    "took": 1.5, "bytes": b"\x00\xff\x10", "null": None, "errno": 2, "ints": [1, -2],
    "doubles": [0.5], "bools": [True, False], "texts": ["a", "b \"quoted\""],
    "object": {"n": 1, "inner": {"deep": "yes"}},
}


def check_resource(resource):
    found = attributes(resource.attributes)
    expected = {"service.name": "emitter", "service.version": "2.1", "telemetry.sdk.language": "c",
                "os.type": "linux", "deployment.environment.name": "test env"}
    for key, value in expected.items():
        check(found.get(key) == value, f"resource: {key} is {found.get(key)!r}")
    check(len(found.get("service.instance.id", "")) == 36, "resource: an instance id")
    check(isinstance(found.get("process.pid"), int), "resource: a pid")
    check(found.get("process.executable.name") == "emit", "resource: the executable's name")


def check_request(request):
    check(len(request.resource_spans) == 1, "one resource")
    check_resource(request.resource_spans[0].resource)
    scopes = {s.scope.name: s for s in request.resource_spans[0].scope_spans}
    check(set(scopes) == {"", "clew.test"}, f"scopes: {set(scopes)}")
    span, child = scopes[""].spans[0], scopes["clew.test"].spans[0]
    found = attributes(span.attributes)
    for key, value in EXPECTED.items():
        check(key in found and found[key] == value, f"{key} is {found.get(key)!r}")
        check(type(found.get(key)) is type(value), f"{key} has the type {type(found.get(key))}")
    check(set(found) == set(EXPECTED), f"attributes: {set(found) ^ set(EXPECTED)}")
    check(len(span.trace_id) == 16 and len(span.span_id) == 8, "lengths of ids")
    check(span.parent_span_id == b"" and child.parent_span_id == span.span_id, "parents")
    check(span.trace_id == child.trace_id, "one trace")
    check((span.name, span.kind, child.kind) == ("everything", 2, 3), "names and kinds")
    check((span.status.code, span.status.message) == (2, "broken"), "status")
    check(span.flags & 0x1ff == 0x101 | span.flags & 2, f"flags are {span.flags:#x}")
    check(span.start_time_unix_nano <= child.start_time_unix_nano
          <= child.end_time_unix_nano <= span.end_time_unix_nano, "times nest")
    check(abs(span.start_time_unix_nano - time.time_ns()) < 60e9, "the time is now")
    event, link = span.events[0], span.links[0]
    check(event.name == "happened" and event.time_unix_nano == 1700000000123456789, "event")
    check(attributes(event.attributes) == {"attempt": 2}, "attributes of the event")
    check(link.trace_id == b"\xaa" + bytes(14) + b"\xbb" and link.span_id == b"\xcc" * 8, "link")
    check(link.trace_state == "vendor=1" and link.flags == 0x301, "state and flags of the link")
    check(attributes(link.attributes) == {"why": "because"}, "attributes of the link")


def emit(program, protocol, port, compression, more=()):
    environment = {"PATH": os.environ["PATH"],
                   "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                   "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "CLEW_LOG_OUTPUT": "none",
                   "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
                   "OTEL_EXPORTER_OTLP_HEADERS": "api-key=se%20cret",
                   "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test%20env"}
    environment.update(more)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            environment[name] = os.environ[name]
    status = subprocess.run([program], env=environment, timeout=60).returncode
    check(status == 0, f"{protocol}: the program ends with {status}")


def over_http(schema, program, protocol, compression):
    from google.protobuf import json_format
    import json
    collector = HttpCollector()
    emit(program, protocol, collector.port, compression)
    path, headers, body = collector.requests.get(timeout=5)
    collector.stop()
    check(path == "/v1/traces", f"path is {path}")
    check(headers["api-key"] == "se cret", "the header that was asked for")
    check(headers["User-Agent"].startswith("OTel-OTLP-Exporter-C/"), "user agent")
    check(headers.get("Content-Encoding", "none") == compression, "coding")
    if compression == "gzip":
        body = gzip.decompress(body)
    if protocol == "http/protobuf":
        check(headers["Content-Type"] == "application/x-protobuf", "content type")
        return schema.Request.FromString(body)
    check(headers["Content-Type"] == "application/json", "content type")
    return json_format.ParseDict(ids_to_base64(json.loads(body)), schema.Request())


def over_grpc(schema, program, _, compression):
    collector = GrpcCollector(schema)
    emit(program, "grpc", collector.port, compression)
    metadata, remaining, request = collector.requests.get(timeout=5)
    collector.stop()
    metadata = dict(metadata)
    check(metadata.get("api-key") == "se cret", "the header that was asked for")
    check(metadata.get("user-agent", "").startswith("OTel-OTLP-Exporter-C/"), "user agent")
    check(remaining is not None and 5 < remaining <= 10.5, f"grpc-timeout: {remaining}")
    return request


def make_certificates(directory):
    """An authority, and what it signed for a server and a client."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=directory,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    for name in ("server", "client"):
        with open(f"{directory}/{name}.ext", "w") as extensions:
            extensions.write("subjectAltName=IP:127.0.0.1\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
                f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-extfile", f"{name}.ext")


def over_tls(schema, program):
    """gRPC over TLS, HTTP/2 by ALPN, with a server that wants the client's certificate."""
    import grpc
    with tempfile.TemporaryDirectory(prefix="clew-otlp-") as directory:
        make_certificates(directory)
        ca, key, certificate = (open(f"{directory}/{name}", "rb").read()
                                for name in ("ca.pem", "server.key", "server.pem"))
        collector = GrpcCollector(schema, grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=ca, require_client_auth=True))
        emit(program, "grpc", collector.port, "none", {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{collector.port}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": f"{directory}/ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f"{directory}/client.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"{directory}/client.key"})
        _, _, request = collector.requests.get(timeout=5)
        collector.stop()
    return request


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, proto = sys.argv[1], os.path.abspath(sys.argv[2])
    schema = compile_schema(proto)
    for protocol, over in (("http/protobuf", over_http), ("http/json", over_http),
                           ("grpc", over_grpc)):
        for compression in ("none", "gzip"):
            print(f"== {protocol}, {compression}")
            try:
                check_request(over(schema, program, protocol, compression))
            except queue.Empty:
                check(False, "nothing was received")
    print("== grpc, TLS, the client's certificate")
    try:
        check_request(over_tls(schema, program))
    except queue.Empty:
        check(False, "nothing was received")
    sys.exit(1 if problems else 0)


main()
