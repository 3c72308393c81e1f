"""{{name}}: a plugin for pgq-host. README.md lists the commands."""

import logging
from dataclasses import dataclass

import pgq

pgq.plugin("{{name}}", version="0.1.0")


@dataclass
class Greeting:
    """The payload, as producers write it. payload.json is an example."""

    name: str


@pgq.entrypoint("{{name}}", max_attempts=5, timeout=10)
def greet(job: pgq.Job, greeting: Greeting) -> str:
    if not greeting.name:
        raise pgq.Reject("the name is empty")
    logging.info("greeting %s", greeting.name, extra={"attempt": job.attempt})
    return f"Hello, {greeting.name}!"
