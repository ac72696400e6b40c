"""The daemon between two real servers for a long while, with writers, restarts and outages; then two judges.

    BIN=path/to/mlmirror soak.py [--minutes 60] [--clients 6] [--rate 12] [--poll] [--keep FOLDER]

Many clients use the primary all the time. In the first half the daemon is killed (kill -9) or told to end ten times
over, and either server goes away for 20 seconds and comes back; in the second half only servers go away, so that what
the daemon's memory does can be seen. When the clients have ended the daemon catches up, and both `mlmirror verify --deep`
and MLflow's own client compare the two servers.

Ends with 0 when both find them equal, nothing was set aside, and the daemon's memory grew by less than 1 MB an hour in
the second half, or by less than 4 MB in all where that half is too short for a slope.
"""

import argparse
import contextlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Benchmarks"))

import common  # noqa: E402
import servers  # noqa: E402

SAMPLE_SECONDS = 5
OUTAGE_SECONDS = 20


class Soak:
    def __init__(self, folder, options):
        self.folder, self.options, self.began = folder, options, time.monotonic()
        self.servers = {name: servers.start(folder / name, venv=common.MLFLOW) for name in ("primary", "secondary")}
        self.daemon, self.samples, self.events = None, [], []
        if not options.poll:
            common.install_feed(self.servers["primary"])

    def minute(self):
        return (time.monotonic() - self.began) / 60

    def note(self, what):
        self.events.append((self.minute(), what))
        print(f"  {self.minute():6.1f} min  {what}", flush=True)

    def start_daemon(self):
        primary, secondary = self.servers["primary"], self.servers["secondary"]
        flags = [] if self.options.poll else ["--primary-database", f"sqlite:///{primary.database}"]
        self.daemon, self.started = common.Daemon(primary, secondary, self.folder / "state.db", *flags), time.monotonic()

    def restart_daemon(self, hard):
        # A process that is just being loaded knows no signals yet.
        time.sleep(max(0, self.started + 5 - time.monotonic()))
        if hard:
            self.daemon.process.kill()
            self.daemon.process.wait()
        else:
            self.daemon.process.terminate()
            code = self.daemon.process.wait(60)
            if code:
                raise RuntimeError(f"the daemon was told to end, and ended with {code}")
        self.start_daemon()
        self.note("daemon killed and started" if hard else "daemon ended and started")

    def outage(self, name):
        server = self.servers[name]
        server.stop(hard=True)
        time.sleep(OUTAGE_SECONDS)
        self.servers[name] = servers.start(self.folder / name, port=server.port, venv=common.MLFLOW)
        self.note(f"{name} was away for {OUTAGE_SECONDS} s")

    def sample(self, stop):
        while not stop.wait(SAMPLE_SECONDS):
            # It may be between two lives.
            with contextlib.suppress(OSError, ValueError, IndexError):
                status = self.daemon.status() or {}
                changes = (status.get("lag") or {}).get("changes")
                self.samples.append((self.minute(), self.daemon.process.pid, self.daemon.rss(), changes))

    def run(self):
        minutes, chance = self.options.minutes, random.Random(self.options.seed)
        workload = subprocess.Popen(
            [sys.executable, common.SUPPORT / "live_workload.py", self.servers["primary"].uri, "--models",
             "--seconds", str(minutes * 60), "--clients", str(self.options.clients), "--rate", str(self.options.rate),
             "--seed", str(self.options.seed)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.start_daemon()
        stop = threading.Event()
        sampler = threading.Thread(target=self.sample, args=[stop])
        sampler.start()
        try:
            for number in range(14):
                due = minutes * (number + 1) / 15
                time.sleep(max(0, (due - self.minute()) * 60))
                is_first_half = number < 8
                if number % 4 == 3:
                    self.outage(chance.choice(["primary", "secondary"]))
                elif is_first_half:
                    self.restart_daemon(hard=chance.random() < 0.6)
            output, _ = workload.communicate(timeout=minutes * 60 + 600)
            self.note("clients have ended")
            self.daemon.catch_up(900 + minutes * 10)
            # Files of runs that have ended are listed once more within ten minutes; those that changed last, within one.
            time.sleep(75)
            self.daemon.catch_up(600)
            self.note("caught up")
        finally:
            stop.set()
            sampler.join()
            workload.kill()
        status = self.daemon.status() or {}
        self.daemon.process.terminate()
        return json.loads(output), status, self.daemon.process.wait(60)

    def judge(self):
        primary, secondary = self.servers["primary"].uri, self.servers["secondary"].uri
        verify = common.measure(
            [common.binary(), "verify", "--deep", "--primary", primary, "--secondary", secondary, "--state", self.folder / "state.db"])
        judge = common.measure([sys.executable, common.SUPPORT / "judge.py", primary, secondary])
        return {"verify --deep": verify, "MLflow's client": judge}

    def close(self):
        if self.daemon and self.daemon.process.poll() is None:
            self.daemon.process.kill()
        for server in self.servers.values():
            server.stop()


def slope(samples):
    """MB an hour, by least squares."""
    if len(samples) < 10:
        return 0.0
    xs, ys = [at / 60 for at, *_ in samples], [rss for _, _, rss, _ in samples]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / (sum((a - x) ** 2 for a in xs) or 1)


def graph(samples, column, title, width=90, height=10):
    """Rows of text: the greatest value of each stretch of time."""
    known = [(row[0], row[column]) for row in samples if row[column] is not None]
    if not known:
        return
    end, top = known[-1][0] or 1, max(value for _, value in known) or 1
    columns = [0.0] * width
    for at, value in known:
        place = min(width - 1, int(at / end * width))
        columns[place] = max(columns[place], value)
    print(f"\n{title}: up to {top:.0f}, over {end:.0f} minutes")
    for row in range(height, 0, -1):
        print("  |" + "".join("#" if value >= top * (row - 0.5) / height else " " for value in columns).rstrip())
    print("  +" + "-" * width)


def report(soak, workload, status, code, verdicts):
    half = soak.options.minutes / 2
    last = [row for row in soak.samples if row[1] == soak.daemon.process.pid and row[0] > half + soak.options.minutes / 30]
    growth = slope(last)
    hours = (last[-1][0] - last[0][0]) / 60 if last else 0
    graph(soak.samples, 2, "memory of the daemon, MB")
    graph(soak.samples, 3, "changes that wait")
    restarts = sum("daemon" in what for _, what in soak.events)
    outages = sum("away" in what for _, what in soak.events)
    print(f"\n{workload['operations']} operations ({workload['refused']} refused), {restarts} restarts, {outages} outages")
    print(f"memory in the second half: {growth:+.2f} MB an hour over {hours * 60:.0f} minutes, {last[-1][2] if last else 0:.0f} MB at its end")
    print(f"set aside: {status.get('dead_letters', 'not known')}; the daemon ended with {code}")
    for name, verdict in verdicts.items():
        print(f"{name}: {'equal' if verdict.code == 0 else f'NOT EQUAL (exit {verdict.code})'}")
        if verdict.code:
            print("\n".join(verdict.output.splitlines()[-20:]))
    is_flat = growth < 1 if hours >= 0.4 else growth * hours < 4
    good = is_flat and code == 0 and not workload["broken"] and not status.get("dead_letters") and all(v.code == 0 for v in verdicts.values())
    print("soak: good" if good else "soak: NOT good")
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--rate", type=float, default=12, help="operations a second, of all clients together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--poll", action="store_true", help="follow by polling instead of triggers")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.keep or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlmirror-soak-")))
        folder.mkdir(parents=True, exist_ok=True)
        soak = Soak(folder, options)
        stack.callback(soak.close)
        workload, status, code = soak.run()
        return report(soak, workload, status, code, soak.judge())


if __name__ == "__main__":
    sys.exit(main())
