"""One large artifact: mlmirror backfill against `curl | curl -T -` between the same two servers.

    BIN=path/to/mlmirror artifact_bench.py [--rounds 3] [--megabytes 2048] [--json FILE] [--curl-only]
"""

import collections
import hashlib
import os
import pathlib
import shutil
import sys
import tempfile

import common

API = "/api/2.0/mlflow-artifacts/artifacts/"


def write_file(path, megabytes):
    """Real bytes, all different enough that nothing on the way can make them small."""
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(8, "big") + block[8:])


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def base(info):
    return info["artifact_uri"].split(":", 1)[1].strip("/")


def curl(source, target):
    script = 'set -o pipefail; curl -sSf "$1" | curl -sSf -H "Expect:" -T - "$2" -o /dev/null'
    return common.measure(["bash", "-c", script, "bash", source, target])


def copied(server):
    """The one large file that arrived."""
    return next(iter(server.artifacts.rglob("large.bin")), None)


def main():
    options = common.parser(__doc__.splitlines()[0])
    options.add_argument("--megabytes", type=int, default=2048)
    options.add_argument("--curl-only", action="store_true")
    options = options.parse_args()
    if not options.curl_only:
        common.binary()
    if not shutil.which("curl"):
        sys.exit("this benchmark needs the command curl")
    seen, failed = collections.defaultdict(list), False
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary).resolve()
        with common.start(folder / "primary") as primary:
            run = common.new_run(primary.uri, "large")
            file = common.artifact_folder(primary, run) / "large.bin"
            write_file(file, options.megabytes)
            expected = digest(file)
            for number in range(options.rounds):
                for name in ["curl"] if options.curl_only else ["curl", "ours"]:
                    place = folder / f"{name}-{number}"
                    place.mkdir(parents=True)
                    with common.start(place / "secondary") as secondary:
                        if name == "curl":
                            target = base(common.new_run(secondary.uri, "large"))
                            measured = curl(f"{primary.uri}{API}{base(run)}/large.bin", f"{secondary.uri}{API}{target}/large.bin")
                        else:
                            measured = common.backfill(primary.uri, secondary.uri, place / "state.db")
                        arrived = copied(secondary)
                        right = arrived is not None and digest(arrived) == expected
                    shutil.rmtree(place)
                    failed |= measured.failed(name) or not right
                    rate = options.megabytes / measured.wall
                    seen[name].append(rate)
                    print(f"round {number + 1}: {name} {rate:.0f} MiB/s, CPU {measured.cpu:.1f} s, {measured.rss:.0f} MB, "
                          f"exit {measured.code}, {'same bytes' if right else 'OTHER BYTES'}", flush=True)  # fmt: skip
    print()
    common.table(["", "MiB/s"], [[name, common.spread(rates, 0)] for name, rates in seen.items()])
    ratio = common.median(seen["ours"]) / common.median(seen["curl"])
    if seen["ours"]:
        print(f"backfill: {ratio:.2f} of curl | curl")
    common.report(options, {"benchmark": "artifact", "megabytes": options.megabytes, "mib_per_second": seen, "ratio": ratio})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
