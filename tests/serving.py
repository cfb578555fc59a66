# SPDX-License-Identifier: MPL-2.0
"""A server on 127.0.0.1 for archives, as well or badly behaved as a test wants it."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves a body at any path but /gone; /broken and /unsized end in the middle.

    Attributes
    ----------
    body : bytes
    validators : dict
        Headers that tell one version of the body from another; without one it sends no parts.
    parts : bool
        Whether it sends parts at all.
    content_range : str
        What it says of a part.
    drops : list of int
        Of each answer in turn: after how many bytes the connection breaks.
    asked : list of str
        The Range header of each request so far.
    before, after : function
        Called before and after each body is sent.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = b""
        self.validators: dict[str, str] = {}
        self.parts = True
        self.content_range = "bytes {start}-{end}/{size}"
        self.drops: list[int] = []
        self.asked: list[str] = []
        self.before: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)
        where = self.path.split("/")[1]
        size = len(self.server.body)
        start = self.start(asked)
        if where == "gone":
            self.send_error(404)
            return
        if start is not None and start >= size:
            self.send_error(416)
            return
        self.send_response(200 if start is None else 206)
        if start is not None:
            form = self.server.content_range
            self.send_header("Content-Range", form.format(start=start, end=size - 1, size=size))
        for name, value in self.server.validators.items():
            self.send_header(name, value)
        body = self.server.body[start or 0 :]
        if where != "unsized":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if where in ("broken", "unsized"):
            body = body[: len(body) // 2]
        if self.server.drops:
            body = body[: self.server.drops.pop(0)]
        self.server.before()
        self.wfile.write(body)
        self.server.after()

    def start(self, asked: str) -> int | None:
        """Where the part begins that is asked for and can be sent."""
        part = re.fullmatch(r"bytes=(\d+)-", asked)
        fits = self.headers.get("If-Range") in self.server.validators.values()
        return int(part[1]) if part and fits and self.server.parts else None

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
