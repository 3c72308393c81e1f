"""`urllib.request.urlopen` over the host's requests: there are no sockets."""

from __future__ import annotations

import email.message
import io
import socket
import urllib.error
import urllib.request
import urllib.response
from typing import Any

from . import http


class _Handler(urllib.request.BaseHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        timeout: Any = getattr(request, "timeout", None)
        if timeout is socket._GLOBAL_DEFAULT_TIMEOUT:  # type: ignore[attr-defined]
            timeout = None
        data = request.data
        body = b"".join(data) if data is not None and not isinstance(data, (bytes, str)) else data  # type: ignore[arg-type]
        try:
            answer = http.request(request.get_method(), request.full_url, headers=dict(request.header_items()), body=body, timeout=timeout)
        except http.Error as error:
            raise urllib.error.URLError(str(error)) from error
        headers = email.message.Message()
        for name, value in answer.header_list:
            headers[name] = value
        response: Any = urllib.response.addinfourl(io.BytesIO(answer.body), headers, request.full_url, answer.status)
        response.msg = response.reason = ""
        return response

    https_open = http_open


def install() -> None:
    """Have `urlopen` send its requests through the host. A status of 400 or more is an `HTTPError`, as always."""
    opener = urllib.request.OpenerDirector()
    for handler in (_Handler, urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler):
        opener.add_handler(handler())
    urllib.request.install_opener(opener)
