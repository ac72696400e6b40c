"""The emulator's doors: HTTP/1.1 over TLS, the CONNECT proxy that leads to it, and plain HTTP for the control port."""

import http.server
import json
import os
import pathlib
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import urllib.parse

import azureml_errors as errors

CHUNK = 1 << 18
DRAINED = 64 << 20
SIGNATURE = re.compile(r"(?<=[?&])sig=[^&]*&?")
OWN_HOSTS = re.compile(
    r"(?:[a-z0-9-]+\.)+api\.azureml\.ms|[a-z0-9-]+\.blob\.core\.windows\.net|login\.microsoftonline\.com|management\.azure\.com"
)


class Body:
    """A request's body, read in pieces: by its length, or in chunks."""

    def __init__(self, stream, headers):
        self.stream, self.count = stream, 0
        self.chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        length = headers.get("Content-Length")
        self.length = None if self.chunked else int(length or 0)
        self.known = self.chunked or length is not None
        # How much is left: of the body, or of the chunk; None before the first chunk.
        self.left = None if self.chunked else self.length
        self.done = self.left == 0

    def read(self, size=CHUNK):
        if self.chunked and not self.left and not self.done:
            self.next_chunk()
        if self.done:
            return b""
        data = self.stream.read(min(size, self.left))
        if not data:
            raise ConnectionError("the body is cut short")
        self.left -= len(data)
        self.count += len(data)
        self.done = not self.chunked and self.left == 0
        return data

    def next_chunk(self):
        if self.left == 0:
            self.stream.readline(8)  # the end of the chunk before
        line = self.stream.readline(1024)
        if not line:
            raise ConnectionError("the body is cut short")
        self.left = int(line.split(b";")[0], 16)
        if self.left == 0:
            while self.stream.readline(65536).strip():
                pass
            self.done = True

    def all(self):
        return b"".join(iter(self.read, b""))

    def drain(self, most=DRAINED):
        """Whether nothing is left of it."""
        read = 0
        while not self.done and read < most:
            read += len(self.read())
        return self.done


class Request:
    def __init__(self, handler):
        self.method, self.headers = handler.command, handler.headers
        self.target = handler.path
        path, _, query = handler.path.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = {}
        for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
            self.query.setdefault(name, []).append(value)
        self.host_header = self.headers.get("Host", "").lower()
        self.host = self.host_header.rsplit(":", 1)[0]
        self.body = Body(handler.rfile, self.headers)
        self.document = None

    def argument(self, name, default=None):
        return self.query.get(name, [default])[0]

    @property
    def logged_path(self):
        return SIGNATURE.sub("", self.target).rstrip("?&")

    def json(self):
        """The body as a JSON object; None when it is not one."""
        if self.document is None:
            try:
                self.document = json.loads(self.body.all() or b"{}")
            except ValueError:
                return None
        return self.document if isinstance(self.document, dict) else None


class Handler(http.server.BaseHTTPRequestHandler):
    """Leads every request to its server's `answer`, which gives an Answer, or None to close without one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Head and body leave together.
    wbufsize = 1 << 16
    timeout = 300

    def handle_expect_100(self):
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()
        return True

    def serve(self):
        try:
            request = Request(self)
        except ValueError:
            return self.send_error(400)
        try:
            answer = self.server.answer(request)
            if answer is None:
                self.close_connection = True
                return
            if not request.body.drain():
                self.close_connection = True
            self.send(answer)
        except (OSError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def send(self, answer):
        reason = answer.reason or self.responses.get(answer.status, ("Unknown",))[0]
        lines = [f"HTTP/1.1 {answer.status} {reason}", f"Date: {self.date_time_string()}", f"Content-Length: {answer.length}"]
        if answer.kind:
            lines.append(f"Content-Type: {answer.kind}")
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if self.close_connection:
            lines.append("Connection: close")
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"))
        if answer.file:
            file, offset, left = answer.file
            with file:
                file.seek(offset)
                while self.command != "HEAD" and left and (data := file.read(min(CHUNK, left))):
                    self.wfile.write(data)
                    left -= len(data)
                # What was promised and is not there must not look like a whole answer.
                self.close_connection |= self.command != "HEAD" and left > 0
        elif self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, port, answer):
        super().__init__(("127.0.0.1", port), Handler)
        self.answer = answer

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, *_):
        # A refused hand-shake or a connection that was reset; all else is caught where the request is answered.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(*_)


class TLSServer(Server):
    def __init__(self, port, answer, context):
        super().__init__(port, answer)
        self.context = context

    def finish_request(self, request, address):
        """The hand-shake happens in the connection's own thread."""
        secure = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        try:
            Handler(secure, address, self)
        finally:
            try:
                secure.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            secure.close()


class ConnectProxy(Server):
    """What is let through is served by the TLS server's code on this very connection: no byte is copied on the way."""

    def __init__(self, port, tls, hosts=OWN_HOSTS):
        super().__init__(port, None)
        self.tls, self.hosts = tls, hosts

    def finish_request(self, request, address):
        request.settimeout(60)
        head = b""
        # Byte by byte, because what follows the head belongs to the hand-shake.
        while not head.endswith(b"\r\n\r\n") and len(head) < 16384:
            byte = request.recv(1)
            if not byte:
                return
            head += byte
        method, target, *_ = head.split(b"\r\n")[0].decode("latin-1").split(" ") + [""]
        host = target.rpartition(":")[0].lower()
        if method != "CONNECT" or not self.hosts.fullmatch(host):
            request.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.tls.finish_request(request, address)


# Certificates

CA_EXTENSIONS = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
LEAF_EXTENSIONS = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName="
)


def openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)


def certificates(folder, hosts):
    """A throwaway authority and a certificate for the hosts, made at the first start. Answers the authority's file."""
    folder = pathlib.Path(folder)
    authority = folder / "ca.pem"
    if not authority.exists():
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"DNS:{host}" for host in hosts] + ["DNS:localhost", "IP:127.0.0.1"]
        (folder / "ca.ext").write_text(CA_EXTENSIONS)
        (folder / "leaf.ext").write_text(LEAF_EXTENSIONS + ",".join(names) + "\n")
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        days = ["-days", "365"]
        openssl(folder, "req", "-new", *kind, "-subj", "/CN=Azure ML emulator", "-keyout", "ca.key", "-out", "ca.csr")
        openssl(folder, "x509", "-req", "-in", "ca.csr", "-signkey", "ca.key", *days, "-extfile", "ca.ext", "-out", "ca.new")
        openssl(folder, "req", "-new", *kind, "-subj", f"/CN={hosts[0][:64]}", "-keyout", "leaf.key", "-out", "leaf.csr")
        openssl(
            folder, "x509", "-req", "-in", "leaf.csr", "-CA", "ca.new", "-CAkey", "ca.key", "-CAcreateserial", *days,
            "-extfile", "leaf.ext", "-out", "leaf.pem",
        )  # fmt: skip
        os.replace(folder / "ca.new", authority)
    return authority


def tls_context(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pathlib.Path(folder) / "leaf.pem", pathlib.Path(folder) / "leaf.key")
    context.set_alpn_protocols(["http/1.1"])
    return context


def refused(failure_or_text):
    """A plain error of the control port."""
    return errors.as_json({"error": str(failure_or_text)}, 400)
