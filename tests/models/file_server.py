"""A web server on this machine that has one file, and as much trouble as a test wants."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Server:
    """One file, and how the server behaves; `sent` has the header and bytes of each answer."""

    content: bytes
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True
    wrong_range: bool = False
    says_length: bool = True
    says_length_of: int | None = None
    breaks_after: int | None = None
    status: int = 200
    reason: str | None = None
    drips_every_s: float | None = None
    sent: list[tuple[int, str | None, int]] = field(default_factory=list)
    closed: bool = False
    http: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        answers = type("Answers", (_Answers,), {"file": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), answers)
        self.thread = Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/models/tiny.zip?version=1"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def close(self) -> None:
        self.closed = True
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class _Answers(BaseHTTPRequestHandler):
    file: Server

    def do_GET(self) -> None:
        file, wanted = self.file, self.headers["Range"]
        versions = [version for version in (file.etag, file.modified) if version]
        same = {self.headers["If-None-Match"], self.headers["If-Modified-Since"]} & {*versions}
        start, status = 0, file.status
        strong = [version for version in versions if not version.startswith("W/")]
        if wanted and file.ranges and self.headers["If-Range"] in strong:
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
        elif same:
            status = 304
        body = b"" if status == 304 else file.content[start:]
        if start and start >= len(file.content):
            status, body = 416, b""
        self.send_response(status, file.reason)
        if file.etag:
            self.send_header("ETag", file.etag)
        if file.modified:
            self.send_header("Last-Modified", file.modified)
        if status == 206:
            first = 0 if file.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(file.content) - 1}/*")
        if file.says_length:
            self.send_header("Content-Length", str(file.says_length_of or len(body)))
        body = body[: file.breaks_after]
        file.sent.append((status, wanted, len(body)))
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):  # The other side may have heard enough.
            if file.drips_every_s is None:
                self.wfile.write(body)
            for byte in body if file.drips_every_s is not None else b"":
                if file.closed:
                    return
                self.wfile.write(bytes([byte]))
                time.sleep(file.drips_every_s)

    def log_message(self, *_: object) -> None:
        pass
