"""mlmirror backfill against mlflow-export-import and against the floor, on the same store.

    BIN=path/to/mlmirror backfill_bench.py [--rounds 3] [--size small] [--json FILE] [--only peer,ours,floor]

In each round every copier gets a fresh secondary; the copiers are interleaved, so that a machine that is slower for
a while is slower for all. What each left behind is judged by MLflow's own client: `whole`, or what differs (the
peer leaves no stamps, so its copy is matched by names). Ratios of medians are what to look at, not seconds.
"""

import collections
import pathlib
import shutil
import sys
import tempfile

import common


def peer(primary, secondary, folder, threads=False):
    python, script = common.PEER / "bin/python", common.ROOT / "Benchmarks/peer.py"
    flags = ["--threads"] if threads else []
    parts = []
    for action, uri in (("export", primary.uri), ("import", secondary.uri)):
        command = [python, script, action, folder / "export", *flags]
        parts.append(common.measure(command, env={"MLFLOW_TRACKING_URI": uri}, cwd=folder))
    return parts[0] + parts[1]


def ours(primary, secondary, folder):
    return common.backfill(primary.uri, secondary.uri, folder / "state.db")


def floor(primary, secondary, folder, connections):
    script = common.ROOT / "Benchmarks/floor.py"
    return common.measure(
        [common.MLFLOW / "bin/python", script, primary.uri, secondary.uri, "--connections", connections]
    )


def best_connections(primary, folder):
    """The floor's own best concurrency on this machine today, from one try each."""
    tried = {}
    for connections in (2, 4, 8):
        with common.start(folder / f"tune-{connections}") as secondary:
            tried[connections] = floor(primary, secondary, folder, connections).wall
    return min(tried, key=tried.get)


def main():
    options = common.parser(__doc__.splitlines()[0])
    options.add_argument("--size", default="small", choices=["tiny", "small", "demo", "edge"])
    options.add_argument("--only", default="peer,ours,floor", help="of peer, peer-threads, ours, floor")
    options = options.parse_args()
    only = options.only.split(",")
    if "ours" in only:
        common.binary()

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary).resolve()
        rounds = collections.defaultdict(list)
        whole = {}
        with common.start(folder / "primary") as primary:
            common.workload(primary.uri, options.size)
            connections = best_connections(primary, folder) if "floor" in only and options.rounds > 1 else 4
            copiers = {
                "peer": peer,
                "peer-threads": lambda *a: peer(*a, threads=True),
                "ours": ours,
                "floor": lambda *a: floor(*a, connections),
            }
            for number in range(options.rounds):
                for name in only:
                    place = folder / f"{name}-{number}"
                    place.mkdir(parents=True)
                    with common.start(place / "secondary") as secondary:
                        measured = copiers[name](primary, secondary, place)
                        measured.failed(name)
                        rounds[name].append(measured)
                        whole[name] = common.judge(
                            primary.uri, secondary.uri, *(["--by-name"] if name.startswith("peer") else [])
                        )
                    shutil.rmtree(place)
                    print(f"round {number + 1}: {name} {measured.wall:.1f} s, CPU {measured.cpu:.1f} s, "
                          f"{measured.rss:.0f} MB, exit {measured.code}, {whole[name]}", flush=True)  # fmt: skip

    print()
    common.table(
        ["copier", "wall s", "CPU s", "MB", "exit", "copy"],
        [
            [name, common.spread(m.wall for m in measured), common.spread(m.cpu for m in measured),
             f"{max(m.rss for m in measured):.0f}", ",".join(str(m.code) for m in measured), whole[name][:60]]
            for name, measured in rounds.items()
        ],
    )  # fmt: skip
    wall, cpu, rss = (
        {name: common.median(getattr(m, field) for m in measured) for name, measured in rounds.items()}
        for field in ("wall", "cpu", "rss")
    )
    ratios = {}
    if "ours" in rounds and "peer" in rounds:
        ratios["times faster than the peer"] = wall["peer"] / wall["ours"]
        ratios["CPU, of the peer's"] = cpu["ours"] / cpu["peer"]
        ratios["memory, of the peer's"] = rss["ours"] / rss["peer"]
    if "ours" in rounds and "floor" in rounds:
        ratios["wall time, of the floor's"] = wall["ours"] / wall["floor"]
    if "peer" in rounds and "floor" in rounds:
        ratios["floor: times faster than the peer"] = wall["peer"] / wall["floor"]
    print()
    for what, ratio in ratios.items():
        print(f"{what}: {ratio:.2f}")
    results = {
        "benchmark": "backfill", "size": options.size, "floor_connections": connections, "ratios": ratios, "copy": whole,
        "rounds": {n: [{"wall": m.wall, "cpu": m.cpu, "rss_mb": m.rss, "exit": m.code} for m in ms] for n, ms in rounds.items()},
    }  # fmt: skip
    common.report(options, results)
    return 0 if all(m.code == 0 for m in rounds.get("ours", [])) and whole.get("ours", "whole") == "whole" else 1


if __name__ == "__main__":
    sys.exit(main())
