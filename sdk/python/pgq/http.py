"""Requests to the origins that the operator granted.

`request` is the short way. `urllib.request.urlopen` works as well, and sends its requests here::

    answer = pgq.http.request("POST", "https://api.example.com/orders", json={"id": 7}, timeout=5)
    answer.raise_for_status()

A header's value may have `{{secret:NAME}}` in it: the host puts the secret in, and the plugin never sees it.
"""

from __future__ import annotations

import json as _json
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Union

from . import _host
from ._payload import encode, encode_json
from ._time import Seconds, millis


class Error(Exception):
    """There is no answer. `kind` is denied, invalid, unreachable, timeout, protocol or too_large."""

    def __init__(self, message: str, *, kind: str = "protocol"):
        super().__init__(message)
        self.kind = kind


class StatusError(Error):
    """The answer's status is 400 or more."""

    def __init__(self, answer: "Response"):
        super().__init__(f"the receiver answered {answer.status}: {answer.text[:256]}", kind="status")
        self.answer = answer


@dataclass
class Response:
    """An answer, with all of its body."""

    status: int
    #: As received: names may come several times.
    header_list: list[tuple[str, str]]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def text(self) -> str:
        """The body as UTF-8, with replacements for what is not."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON."""
        return _json.loads(self.body)

    def header(self, name: str) -> Optional[str]:
        """The first header of this name, whatever its case."""
        return next((value for known, value in self.header_list if known.lower() == name.lower()), None)

    def raise_for_status(self) -> None:
        """Raise `StatusError` if the status is 400 or more."""
        if not self.ok:
            raise StatusError(self)


def request(
    method: str,
    url: str,
    *,
    headers: Optional[Mapping[str, str]] = None,
    body: Union[bytes, str, None] = None,
    json: Any = None,
    timeout: Optional[Seconds] = None,
) -> Response:
    """Send a request, and wait for all of the answer: at most `timeout` seconds for each of the
    connection, the head and every piece of the body; else until the job's own time is over.

    Redirects are not followed.
    """
    given = [(str(name), str(value)) for name, value in (headers or {}).items()]
    data = encode(body, "the body")
    if json is not None:
        data = encode_json(json, "the body")
        if not any(name.lower() == "content-type" for name, _ in given):
            given.append(("content-type", "application/json"))
    return _host.current().http_send(method.upper(), url, given, data, None if timeout is None else millis(timeout))


def get(url: str, **options: Any) -> Response:
    """GET this URL. The options are those of `request`."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """POST to this URL. The options are those of `request`."""
    return request("POST", url, **options)
