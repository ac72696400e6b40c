"""What one changed run costs the daemon, in stores of different sizes: it is to be the same in all of them.

    BIN=path/to/mlmirror live_cost_bench.py [--sizes 1000,3000] [--changes 20] [--pause 0.5] [--no-backfill]
                                            [--daemon-flags "..."] [--json FILE]

The primary's SQLite file is filled directly, the feed installed, and the store copied by `mlmirror backfill` (about 25
runs a second, so 100,000 take an hour; with --no-backfill the daemon does it). Then `mlmirror run` is started, and once
it has caught up, a tag of one run in the middle is changed, time and again. The daemon's CPU time is taken over the
changes and, before them, over as long a time without any; the lag runs from the answer to set-tag until the tag is seen
in the secondary's SQLite file.
"""

import contextlib
import pathlib
import shlex
import shutil
import sys
import tempfile
import time

import common
import lag_bench
import memory_bench

GRACE = 30


def cost(daemon, primary, secondary, action):
    """Its time, the daemon's CPU seconds meanwhile, and both servers' requests."""
    before = time.monotonic(), daemon.cpu(), common.requests(primary), common.requests(secondary)
    action()
    # The server writes its log, and the daemon its notes, a moment after the change can be seen.
    time.sleep(1)
    after = time.monotonic(), daemon.cpu(), common.requests(primary), common.requests(secondary)
    return [now - then for now, then in zip(after, before)]


def change(primary, secondary, run, copied, options, lags):
    rows = lag_bench.Watch(secondary.database)
    with contextlib.closing(rows.connection):
        for number in range(options.changes):
            common.call(primary.uri, "runs/set-tag", run_id=run, key="touched", value=str(number))
            answered = time.monotonic()
            while time.monotonic() < answered + GRACE:
                if rows.ask("SELECT value FROM tags WHERE run_uuid = ? AND key = 'touched'", copied) == [(str(number),)]:
                    lags.append(time.monotonic() - answered)
                    break
                time.sleep(0.001)
            time.sleep(options.pause)


def measure(folder, size, options):
    folder.mkdir(parents=True)
    state, run = folder / "state.db", f"{size // 2:032x}"
    with common.start(folder / "primary") as primary, common.start(folder / "secondary") as secondary:
        memory_bench.insert_runs(primary, 3, size)
        common.install_feed(primary)
        seconds = 0.0
        if not options.no_backfill:
            copied = common.backfill(primary.uri, secondary.uri, state)
            if copied.failed(f"backfill of {size} runs"):
                return None
            seconds = copied.wall
        flags = ["--primary-database", f"sqlite:///{primary.database}", *shlex.split(options.daemon_flags)]
        with common.Daemon(primary, secondary, state, *flags) as daemon:
            # Without a backfill before it, the daemon copies 25 runs a second at the least.
            began = time.monotonic()
            daemon.catch_up(300 + size / 5)
            caught_up = time.monotonic() - began
            copy, lags = lag_bench.mirrored(secondary.database, [run])[0], []
            time.sleep(3)
            changes = cost(daemon, primary, secondary, lambda: change(primary, secondary, run, copy, options, lags))
            idle = cost(daemon, primary, secondary, lambda: time.sleep(max(0, changes[0] - 1)))
            each = [(busy - quiet) / options.changes for busy, quiet in zip(changes[1:], idle[1:])]
            return {
                "backfill_seconds": seconds, "caught_up_seconds": caught_up, "changes": options.changes, "seen": len(lags),
                "cpu_ms_per_change": each[0] * 1000, "idle_cpu_seconds_per_minute": idle[1] * 60 / idle[0],
                # One request to the primary is the change itself.
                "primary_requests_per_change": each[1] - 1, "secondary_requests_per_change": each[2],
                "rss_mb": daemon.rss(), "state_mb": memory_bench.state_bytes(state) / 2**20, "lag": common.percentiles(lags),
            }  # fmt: skip


def main():
    options = common.parser(__doc__.splitlines()[0], rounds=0)
    options.add_argument("--sizes", default="1000,3000", help="runs in the store")
    options.add_argument("--changes", type=int, default=20)
    options.add_argument("--pause", type=float, default=0.5, help="seconds between changes")
    options.add_argument("--no-backfill", action="store_true", help="let the daemon copy what is there")
    options.add_argument("--daemon-flags", default="", help="more flags for mlmirror run")
    options = options.parse_args()
    common.binary()
    results, rows, failed = {"benchmark": "live cost", "sizes": {}}, [], False
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary).resolve()
        for size in map(int, options.sizes.split(",")):
            try:
                found = measure(folder / f"runs-{size}", size, options)
            except RuntimeError as error:
                print(f"  {size} runs: {error}", file=sys.stderr)
                found = None
            if not options.folder:
                shutil.rmtree(folder / f"runs-{size}", ignore_errors=True)
            if found is None:
                failed = True
                continue
            failed |= found["seen"] < options.changes
            results["sizes"][size] = found
            lag = found["lag"]
            rows.append([
                f"{size:,}", f"{found['backfill_seconds']:.0f}", f"{found['caught_up_seconds']:.1f}", f"{found['cpu_ms_per_change']:.1f}",
                f"{found['primary_requests_per_change']:.1f} + {found['secondary_requests_per_change']:.1f}",
                f"{lag['p50'] * 1000:.0f}", f"{lag['max'] * 1000:.0f}", f"{found['seen']}/{options.changes}",
                f"{found['idle_cpu_seconds_per_minute']:.2f}", f"{found['rss_mb']:.0f}", f"{found['state_mb']:.1f}",
            ])  # fmt: skip
            print(*rows[-1], flush=True)
    print()
    head = ["runs", "backfill s", "caught up s", "CPU ms/change", "requests/change", "lag p50 ms", "lag max ms", "seen",
            "idle CPU s/min", "RSS MB", "state MB"]  # fmt: skip
    common.table(head, rows)
    common.report(options, results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
