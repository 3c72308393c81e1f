"""A Python worker that is traced, for `pgq run traced_worker:main -- ENTRYPOINT`. Exports its spans to OTLP_ENDPOINT, one by one."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from pgqueuer import AsyncpgDriver, Job, PgQueuer
from pgqueuer.adapters.tracing.opentelemetry import OpenTelemetryTracing
from pgqueuer.ports.tracing import set_tracing_class


@asynccontextmanager
async def main(entrypoints: list[str]) -> AsyncIterator[PgQueuer]:
    provider = TracerProvider(resource=Resource.create({"service.name": "python worker"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=os.environ["OTLP_ENDPOINT"])))
    trace.set_tracer_provider(provider)
    set_tracing_class(OpenTelemetryTracing())
    connection = await asyncpg.connect(os.environ["PGDSN"])
    pgq = PgQueuer(AsyncpgDriver(connection))
    for entrypoint in entrypoints:

        @pgq.entrypoint(entrypoint)
        async def run(job: Job) -> None:
            pass

    yield pgq
    await connection.close()
