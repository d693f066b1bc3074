// SPDX-License-Identifier: Apache-2.0
// A trace that goes from a program of ours through a service with OpenTelemetry's
// Node SDK to a program of ours stays one trace, and our JSON has the shape that
// OpenTelemetry's own serializer gives it.
//
//     node_peer.js HOP EMIT
'use strict';
const { spawn } = require('child_process');
const http = require('http');
const path = require('path');
const { trace, SpanKind, SpanStatusCode } = require('@opentelemetry/api');
const { JsonTraceSerializer } = require('@opentelemetry/otlp-transformer');
const {
  BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor,
} = require('@opentelemetry/sdk-trace-node');

const [hop, emit] = process.argv.slice(2);
let problems = 0;

function check(good, text) {
  if (good) return;
  problems++;
  console.log('not ok:', text);
}

// A collector: keeps the requests as they are.
const requests = [];
const collector = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    requests.push(JSON.parse(Buffer.concat(pieces).toString()));
    response.setHeader('Content-Type', 'application/json');
    response.end('{}');
  });
});

function environment(more) {
  return {
    ...process.env,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    CLEW_LOG_OUTPUT: 'none',
    ...more,
  };
}

function start(command, args, more) {
  return spawn(command, args, {
    env: environment(more), stdio: ['pipe', 'pipe', 'inherit'],
  });
}

function ended(child) {
  return new Promise((resolve) => child.on('exit', resolve));
}

function firstLine(child) {
  return new Promise((resolve) => child.stdout.once('data', (d) => resolve(String(d).trim())));
}

// Every path of keys, array elements as one.
function shape(value, at, paths) {
  if (Array.isArray(value)) {
    value.forEach((v) => shape(v, `${at}[]`, paths));
  } else if (value && typeof value === 'object') {
    Object.entries(value).forEach(([k, v]) => shape(v, `${at}.${k}`, paths));
  } else {
    paths.set(at, typeof value);
  }
  return paths;
}

// One span with everything, by OpenTelemetry's own hands.
function reference() {
  const memory = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] });
  const tracer = provider.getTracer('scope', '1');
  const parent = tracer.startSpan('everything', { kind: SpanKind.SERVER }, undefined);
  const attributes = {
    text: 'a', int: 1, bool: true, double: 0.5, bytes: new Uint8Array([1]), ints: [1, 2],
    doubles: [0.5], bools: [true], texts: ['a'],
    object: { n: 1, deep: { text: 'yes' } },
  };
  parent.setAttributes(attributes);
  parent.addEvent('happened', { attempt: 2 });
  parent.addLink({
    context: {
      traceId: 'aa'.repeat(16), spanId: 'bb'.repeat(8), traceFlags: 1,
      traceState: { serialize: () => 'vendor=1' },
    },
    attributes: { why: 'because' },
  });
  parent.setStatus({ code: SpanStatusCode.ERROR, message: 'broken' });
  const { ROOT_CONTEXT } = require('@opentelemetry/api');
  tracer.startSpan('child', {}, trace.setSpan(ROOT_CONTEXT, parent)).end();
  parent.end();
  return JSON.parse(Buffer.from(
    JsonTraceSerializer.serializeRequest(memory.getFinishedSpans())).toString());
}

// An attribute's value may be any that OTLP has, wherever one stands.
function withoutValues(paths) {
  return new Map([...paths].filter(([p]) => !/\.value\./.test(p)));
}

function values(paths) {
  const kinds = [...paths].map(([p, type]) => {
    const found = /\.([a-z]+Value)$/.exec(p);
    return found && `${found[1]}: ${type}`;
  });
  return new Set(kinds.filter(Boolean));
}

async function checkShape() {
  const before = requests.length;
  check(await ended(start(emit, [])) === 0, 'emit ends well');
  const ours = shape(requests[before], '', new Map());
  const theirs = shape(reference(), '', new Map());
  const allowed = withoutValues(theirs);
  for (const [p, type] of withoutValues(ours)) {
    check(allowed.has(p), `${p} is not in OpenTelemetry's JSON`);
    check(!allowed.has(p) || allowed.get(p) === type
      // Numbers of 64 bits: a receiver takes both, the specification says strings.
      || (type === 'string' && /UnixNano$/.test(p)), `${p} is a ${type}`);
  }
  for (const kind of values(theirs)) {
    // Their integers are JSON numbers; ours are strings, as the specification has it.
    if (kind.startsWith('intValue')) check(values(ours).has('intValue: string'), 'integers');
    else check(values(ours).has(kind), `no value of the kind ${kind}`);
  }
}

async function checkTrace() {
  const before = requests.length;
  const last = start(hop, ['serve']);
  const next = `http://127.0.0.1:${await firstLine(last)}/last`;
  const service = start(process.execPath, [path.join(__dirname, 'node_service.js')],
    { NEXT: next, OTEL_SERVICE_NAME: 'node' });
  const url = `http://127.0.0.1:${await firstLine(service)}/`;
  check(await ended(start(hop, ['call', url])) === 0, 'the caller ends well');
  service.stdin.end();
  await ended(service);
  last.stdin.end();
  check(await ended(last) === 0, 'the server ends well');

  const spans = requests.slice(before).flatMap((r) => r.resourceSpans)
    .flatMap((r) => r.scopeSpans).flatMap((s) => s.spans);
  const child = (parent, kind) => spans.find(
    (s) => s.kind === kind && s.parentSpanId === parent.spanId && s.traceId === parent.traceId);
  let span = spans.find((s) => s.name === 'caller');
  check(span && !span.parentSpanId, 'our span begins the trace');
  for (const [kind, what] of [[3, 'our client'], [2, 'Node as a server'], [3, 'Node as a client'],
    [2, 'our server']]) {
    span = span && child(span, kind);
    check(span, `${what} follows in the same trace`);
  }
}

collector.listen(0, '127.0.0.1', async () => {
  await checkShape();
  await checkTrace();
  process.exit(problems ? 1 : 0);
});
