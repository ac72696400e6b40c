"""A TLS server for the tests of the HTTP client. Ends when its standard input does, so that it outlives no test.

tls_server.py FOLDER [--clients] [--tls12] [--h2 STREAMS]

Makes server.pem and client.pem (with its key) in FOLDER, which becomes a folder of hashed certificates, and prints its
port on 127.0.0.1. Each answer is one line of JSON. With --clients it demands the certificate in client.pem. With --h2 it
speaks HTTP/2 alone, and answers on a connection only once that many requests wait there.
"""
import argparse
import http.server
import itertools
import json
import os
import socketserver
import ssl
import subprocess
import sys
import threading

FRAME_DATA, FRAME_HEADERS, FRAME_SETTINGS, FRAME_PING = 0, 1, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

options = argparse.ArgumentParser()
options.add_argument("folder")
options.add_argument("--clients", action="store_true")
options.add_argument("--tls12", action="store_true")
options.add_argument("--h2", type=int, default=0)
options = options.parse_args()
request_numbers = itertools.count(1)
connection_numbers = itertools.count(1)


class HTTP1(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        certificate = self.connection.getpeercert() or {}
        names = {name: value for part in certificate.get("subject", ()) for name, value in part}
        answer = {
            "number": next(request_numbers), "client": names.get("commonName"), "headers": sorted(map(str.lower, self.headers.keys())),
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class HTTP2(socketserver.StreamRequestHandler):
    """As little of RFC 9113 as a client needs that only asks."""

    def handle(self):
        connection, waiting = next(connection_numbers), []
        # Whoever does not ask on this connection asks on another one; its answer shows that.
        self.request.settimeout(3)
        if self.rfile.read(len(PREFACE)) != PREFACE:
            return
        self.send(FRAME_SETTINGS, 0, 0)
        while True:
            try:
                head = self.rfile.read(9)
                payload = self.rfile.read(int.from_bytes(head[:3], "big"))
            except TimeoutError:
                return self.answer(waiting, connection)
            if len(head) < 9:
                return
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind in (FRAME_SETTINGS, FRAME_PING) and not flags & ACK:
                self.send(kind, ACK, 0, payload if kind == FRAME_PING else b"")
            elif kind == FRAME_HEADERS:
                waiting.append(stream)
                if len(waiting) == options.h2:
                    self.answer(waiting, connection)

    def answer(self, streams, connection):
        body = json.dumps({"number": next(request_numbers), "connection": connection}).encode()
        while streams:
            stream = streams.pop(0)
            # 0x88 is the static table's ":status: 200".
            self.send(FRAME_HEADERS, END_HEADERS, stream, b"\x88")
            self.send(FRAME_DATA, END_STREAM, stream, body)

    def send(self, kind, flags, stream, payload=b""):
        self.wfile.write(len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        # Refused hand-shakes are what the tests are about.
        pass


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], cwd=options.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


for name, extra in ("server", ["-addext", "subjectAltName=IP:127.0.0.1,DNS:server.invalid"]), ("client", []):
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *kind, "-subj", f"/CN={name}", *extra, "-keyout", f"{name}.key", "-out", f"{name}.pem")
os.chdir(options.folder)
with open("client.pem", "a") as file:
    file.write(open("client.key").read())
openssl("rehash", ".")

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
context.set_alpn_protocols(["h2" if options.h2 else "http/1.1"])
if options.tls12:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
if options.clients:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations("client.pem")
server = Server(("127.0.0.1", 0), HTTP2 if options.h2 else HTTP1)
# The hand-shake happens in the connection's own thread.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
os._exit(0)
