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
    """One file, and how the server behaves; `sent` has the bytes of each answer."""

    content: bytes
    says_length: bool = True
    says_length_of: int | None = None
    breaks_after: int | None = None
    breaks_times: int = 1000
    status: int = 200
    reason: str | None = None
    drips_every_s: float | None = None
    drop_bytes: int = 1
    sent: list[int] = field(default_factory=list)
    closed: bool = False
    http: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        answers = type("Answers", (_Answers,), {"file": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), answers)
        self.http.daemon_threads = True  # Nobody waits for one that drips.
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
        file, body = self.file, self.file.content
        self.send_response(file.status, file.reason)
        if file.says_length:
            self.send_header("Content-Length", str(file.says_length_of or len(body)))
        if len(file.sent) < file.breaks_times:
            body = body[: file.breaks_after]
        file.sent.append(len(body))
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):  # The other side may have heard enough.
            if file.drips_every_s is None:
                self.wfile.write(body)
                return
            for start in range(0, len(body), file.drop_bytes):
                if file.closed:
                    return
                self.wfile.write(body[start : start + file.drop_bytes])
                time.sleep(file.drips_every_s)

    def log_message(self, *_: object) -> None:
        pass
