"""The storage account of the Azure ML emulator: block blobs behind signed addresses, kept on disk, never whole in memory."""

import base64
import binascii
import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import re
import socket
import ssl
import threading
import time
import urllib.parse
import uuid
from email.utils import formatdate
from xml.etree import ElementTree

import azureml_front as front
from azureml_errors import Answer, storage

CONTAINER = "azureml"
MOST_BYTES = 5000 << 20
MOST_BLOCK_BYTES = 4000 << 20
MOST_BLOCKS = 50_000
MOST_SOURCE_ADDRESS = 2048
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
TIME = "%Y-%m-%dT%H:%M:%SZ"


def check_terms(values, wanted, generation):
    """What a signed address grants, and until when; it is of a generation of addresses, which may have become void."""
    end = datetime.datetime.strptime(values["se"], TIME).replace(tzinfo=datetime.timezone.utc).timestamp()
    if end <= time.time() or int(values["skoid"][-12:], 16) != generation:
        raise storage(
            403, "AuthenticationFailed",
            f"Signature not valid in the specified time frame: Start [{values['st']}] - Expiry [{values['se']}]"
            f" - Current [{datetime.datetime.now(datetime.timezone.utc).strftime(TIME)}]",
        )  # fmt: skip
    if not set(wanted) & set(values["sp"]):
        raise storage(403, "AuthorizationPermissionMismatch")


class Blobs:
    def __init__(self, emulator):
        self.emulator, self.store, self.faults = emulator, emulator.store, emulator.faults
        self.host, self.seconds = emulator.blob_host, emulator.options.sas_seconds
        self.key = self.store.secret("sas key").encode()
        self.folder = emulator.folder / "storage"
        self.temporary = self.folder / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        for left in self.temporary.iterdir():
            left.unlink()
        self.lock = threading.Lock()
        self.locks = {}

    # Signed addresses

    def signature(self, name, values):
        text = "\n".join([name, *(values.get(key, "") for key in ("sv", "sr", "sp", "st", "se", "skoid"))])
        return base64.b64encode(hmac.digest(self.key, text.encode(), hashlib.sha256)).decode()

    def signed(self, name, permissions, request):
        """An address that gives these permissions on one blob. Local clients get one on the host they came by."""
        moment = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        start, end = moment - datetime.timedelta(minutes=10), moment + datetime.timedelta(seconds=self.seconds)
        # The key's owner says which generation of addresses this one belongs to.
        values = {
            "sv": "2019-07-07", "sr": "b", "skoid": f"5a500000-0000-4000-8000-{self.store.generation('sas'):012x}",
            "sktid": self.emulator.identity.tenant, "skt": start.strftime(TIME), "ske": end.strftime(TIME), "sks": "b",
            "skv": "2019-07-07", "st": start.strftime(TIME), "se": end.strftime(TIME), "sp": permissions,
        }  # fmt: skip
        values["sig"] = self.signature(name, values)
        host = request.host_header if self.emulator.is_local(request) else self.host
        return f"https://{host}/{CONTAINER}/{urllib.parse.quote(name)}?{urllib.parse.urlencode(values)}"

    def check(self, request, name, wanted):
        if "Authorization" in request.headers:
            raise storage(403, "AuthenticationFailed", "A request with a signature in its address must not bear an Authorization header.")
        values = {key: value[0] for key, value in request.query.items()}
        if not hmac.compare_digest(self.signature(name, values).encode(), values.get("sig", "").encode()):
            raise storage(403, "AuthenticationFailed", "Signature did not match.")
        check_terms(values, wanted, self.store.generation("sas"))

    # Requests

    def answer(self, request):
        container, _, name = request.path.lstrip("/").partition("/")
        if container != CONTAINER or not name or not self.emulator.is_local(request) and request.host != self.host:
            raise storage(400, "InvalidUri")
        comp = request.argument("comp")
        self.check(request, name, "r" if request.method in ("GET", "HEAD") else "wc" if request.method == "PUT" else "d")
        if request.method in ("GET", "HEAD") and comp is None:
            return self.get(request, name)
        if request.method == "PUT" and comp in (None, "block", "blocklist"):
            return {None: self.put, "block": self.put_block, "blocklist": self.put_block_list}[comp](request, name)
        raise storage(405, "UnsupportedHttpVerb")

    def get(self, request, name):
        # The file is opened under the lock, so that it is the one that the record is about.
        with self.locked(name):
            record = self.record(name)
            if not record:
                raise storage(404, "BlobNotFound")
            size, md5, kind, etag, modified = record
            file = open(self.file(name), "rb")
        try:
            if request.headers.get("If-Match") not in (None, "*", etag):
                raise storage(412, "ConditionNotMet")
            headers = {
                "ETag": etag, "Last-Modified": formatdate(modified, usegmt=True), "Accept-Ranges": "bytes",
                "x-ms-blob-type": "BlockBlob", "x-ms-creation-time": formatdate(modified, usegmt=True),
                "x-ms-lease-status": "unlocked", "x-ms-lease-state": "available", "x-ms-server-encrypted": "true",
                **self.common(),
            }  # fmt: skip
            wanted = RANGE.fullmatch((request.headers.get("x-ms-range") or request.headers.get("Range") or "").strip())
            if not wanted or request.method == "HEAD":
                if md5:
                    headers["Content-MD5"] = md5
                return Answer(200, kind=kind, headers=headers, file=(file, 0, size))
            first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
            if first >= size or first > last:
                raise storage(416, "InvalidRange", headers={"Content-Range": f"bytes */{size}"})
            if md5:
                headers["x-ms-blob-content-md5"] = md5
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            return Answer(206, kind=kind, headers=headers, file=(file, first, last - first + 1))
        except BaseException:
            file.close()
            raise

    def put(self, request, name):
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise storage(400, "InvalidHeaderValue" if "x-ms-blob-type" in request.headers else "MissingRequiredHeader")
        self.check_conditions(request, name)
        path, size, md5 = self.received(request, MOST_BYTES)
        with self.finished(path):
            with self.locked(name):
                self.check_conditions(request, name)
                etag = self.keep(request, name, path, size, request.headers.get("x-ms-blob-content-md5") or md5)
        return Answer(201, headers={"Content-MD5": md5, **self.written(name, etag)})

    def put_block(self, request, name):
        block = request.argument("blockid", "")
        try:
            raw = base64.b64decode(block, validate=True)
        except binascii.Error:
            raw = b""
        if not 0 < len(raw) <= 64:
            raise storage(400, "InvalidQueryParameterValue")
        self.check_block_id(name, block)
        path, size, md5 = self.received(request, MOST_BLOCK_BYTES)
        with self.finished(path):
            target = self.block_file(name, block)
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.locked(name):
                self.check_block_id(name, block)
                # A commit of the same blob may just have taken the folder away.
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                self.store.change("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", name, block, size)
        return Answer(201, headers={"Content-MD5": md5, "x-ms-request-server-encrypted": "true", **self.common()})

    def check_block_id(self, name, block):
        known = self.store.row("SELECT id FROM blocks WHERE name = ? LIMIT 1", name)
        if known and len(known[0]) != len(block):
            raise storage(400, "InvalidBlobOrBlock")

    def put_block_list(self, request, name):
        body = request.body.all()
        self.check_md5(request, hashlib.md5(body).digest())
        try:
            listed = [(entry.tag, (entry.text or "").strip()) for entry in ElementTree.fromstring(body)]
        except ElementTree.ParseError:
            raise storage(400, "InvalidXmlDocument")
        with self.locked(name):
            self.check_conditions(request, name)
            sizes = dict(self.store.rows("SELECT id, size FROM blocks WHERE name = ?", name))
            # Blocks of a committed blob are not told apart any more, so it cannot be changed in part.
            if len(listed) > MOST_BLOCKS or any(kind == "Committed" or block not in sizes for kind, block in listed):
                raise storage(400, "InvalidBlockList")
            files = [self.block_file(name, block) for _, block in listed]
            path = self.new_file()
            with self.finished(path):
                once = len(set(files)) == len(files)
                if files and once:
                    os.replace(files.pop(0), path)
                with open(path, "ab") as output:
                    for file in files:
                        append(output, file)
                        if once:
                            file.unlink()
                size = sum(sizes[block] for _, block in listed)
                etag = self.keep(request, name, path, size, request.headers.get("x-ms-blob-content-md5"))
            self.drop_blocks(name)
        return Answer(201, headers=self.written(name, etag))

    # Bodies

    def received(self, request, most):
        """The body, or what x-ms-copy-source leads to, in a temporary file: (path, size, MD5)."""
        source = request.headers.get("x-ms-copy-source")
        if source is not None:
            return self.copied(request, source, most)
        if not request.body.known:
            raise storage(411, "MissingContentLengthHeader")
        if (request.body.length or 0) > most:
            raise storage(413, "RequestBodyTooLarge")
        path, digest, size = self.new_file(), hashlib.md5(), 0
        try:
            with open(path, "wb") as file:
                while data := request.body.read():
                    digest.update(data)
                    file.write(data)
                    size += len(data)
                    if size > most:
                        raise storage(413, "RequestBodyTooLarge")
            self.check_md5(request, digest.digest())
        except BaseException:
            path.unlink()
            raise
        return path, size, base64.b64encode(digest.digest()).decode()

    @staticmethod
    def check_md5(request, digest, header="Content-MD5"):
        given = request.headers.get(header)
        if given and given.strip() != base64.b64encode(digest).decode():
            raise storage(400, "Md5Mismatch")

    def copied(self, request, source, most):
        if refused := self.faults.get("copy_refused"):
            raise storage(*(refused if isinstance(refused, list) else (403, "CannotVerifyCopySource")))
        wanted = request.headers.get("x-ms-source-range")
        bounds = RANGE.fullmatch(wanted.strip()) if wanted else None
        if len(source) > MOST_SOURCE_ADDRESS or request.body.length or wanted and not bounds:
            raise storage(400, "InvalidHeaderValue")
        path, digest, size = self.new_file(), hashlib.md5(), 0
        try:
            connection, target = self.connected(source)
            try:
                condition = request.headers.get("x-ms-source-if-match")
                headers = ({"Range": wanted} if wanted else {}) | ({"If-Match": condition} if condition else {})
                connection.request("GET", target, headers=headers)
                answer = connection.getresponse()
                if answer.status in (412, 416):
                    raise storage(answer.status, "SourceConditionNotMet" if answer.status == 412 else "InvalidRange")
                if answer.status not in (200, 206):
                    # As told by the service: it passes on what kept it from reading.
                    raise storage(404 if answer.status == 404 else 403 if answer.status < 500 else 500, "CannotVerifyCopySource")
                # A source that knows no ranges answers the whole.
                skip = int(bounds[1]) if bounds and answer.status == 200 else 0
                count = int(bounds[2]) - int(bounds[1]) + 1 if bounds and bounds[2] else most + 1
                with open(path, "wb") as file:
                    while size < count and (data := answer.read(front.CHUNK)):
                        data, skip = data[skip:][: count - size], max(0, skip - len(data))
                        digest.update(data)
                        file.write(data)
                        size += len(data)
                if size > most:
                    raise storage(413, "RequestBodyTooLarge")
            finally:
                connection.close()
            self.check_md5(request, digest.digest(), "x-ms-source-content-md5")
        except (OSError, http.client.HTTPException):
            path.unlink()
            raise storage(403, "CannotVerifyCopySource")
        except BaseException:
            path.unlink()
            raise
        return path, size, base64.b64encode(digest.digest()).decode()

    def connected(self, source):
        """A connection to this machine or to the emulator itself; nothing else is ever asked."""
        parts = urllib.parse.urlsplit(source)
        host, target = (parts.hostname or "").lower(), urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if host in ("127.0.0.1", "localhost"):
            if parts.scheme == "http":
                return http.client.HTTPConnection(host, parts.port or 80, timeout=60), target
            unchecked = ssl._create_unverified_context()
            return http.client.HTTPSConnection(host, parts.port or 443, timeout=60, context=unchecked), target
        if parts.scheme != "https" or not front.OWN_HOSTS.fullmatch(host):
            raise storage(403, "CannotVerifyCopySource")
        context = ssl.create_default_context(cafile=self.emulator.ca_file)
        connection = http.client.HTTPSConnection(host, 443, timeout=60, context=context)
        port = self.emulator.tls.port
        connection._create_connection = lambda address, *more: socket.create_connection(("127.0.0.1", port), *more)
        return connection, target

    # What is kept

    def record(self, name):
        return self.store.row("SELECT size, md5, type, etag, modified FROM blobs WHERE name = ?", name)

    def check_conditions(self, request, name):
        none_match, match = request.headers.get("If-None-Match"), request.headers.get("If-Match")
        if none_match or match:
            record = self.record(name)
            if none_match and record and none_match.strip() in ("*", record[3]):
                raise storage(409, "BlobAlreadyExists")
            if match and (not record or match.strip() not in ("*", record[3])):
                raise storage(412, "ConditionNotMet")

    def keep(self, request, name, path, size, md5):
        """Under the blob's lock: what was received becomes the blob."""
        etag, target = f'"0x{uuid.uuid4().hex[:15].upper()}"', self.file(name)
        kind = request.headers.get("x-ms-blob-content-type") or request.headers.get("Content-Type") or "application/octet-stream"
        if request.argument("comp") == "blocklist":
            kind = request.headers.get("x-ms-blob-content-type") or "application/octet-stream"
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)
        self.store.change("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?)", name, size, md5, kind, etag, time.time())
        return etag

    def delete(self, name):
        with self.locked(name):
            self.store.change("DELETE FROM blobs WHERE name = ?", name)
            self.file(name).unlink(missing_ok=True)
            self.drop_blocks(name)

    def drop_blocks(self, name):
        for (block,) in self.store.rows("SELECT id FROM blocks WHERE name = ?", name):
            self.block_file(name, block).unlink(missing_ok=True)
        self.store.change("DELETE FROM blocks WHERE name = ?", name)
        try:
            self.block_file(name, "").parent.rmdir()
        except OSError:
            pass

    def written(self, name, etag):
        modified = self.record(name)[4]
        return {
            "ETag": etag, "Last-Modified": formatdate(modified, usegmt=True), "x-ms-request-server-encrypted": "true", **self.common(),
        }  # fmt: skip

    @staticmethod
    def common():
        return {"x-ms-request-id": str(uuid.uuid4()), "x-ms-version": "2025-11-05"}

    # Files: artifact paths may be longer than file names, so files are named by hashes.

    def file(self, name):
        digest = hashlib.sha256(name.encode()).hexdigest()
        return self.folder / digest[:2] / digest

    def block_file(self, name, block):
        return self.folder / "blocks" / hashlib.sha256(name.encode()).hexdigest() / (block.encode().hex() or "none")

    def new_file(self):
        path = self.temporary / uuid.uuid4().hex
        path.touch()
        return path

    def finished(self, path):
        return Leftover(path)

    def locked(self, name):
        with self.lock:
            if len(self.locks) > 10_000:
                self.locks = {name: lock for name, lock in self.locks.items() if lock.locked()}
            return self.locks.setdefault(name, threading.Lock())


class Leftover:
    """Takes a temporary file away that nothing became of."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)


def append(output, path):
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            output.write(data)
