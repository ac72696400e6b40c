"""The storage account of a workspace, plain HTTP on a port of its own: block blobs, and files of ADLS, behind signed addresses.

Blobs are kept by the code of the Azure ML emulator; here are other addresses and the ADLS way of writing. An address is good
for one file, or (sr=d) for a directory and what is below it. Credentials name one header that has to come with every request.
"""

import base64
import datetime
import hashlib
import hmac
import os
import urllib.parse
import uuid
from xml.sax.saxutils import escape

from azureml_blobs import TIME, Blobs, append, check_terms
from azureml_errors import Answer, as_json, storage

CONTAINER = "jobs"
MOST_APPEND = 4000 << 20
SIGNED = ("sv", "sr", "sp", "st", "se", "skoid", "saoid", "sdd")
# The official client drops what it does not know for an operation; this one it passes everywhere.
HEADER = "x-ms-client-request-id"


class Storage(Blobs):
    container = CONTAINER

    # Signed addresses

    def signature(self, name, values):
        text = "\n".join([name, *(values.get(key, "") for key in SIGNED)])
        return base64.b64encode(hmac.digest(self.key, text.encode(), hashlib.sha256)).decode()

    def token(self, name, permissions, directory=False, header=None):
        """The query that gives these permissions on one file, or on a directory."""
        moment = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        # To the second, so that short lives are at least what was asked.
        start, end = moment - datetime.timedelta(minutes=10), moment + datetime.timedelta(seconds=self.seconds + 0.999)
        values = {
            "sv": "2023-11-03", "sr": "d" if directory else "b", "sp": permissions, "st": start.strftime(TIME),
            "se": end.strftime(TIME), "skoid": f"dbc00000-0000-4000-8000-{self.store.generation('sas'):012x}",
        }  # fmt: skip
        if directory:
            values["sdd"] = str(name.count("/") + 1)
        if header:
            values["saoid"] = header
        return urllib.parse.urlencode(values | {"sig": self.signature(name, values)})

    def credential(self, name, permissions):
        """An address and what has to be sent with it, as credentials-for-... answer it."""
        header = str(uuid.uuid4()) if self.emulator.options.headers else None
        headers = [{"name": HEADER, "value": header}] if header else []
        return {
            "signed_uri": f"{self.base}/{CONTAINER}/{urllib.parse.quote(name)}?{self.token(name, permissions, header=header)}",
            "headers": headers, "type": self.emulator.options.storage,
        }  # fmt: skip

    @property
    def base(self):
        return f"http://127.0.0.1:{self.emulator.storage_door.port}"

    def check(self, request, name, wanted):
        if "Authorization" in request.headers:
            raise storage(400, "InvalidAuthenticationInfo", "A signed address and an Authorization header exclude each other.")
        values = {key: value[0] for key, value in request.query.items()}
        signed = name
        if values.get("sr") == "d" and values.get("sdd", "").isdigit():
            signed = "/".join(name.split("/")[: int(values["sdd"])])
        if not hmac.compare_digest(self.signature(signed, values).encode(), values.get("sig", "").encode()):
            raise storage(403, "AuthenticationFailed", "Signature did not match.")
        check_terms(values, wanted, self.store.generation("sas"))
        if "saoid" in values and request.headers.get(HEADER) != values["saoid"]:
            raise storage(400, "MissingRequiredHeader", f"The credentials named the header {HEADER}.")

    # Requests

    def answer(self, request):
        container, _, name = request.path.lstrip("/").partition("/")
        if container != CONTAINER:
            raise storage(400, "InvalidUri")
        if not name and request.method == "GET":
            name = (request.argument("directory") or request.argument("prefix") or "").strip("/")
            self.check(request, name, "l")
            return self.paths(request, name) if request.argument("resource") == "filesystem" else self.blobs_xml(name)
        wanted = {"GET": "r", "HEAD": "r", "PUT": "wc", "PATCH": "wc", "DELETE": "d"}.get(request.method)
        if not name or not wanted:
            raise storage(400, "InvalidUri")
        self.check(request, name, wanted)
        comp, action = request.argument("comp"), request.argument("action")
        if request.method in ("GET", "HEAD"):
            return self.get(request, name)
        if request.method == "PUT" and request.argument("resource") == "directory":
            return Answer(201, headers=self.common())
        if request.method == "PUT" and request.argument("resource") == "file":
            return self.create_file(request, name)
        if request.method == "PATCH" and action in ("append", "flush"):
            return self.append_file(request, name) if action == "append" else self.flush_file(request, name)
        if request.method == "PUT" and comp in (None, "block", "blocklist"):
            return {None: self.put, "block": self.put_block, "blocklist": self.put_block_list}[comp](request, name)
        if request.method == "DELETE" and self.record(name):
            self.delete(name)
            return Answer(202, headers=self.common())
        raise storage(404 if request.method == "DELETE" else 405, "BlobNotFound" if request.method == "DELETE" else "UnsupportedHttpVerb")

    # ADLS: a file is made empty, gets its parts in any order, and shows them when they are flushed.

    def create_file(self, request, name):
        path = self.new_file()
        with self.finished(path), self.locked(name):
            self.check_conditions(request, name)
            self.drop_blocks(name)
            etag = self.keep(request, name, path, 0, None)
        return Answer(201, headers=self.written(name, etag))

    def append_file(self, request, name):
        position = self.position(request)
        if not self.record(name):
            raise storage(404, "PathNotFound")
        if position < self.record(name)[0]:
            raise storage(400, "InvalidQueryParameterValue")
        path, size, md5 = self.received(request, MOST_APPEND)
        block = f"{position:020}"
        with self.finished(path):
            target = self.block_file(name, block)
            with self.locked(name):
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                self.store.change("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", name, block, size)
        if request.argument("flush") == "true":
            self.flush(request, name, position + size)
        return Answer(202, headers={"Content-MD5": md5, "x-ms-request-server-encrypted": "true", **self.common()})

    def flush_file(self, request, name):
        if request.body.known and request.body.length:
            raise storage(400, "InvalidHeaderValue")
        etag = self.flush(request, name, self.position(request))
        return Answer(200, headers=self.written(name, etag))

    @staticmethod
    def position(request):
        text = request.argument("position", "")
        if not text.isdigit():
            raise storage(400, "InvalidQueryParameterValue")
        return int(text)

    def flush(self, request, name, length):
        with self.locked(name):
            record = self.record(name)
            if not record:
                raise storage(404, "PathNotFound")
            blocks = self.store.rows("SELECT id, size FROM blocks WHERE name = ? ORDER BY id", name)
            end = record[0]
            for block, size in blocks:
                if int(block) != end:
                    raise storage(400, "InvalidFlushPosition")
                end += size
            if end != length:
                raise storage(400, "InvalidFlushPosition")
            path = self.new_file()
            with self.finished(path):
                with open(path, "ab") as output:
                    # Never in place: who reads the file now goes on with what it was.
                    for file in [self.file(name)] * bool(record[0]) + [self.block_file(name, block) for block, _ in blocks]:
                        append(output, file)
                etag = self.keep(request, name, path, length, None)
            self.drop_blocks(name)
        return etag

    # Lists

    def below(self, folder):
        """[(path below the folder, size, md5, etag, modified)] at any depth, in order."""
        prefix = folder.rstrip("/") + "/"
        found = self.store.rows(
            "SELECT name, size, md5, etag, modified FROM blobs WHERE name >= ? AND name < ? ORDER BY name", prefix, prefix + "\U0010ffff"
        )
        return [(name[len(prefix) :], *more) for name, *more in found]

    def children(self, folder):
        """[(name, is directory, size)]: what lies directly in the folder."""
        made = {}
        for path, size, *_ in self.below(folder):
            name, deeper, _ = path.partition("/")
            made[name] = (name, True, None) if deeper else (name, False, size)
        return [made[name] for name in sorted(made)]

    def paths(self, request, folder):
        """ADLS Path - List."""
        if request.argument("recursive", "false").lower() == "true":
            entries = [(path, False, size) for path, size, *_ in self.below(folder)]
        else:
            entries = self.children(folder)
        if not entries and not self.record(folder):
            raise storage(404, "PathNotFound")
        made = [
            {"name": f"{folder}/{name}", **({"isDirectory": "true"} if is_dir else {}), "contentLength": str(size or 0)}
            for name, is_dir, size in entries
        ]
        return as_json({"paths": made}, headers=self.common())

    def blobs_xml(self, folder):
        """List Blobs, flat."""
        made = "".join(
            f"<Blob><Name>{escape(folder + '/' + path)}</Name><Properties><Content-Length>{size}</Content-Length>"
            f"<Etag>{escape(etag)}</Etag><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for path, size, _, etag, _ in self.below(folder)
        )
        body = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{made}</Blobs><NextMarker/></EnumerationResults>'
        return Answer(200, body.encode(), "application/xml", self.common())

    def copy_folder(self, source, target):
        """Another folder with the same files; what is later written to the one does not show in the other."""
        for path, *_ in self.below(source):
            old, new = f"{source}/{path}", f"{target}/{path}"
            with self.locked(old):
                row = self.store.row("SELECT size, md5, type, etag, modified FROM blobs WHERE name = ?", old)
                if row is None:
                    continue
                self.file(new).parent.mkdir(exist_ok=True)
                self.file(new).unlink(missing_ok=True)
                os.link(self.file(old), self.file(new))
                self.store.change("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?)", new, *row)
