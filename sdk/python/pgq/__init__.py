"""Write job handlers for pgq-host in Python.

A handler is a function. What it returns is the job's output, and an exception is a retry::

    import logging
    from dataclasses import dataclass

    import pgq

    pgq.plugin("orders", version="0.1.0", enqueue=["ship"])


    @dataclass
    class Order:
        id: int
        items: list[str]


    @pgq.entrypoint("pack", max_attempts=5, timeout=10)
    def pack(job: pgq.Job, order: Order):
        if not order.items:
            raise pgq.Reject("an order without items cannot be packed")
        logging.info("packing %d items", len(order.items), extra={"order": order.id})
        pgq.enqueue("ship", order.id, priority=5)
        return {"packed": len(order.items)}

The same functions run under pytest or unittest, without a host: see `pgq.testing`.
"""

from . import http, sql
from ._enqueue import EnqueueError, enqueue
from ._job import Directive, Job
from ._outcome import Discard, Reject, Retry, Snooze
from ._plugin import batch, entrypoint, plugin

__version__ = "0.1.0"
__all__ = [
    "Directive",
    "Discard",
    "EnqueueError",
    "Job",
    "Reject",
    "Retry",
    "Snooze",
    "batch",
    "enqueue",
    "entrypoint",
    "http",
    "plugin",
    "sql",
]
