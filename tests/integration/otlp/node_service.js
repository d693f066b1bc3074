// SPDX-License-Identifier: Apache-2.0
// A service with OpenTelemetry's Node SDK: it passes each request on to NEXT.
'use strict';
const { NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');

const provider = new NodeTracerProvider({
  spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] });

const http = require('http');
const server = http.createServer((request, response) => {
  http.get(process.env.NEXT, (answer) => {
    answer.resume();
    answer.on('end', () => response.end('ok'));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => {
  server.close();
  provider.shutdown().then(() => process.exit(0));
});
process.stdin.resume();
