"""A receiver of webhooks as an integrator writes it: answers, and appends what came to a file.

`python receiver.py PORT FILE SECONDS`: takes SECONDS for each answer. Knows nothing of Entrepot.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

port, path, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
writing = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        came = {"headers": headers, "body": body.decode(), "at": time.time()}
        with writing, Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(came) + "\n")
        time.sleep(seconds)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """The other side was killed: nothing to say."""


Server(("127.0.0.1", port), Receiver).serve_forever()
