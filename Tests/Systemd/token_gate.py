"""A server that lets through to another one who shows the token of the day."""

import http.client
import http.server
import threading
import urllib.parse


class TokenGate:
    def __init__(self, uri, token):
        self.token = token
        self.refused = 0
        gate, target = self, urllib.parse.urlparse(uri)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    body = b"".join(iter(self.chunk, b""))
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Authorization") != f"Bearer {gate.token}":
                    gate.refused += 1
                    return self.answer(401, {}, b'{"error_code": "UNAUTHENTICATED", "message": "who are you?"}')
                connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "authorization", "transfer-encoding")}
                connection.request(self.command, self.path, body or None, headers | {"Content-Length": str(len(body))})
                answer = connection.getresponse()
                data = answer.read()
                self.answer(answer.status, {"Content-Type": answer.headers.get("Content-Type", "application/json")}, data)
                connection.close()

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = pass_on

            def chunk(self):
                size = int(self.rfile.readline().split(b";")[0], 16)
                data = self.rfile.read(size)
                self.rfile.readline()
                return data

            def answer(self, status, headers, data):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:  # who asked was killed
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
