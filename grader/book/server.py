"""A small server of the built site, for this machine alone, with the learner's state beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from grader.book.live import Live
from grader.catalogue import Language

HOST: Final = "127.0.0.1"
EVENTS: Final = "/_happyllm/events"
MARK: Final = f'<meta name="happyllm-live" content="{EVENTS}">'.encode()
HEARTBEAT: Final = 10.0  # seconds after which a page that is gone is noticed


class Server(ThreadingHTTPServer):
    """Serves one site; with a `live`, its pages learn how the learner stands."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, site: Path, port: int, live: Live | None = None) -> None:
        """Take the port.

        Raises:
            OSError: it is taken.
        """
        self.live = live
        super().__init__((HOST, port), partial(_Handler, directory=str(site)))

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that is closed while it loads is no error."""


class _Handler(SimpleHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def _answer(self, send_file: Callable[[], None]) -> None:
        # A page elsewhere whose name leads here would else read what the learner's card says.
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in (HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN, "Ask for 127.0.0.1")
        elif urlsplit(self.path).path != EVENTS:
            send_file()
        elif self.server.live is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.command == "GET":
            self._events(self.server.live)

    def send_head(self) -> Any:
        """A file; into a page goes the mark that makes its script ask for states."""
        path = Path(self.translate_path(self.path))
        page = path / "index.html" if path.is_dir() else path
        if page.suffix != ".html" or not page.is_file() or self.server.live is None:
            return super().send_head()
        if path.is_dir() and not urlsplit(self.path).path.endswith("/"):
            return super().send_head()  # which leads to the address with the /
        body = page.read_bytes().replace(b"</head>", MARK + b"</head>", 1)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return BytesIO(body)

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the learner's."""

    def _events(self, live: Live) -> None:
        """Send the states whenever they change, until the page is closed."""
        asked = parse_qs(urlsplit(self.path).query).get("lang", ["en"])[0]
        language: Language = "zh" if asked == "zh" else "en"
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        seen = -1
        while not live.stopped:
            version, states = live.wait(seen, HEARTBEAT)
            if version == seen:
                text = ": still here\n\n"
            else:
                told = {name: state.in_(language) for name, state in states.items()}
                text = f"data: {json.dumps(told, ensure_ascii=False)}\n\n"
            seen = version
            try:
                self.wfile.write(text.encode())
                self.wfile.flush()
            except OSError:  # the page is closed
                return
