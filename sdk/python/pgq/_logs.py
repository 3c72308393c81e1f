"""The standard library's `logging`, into the job's log."""

from __future__ import annotations

import logging

from . import _host

#: What every record has. Anything else came from `extra`, and is a field of the line.
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JobHandler(logging.Handler):
    """Hands records to the host: message, level, logger, and the fields of `extra`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            if record.exc_info or record.stack_info:
                formatter = self.formatter or logging.Formatter()
                message = "\n".join(filter(None, (message, record.exc_info and formatter.formatException(record.exc_info), record.stack_info)))
            fields = [(name, str(value)) for name, value in vars(record).items() if name not in _OWN]
            if record.name != "root":
                fields.insert(0, ("logger", record.name))
            _host.current().emit(_level(record.levelno), message, fields)
        except Exception:
            self.handleError(record)


def _level(number: int) -> str:
    for least, name in ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (logging.DEBUG, "debug")):
        if number >= least:
            return name
    return "trace"


def install() -> None:
    """Have the root logger write into the job's log, from INFO on. `logging.getLogger().setLevel` changes that."""
    root = logging.getLogger()
    if not any(isinstance(handler, JobHandler) for handler in root.handlers):
        root.addHandler(JobHandler())
        if root.level == logging.WARNING:  # the standard library's default
            root.setLevel(logging.INFO)
