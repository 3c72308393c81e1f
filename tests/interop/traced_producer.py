"""A producer that is traced as PgQueuer's documentation has it: enqueues jobs within a span of its own, and exports its spans.

Its first argument is where to export them (OTLP over HTTP), its second a JSON array of jobs: entrypoint and payload. Prints the ids of the jobs,
and of the trace.
"""

import asyncio
import json
import os
import sys

import asyncpg
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from pgqueuer import Queries
from pgqueuer.adapters.tracing.opentelemetry import OpenTelemetryTracing
from pgqueuer.ports.tracing import set_tracing_class


async def main(endpoint: str, jobs: list[dict]) -> dict:
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    set_tracing_class(OpenTelemetryTracing())
    connection = await asyncpg.connect(os.environ["PGDSN"])
    with trace.get_tracer("shop").start_as_current_span("POST /checkout") as span:
        context.attach(baggage.set_baggage("customer", "7"))
        ids = await Queries.from_asyncpg_connection(connection).enqueue(
            [job["entrypoint"] for job in jobs], [job["payload"].encode() for job in jobs], [0 for _ in jobs]
        )
        trace_id = format(span.get_span_context().trace_id, "032x")
    await connection.close()
    provider.shutdown()
    return {"ids": ids, "trace": trace_id}


print(json.dumps(asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))))
