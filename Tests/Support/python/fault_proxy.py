"""A reverse proxy that breaks things: what lies between a client and an MLflow server on a bad day.

    fault_proxy.py TARGET_URL [--port N] [--seed N] [--delay P] [--status P] [--cut P] [--drop-answer P]
                   [--only-writes] [--match REGEX] [--limit N] [--off] [--until-eof]

Each request meets one fault at most, with the given probabilities (0 to 1, together at most 1):

    --delay        it waits 0.05 to 2 s before it goes on
    --status       it is answered 429 (with or without Retry-After: 1) or 503, and the server never sees it
    --cut          the connection is cut: before anything is forwarded, amid the request's body, or amid the answer's
    --drop-answer  the server does it and answers, and the answer is thrown away with the connection

--only-writes spares what only reads, --match all whose path does not match. --limit ends the faults after so many.
Prints one line of JSON ({"uri", "port", "pid"}) when it listens, and serves until SIGTERM, SIGINT or, with --until-eof,
until its standard input closes. The n-th request meets the same fate for the same seed and options.

    GET  /__faults              counts, as JSON
    POST /__faults/off, /on     no more faults, faults again (--off starts without)
"""

import argparse
import asyncio
import collections
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time
import urllib.parse

QUICKACK = getattr(socket, "TCP_QUICKACK", None)
CHUNK = 1 << 16
CUTS = ["cut_before", "cut_request", "cut_answer"]
STATUSES = ["status_429", "status_429_retry_after", "status_503"]
# POST, and still only asks.
READS = re.compile(r"/(search[a-z-]*|get-latest-versions|get-history-bulk[a-z-]*)$")


class Cut(Exception):
    """This connection ends here."""


class Head:
    """The first line and the headers of a request or an answer."""

    def __init__(self, raw):
        first, *lines = raw.decode("latin-1").split("\r\n")
        self.first = first.split(" ", 2)
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]

    def get(self, name, default=None):
        return next((value for key, value in self.headers if key.lower() == name), default)

    def put(self, name, value):
        self.headers = [(k, v) for k, v in self.headers if k.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def encoded(self):
        lines = [" ".join(self.first), *(f"{key}: {value}" for key, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @property
    def chunked(self):
        return "chunked" in self.get("transfer-encoding", "").lower()

    @property
    def closes(self):
        return "close" in self.get("connection", "").lower()


async def read_head(reader):
    """None when the other side is done."""
    try:
        return Head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Cut from error
        return None


async def pieces(reader, head, until_end=False):
    """A body as it is on the wire, chunk by chunk."""
    if head.chunked:
        while True:
            line = await reader.readline()
            if not line:
                raise Cut
            size = int(line.split(b";")[0], 16)
            if size == 0:
                yield line
                while (line := await reader.readline()).strip():  # trailers
                    yield line
                yield line
                return
            yield line + await reader.readexactly(size + 2)
    elif head.get("content-length") is not None:
        left = int(head.get("content-length"))
        while left:
            data = await reader.read(min(left, CHUNK))
            if not data:
                raise Cut
            left -= len(data)
            yield data
    elif until_end:
        while data := await reader.read(CHUNK):
            yield data


async def pump(reader, writer, head, until_end=False):
    async for data in pieces(reader, head, until_end):
        writer.write(data)
        await writer.drain()


async def pump_half(reader, writer, head):
    """As `pump`, and stops in the middle; of a chunked body, amid the first chunk."""
    half = int(head.get("content-length") or 0) // 2
    async for data in pieces(reader, head):
        if head.chunked or len(data) >= half:
            writer.write(data[: len(data) // 2 if head.chunked else half])
            break
        half -= len(data)
        writer.write(data)
    await writer.drain()


async def swallow(reader, head, until_end=False):
    async for _ in pieces(reader, head, until_end):
        pass


class Proxy:
    def __init__(self, options):
        target = urllib.parse.urlparse(options.target)
        if target.scheme != "http" or not target.hostname:
            raise SystemExit("the target must be an http:// URL")
        self.host, self.port = target.hostname, target.port or 80
        self.host_header, self.base = target.netloc.rsplit("@", 1)[-1], target.path.rstrip("/")
        self.options, self.random = options, random.Random(options.seed)
        self.on, self.left = not options.off, options.limit
        self.requests, self.spared, self.faults = 0, 0, collections.Counter()
        self.lost = 0
        self.match = re.compile(options.match) if options.match else None
        self.connections = set()

    # Deciding

    def fault(self, method, path):
        """What this request meets. The numbers are drawn in any case, so that no request shifts another's fate."""
        number, detail, share = self.random.random(), self.random.randrange(1 << 16), self.random.random()
        self.requests += 1
        reads = method in ("GET", "HEAD", "OPTIONS") or bool(READS.search(path))
        if not self.on or self.left == 0 or self.options.only_writes and reads or self.match and not self.match.search(path):
            self.spared += 1
            return None, 0
        o = self.options
        kinds = [("delay", o.delay), (STATUSES[detail % 3], o.status), (CUTS[detail % 3], o.cut), ("drop_answer", o.drop_answer)]
        for kind, probability in kinds:
            if number < probability:
                self.left -= self.left > 0
                return kind, share
            number -= probability
        return None, 0

    # Serving

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.connections.add(task)
        server = None
        try:
            while head := await read_head(reader):
                path = head.first[1]
                if path.startswith("/__faults"):
                    await self.control(reader, writer, head)
                    continue
                server, keep = await self.request(reader, writer, head, server)
                if not keep:
                    break
        except (Cut, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            # Some of it tears the connection down, some closes it as if nothing had happened.
            if self.requests % 2:
                writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.connections.discard(task)
            for end in (writer, server and server[1]):
                if end:
                    end.close()

    async def request(self, reader, writer, head, server):
        """One request and its answer. Answers the connection to the server, and whether both are to be kept."""
        method, path = head.first[0], head.first[1].split("?")[0]
        kind, share = self.fault(method, path)
        has_body = head.chunked or int(head.get("content-length") or 0) > 0
        if kind == "cut_request" and not has_body:
            kind = "cut_before"
        if kind:
            self.faults[kind] += 1
        if kind == "cut_before":
            raise Cut
        if head.get("expect", "").lower() == "100-continue":
            head.put("Expect", None)
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if kind and kind.startswith("status"):
            await swallow(reader, head)
            await self.refuse(writer, kind, method)
            return server, not head.closes
        if kind == "delay":
            await asyncio.sleep(0.05 + 1.95 * share)

        server = await self.connect(server)
        from_server, to_server, _ = server
        head.first[1] = self.base + head.first[1]
        head.put("Host", self.host_header)
        closes = head.closes
        head.put("Connection", None)
        to_server.write(head.encoded())
        if kind == "cut_request":
            try:
                await pump_half(reader, to_server, head)
            finally:
                to_server.close()
            raise Cut
        # A server may answer before it has read all, so both directions run at once.
        sending = asyncio.ensure_future(pump(reader, to_server, head))
        # A client that goes away amid its body must not leave us waiting for an answer.
        sending.add_done_callback(lambda done: done.cancelled() or done.exception() and to_server.close())
        try:
            keep = await self.answer(from_server, to_server, writer, method, kind)
            if not sending.done():
                await asyncio.wait([sending], timeout=1)
            if not sending.done() or sending.exception():
                keep = False
        except BaseException:
            to_server.close()
            raise
        finally:
            sending.cancel()
        if not keep:
            to_server.close()
        return (from_server, to_server, time.monotonic()), keep and not closes

    async def answer(self, from_server, to_server, writer, method, kind):
        while True:
            acknowledge(to_server)
            head = await read_head(from_server)
            if head is None:
                self.lost += 1
                raise Cut
            if not head.first[1].startswith("1"):
                break
        status = head.first[1]
        empty = method == "HEAD" or status in ("204", "304")
        framed = head.chunked or head.get("content-length") is not None or empty
        keep = framed and not head.closes
        acknowledge(to_server)
        if kind == "drop_answer":
            if not empty:
                await swallow(from_server, head, not framed)
            raise Cut
        writer.write(head.encoded())
        if kind == "cut_answer":
            if not empty:
                await pump_half(from_server, writer, head)
            raise Cut
        if not empty:
            await pump(from_server, writer, head, not framed)
        await writer.drain()
        return keep

    async def connect(self, server):
        """The kept connection, or a new one: the server closes what was idle for 5 s."""
        if server and not server[1].is_closing() and not server[0].at_eof() and time.monotonic() - server[2] < 3:
            return server
        if server:
            server[1].close()
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        return reader, writer, time.monotonic()

    async def refuse(self, writer, kind, method):
        status = "429 Too Many Requests" if "429" in kind else "503 Service Unavailable"
        extra = "Retry-After: 1\r\n" if kind.endswith("retry_after") else ""
        await respond(writer, status, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": f"a fault: {kind}"}, extra, method)

    async def control(self, reader, writer, head):
        await swallow(reader, head)
        method, path = head.first[:2]
        if method == "POST" and path in ("/__faults/on", "/__faults/off"):
            self.on = path.endswith("/on")
        elif not (method == "GET" and path == "/__faults"):
            return await respond(writer, "404 Not Found", {"error_code": "NOT_FOUND", "message": path})
        await respond(writer, "200 OK", {
            "on": self.on, "requests": self.requests, "spared": self.spared, "faults": dict(sorted(self.faults.items())),
            "total": self.faults.total(), "lost_by_server": self.lost,
        })  # fmt: skip


def acknowledge(writer):
    """As quickack.py says; without it every answer would wait for 40 ms."""
    if QUICKACK is not None and not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)


async def respond(writer, status, document, extra="", method="GET"):
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    writer.write(head.encode() + (b"" if method == "HEAD" else body))
    await writer.drain()


async def run(options):
    proxy, loop, ended = Proxy(options), asyncio.get_running_loop(), asyncio.Event()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", options.port, limit=1 << 20, backlog=256)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if options.until_eof:

        def wait():
            while sys.stdin.buffer.read1(4096):
                pass
            loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=wait, daemon=True).start()
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"uri": f"http://127.0.0.1:{port}", "port": port, "pid": os.getpid()}), flush=True)
    await ended.wait()
    server.close()
    for task in list(proxy.connections):
        task.cancel()


def probability(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("a probability is 0 to 1")
    return value


def main():
    parser = argparse.ArgumentParser(description="Stand between a client and an MLflow server, and break things.")
    parser.add_argument("target", metavar="TARGET_URL")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    for name in ("delay", "status", "cut", "drop-answer"):
        parser.add_argument(f"--{name}", type=probability, default=0, metavar="P")
    parser.add_argument("--only-writes", action="store_true", help="spare what only reads")
    parser.add_argument("--match", metavar="REGEX", help="spare all whose path does not match")
    parser.add_argument("--limit", type=int, default=-1, metavar="N", help="no more faults after so many")
    parser.add_argument("--off", action="store_true", help="start without faults, until POST /__faults/on")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    options = parser.parse_args()
    if options.delay + options.status + options.cut + options.drop_answer > 1 + 1e-9:
        parser.error("the probabilities are more than 1 together")
    asyncio.run(run(options))
    # A thread may still wait for standard input.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
