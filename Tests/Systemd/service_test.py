"""The package on a booted Debian, with a real systemd, between two real MLflow servers on this machine.

    service_test.py mlmirror.deb

Says "ok" for each step, and ends with 0 when all hold, 77 when this machine cannot boot one.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE.parent / "Support/python"
sys.path.insert(0, str(PYTHON))

import machine  # noqa: E402
import servers  # noqa: E402
import token_gate  # noqa: E402

UNITS = ["mlmirror.service", "mlmirror@.service", "mlmirror-backfill@.service", "mlmirror-verify@.service"]
# Where it lies on the booted machine.
PACKAGE = "/var/tmp/mlmirror.deb"
EXPOSURE = {False: 1.1, True: 1.0}


class Test:
    def __init__(self, booted, package, primary, secondary):
        import mlflow

        self.machine, self.package, self.primary, self.secondary = booted, package, primary, secondary
        self.gate = token_gate.TokenGate(secondary.uri, "the first token")
        self.here, self.there = mlflow.MlflowClient(primary.uri), mlflow.MlflowClient(secondary.uri)
        self.number = 0

    # What is asked of the machine.

    def run(self, *command, **more):
        return self.machine.run(*command, **more)

    def show(self, name, unit="mlmirror.service"):
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def entries(self, unit="mlmirror.service"):
        lines = self.run("journalctl", "--unit", unit, "--output", "json", "--all").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def events(self, name, unit="mlmirror.service"):
        return [entry for entry in self.entries(unit) if entry.get("MLMIRROR_EVENT") == name]

    def until(self, what, is_so, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if is_so():
                return
            time.sleep(0.1)
        log = self.run("journalctl", "--no-pager", "--lines", "40", "--output", "verbose", "--unit", "mlmirror*").stdout
        raise AssertionError(f"never came about: {what}\n{log}")

    def log_run(self):
        """A run with a metric and a file on the primary, and the name it goes by."""
        self.number += 1
        name = f"run {self.number}"
        run = self.here.create_run("0", run_name=name)
        self.here.log_metric(run.info.run_id, "loss", 0.5)
        self.here.log_text(run.info.run_id, name, "notes/name.txt")
        self.here.set_terminated(run.info.run_id)
        return name

    def names_there(self):
        return [run.info.run_name for run in self.there.search_runs(["0"], max_results=1000)]

    def expect_arrival(self, name, seconds=60):
        began = time.monotonic()
        self.until(f"{name} on the secondary", lambda: name in self.names_there(), seconds)
        return time.monotonic() - began

    def configure(self, path="/etc/mlmirror/mlmirror.yaml", state="/var/lib/mlmirror/state.db", scope="['**', '!team/**']", more=""):
        self.machine.write(
            path,
            f"primary:\n  uri: {self.primary.uri}\nsecondary:\n  uri: {self.gate.uri}\n  auth:\n    token_file: secondary.token\n"
            f"state: {state}\nlive:\n  cycle_seconds: 1\n  requests_per_second: 50\n"
            f"scope:\n  experiments: {scope}\n{more}",
        )

    # What is tried.

    def install(self):
        self.machine.copy(self.package, PACKAGE)
        self.run("dpkg", "--install", PACKAGE)
        for unit in ("mlmirror.service", "mlmirror-verify@x.timer"):
            assert self.run("systemctl", "is-enabled", unit, check=False).stdout.strip() == "disabled", unit
        assert self.run("systemctl", "is-active", "mlmirror.service", check=False).stdout.strip() == "inactive"
        assert self.run("mlmirror", "--version").stdout.strip()
        for unit in UNITS:
            said = self.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{unit}", check=False)
            assert not (said.stdout + said.stderr), said.stdout + said.stderr
            self.expect_exposure(unit, EXPOSURE[False])
        drop_in = "/etc/systemd/system/mlmirror.service.d/addresses.conf"
        self.run("install", "-D", "-m", "0644", "/usr/share/doc/mlmirror/examples/addresses.conf", drop_in)
        self.run("systemctl", "daemon-reload")
        said = self.run("systemd-analyze", "security", "--no-pager", "mlmirror.service").stdout.splitlines()[-1]
        assert float(said.split(": ")[1].split()[0]) <= EXPOSURE[True], said
        self.run("rm", drop_in)
        self.run("systemctl", "daemon-reload")
        assert "MLMIRROR(1)" in self.run("man", "mlmirror").stdout
        assert "A store is away" in self.run("journalctl", "--list-catalog").stdout
        return "installed, nothing enabled, units in order, exposure at most 1.1"

    def expect_exposure(self, unit, most):
        path = f"/usr/lib/systemd/system/{unit}"
        said = self.run("systemd-analyze", "security", "--offline=true", "--no-pager", path).stdout.splitlines()[-1]
        assert float(said.split(": ")[1].split()[0]) <= most, said

    def start(self):
        self.configure()
        self.machine.write("/etc/mlmirror/credentials/secondary.token", self.gate.token + "\n", 0o600)
        first = self.log_run()
        began = time.monotonic()
        self.run("systemctl", "start", "mlmirror.service")
        seconds = time.monotonic() - began
        assert self.show("ActiveState") == "active"
        self.expect_arrival(first)
        self.until("caught up", lambda: self.events("caught_up"))
        self.until("status text", lambda: self.show("StatusText").startswith("dual, nothing waits"))
        later = self.log_run()
        return f"ready after {seconds:.1f} s; a run logged then arrived after {self.expect_arrival(later):.1f} s"

    def journal(self):
        catalog = self.run("journalctl", "--list-catalog").stdout
        for entry in self.entries():
            if entry.get("_COMM") != "mlmirror":
                continue
            assert entry.get("MLMIRROR_EVENT"), f"not an event: {entry.get('MESSAGE')}"
            assert entry["MESSAGE_ID"] in catalog and entry["SYSLOG_IDENTIFIER"] == "mlmirror"
            assert self.gate.token not in json.dumps(entry)
        assert [entry["MLMIRROR_EVENT"] for entry in self.entries() if "MLMIRROR_EVENT" in entry][:2] == ["started", "following"]
        explained = self.run("journalctl", "--catalog", "--no-pager", "MLMIRROR_EVENT=following").stdout
        assert f"Changes of {self.primary.uri} are carried to {self.gate.uri}" in explained, explained
        return "every entry is an event with its fields, its id is in the catalog, and none holds the token"

    def status(self):
        self.run("useradd", "member", "--groups", "mlmirror")
        self.run("useradd", "reader", "--groups", "systemd-journal")
        self.run("useradd", "stranger")

        def asked(user, source, code):
            done = self.run("mlmirror", "status", "--json", user=user, check=False)
            assert done.returncode == code, (user, done)
            if source:
                document = json.loads(done.stdout)
                assert document["source"] == source and document["mode"] == "dual", (user, document)
                return document

        assert asked("member", "state", 0)["state"] == "running"
        self.until("snapshot", lambda: self.events("status"))
        assert asked("reader", "journal", 0)["state"] == "running"
        asked("stranger", None, 3)
        self.run("systemctl", "stop", "mlmirror.service")
        assert asked("member", "state", 2)["state"] == "stopped"
        assert asked("reader", "journal", 2)["state"] == "stopped"
        self.run("systemctl", "start", "mlmirror.service")
        self.machine.write("/run/systemd/system/mlmirror.service.d/restart.conf", "[Service]\nRestart=no\n")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "kill", "--signal", "KILL", "mlmirror.service")
        self.until("dead", lambda: self.show("ActiveState") == "failed")
        assert asked("member", "state", 2)["state"] == "stopped"
        self.run("rm", "/run/systemd/system/mlmirror.service.d/restart.conf")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "start", "mlmirror.service")
        return "answered to a member of the group and to a reader of the journal, while it ran, stopped and had been killed"

    def reload(self):
        def counts():
            return len(self.events("configuration_reloaded")), len(self.events("configuration_refused"))

        before = counts()
        self.configure(scope="['Default']")
        self.run("systemctl", "reload", "mlmirror.service")
        self.until("reloaded", lambda: counts() == (before[0] + 1, before[1]))
        self.configure(more="scop:\n  models: []\n")
        assert self.run("systemctl", "reload", "mlmirror.service", check=False).returncode != 0
        self.until("refused", lambda: counts() == (before[0] + 1, before[1] + 1))
        assert "scop" in self.events("configuration_refused")[-1]["MLMIRROR_DETAIL"]
        assert self.show("ActiveState") == "active"
        self.configure()
        self.run("systemctl", "reload", "mlmirror.service")
        self.until("reloaded again", lambda: counts() == (before[0] + 2, before[1] + 1))
        return "a good configuration is taken, a bad one refused by name, one event each"

    def kill(self):
        restarts = int(self.show("NRestarts"))
        name = self.log_run()
        self.run("systemctl", "kill", "--signal", "KILL", "mlmirror.service")
        self.until("restarted", lambda: int(self.show("NRestarts")) == restarts + 1 and self.show("ActiveState") == "active")
        self.expect_arrival(name)
        return "killed, it was started again and went on"

    def watchdog(self):
        self.machine.write("/run/systemd/system/mlmirror.service.d/watchdog.conf", "[Service]\nWatchdogSec=4\n")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "restart", "mlmirror.service")
        time.sleep(9)
        assert self.show("NRestarts") == "0" and self.show("ActiveState") == "active", "it is killed while it is well"
        # A store that is away is no reason.
        self.gate.token = "another"
        self.log_run()
        self.until("refused", lambda: self.events("credentials_refused"))
        time.sleep(9)
        assert self.show("NRestarts") == "0", "it is killed because a store is away"
        self.gate.token = "the first token"
        self.run("systemctl", "kill", "--signal", "STOP", "mlmirror.service")
        self.until("restarted by the watchdog", lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active")
        self.run("rm", "/run/systemd/system/mlmirror.service.d/watchdog.conf")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "restart", "mlmirror.service")
        self.expect_arrival(f"run {self.number}")
        return "one that hangs is killed and started again; one whose secondary is away is not"

    def rotate(self):
        before = len(self.events("credentials_refused"))
        self.gate.token = "the second token"
        name = self.log_run()
        self.until("refused", lambda: len(self.events("credentials_refused")) > before)
        self.machine.write("/etc/mlmirror/credentials/secondary.token", self.gate.token + "\n", 0o600)
        self.run("systemctl", "restart", "mlmirror.service")
        self.expect_arrival(name)
        return "a new token is taken by a restart, and what was logged meanwhile follows"

    def one_shot(self):
        self.run("systemctl", "start", "mlmirror-backfill@mlmirror.service")
        self.run("systemctl", "start", "mlmirror-verify@mlmirror.service")
        self.run("systemctl", "stop", "mlmirror.service")
        name = self.log_run()
        self.run("systemctl", "start", "mlmirror-backfill@mlmirror.service")
        assert name in self.names_there()
        finished = self.events("backfill_finished", "mlmirror-backfill@mlmirror.service")
        assert finished and finished[-1]["MLMIRROR_RUNS"] == "1", finished
        self.run("systemctl", "start", "mlmirror-verify@mlmirror.service")
        assert self.events("verify_finished", "mlmirror-verify@mlmirror.service")[-1]["MLMIRROR_DIFFERENCES"] == "0"
        # A difference is a failure of the unit, with its code.
        run = self.there.search_runs(["0"])[0]
        self.there.set_tag(run.info.run_id, "mlflow.runName", "renamed by somebody")
        assert self.run("systemctl", "start", "mlmirror-verify@mlmirror.service", check=False).returncode != 0
        assert self.show("ExecMainStatus", "mlmirror-verify@mlmirror.service") == "4"
        self.there.set_tag(run.info.run_id, "mlflow.runName", run.info.run_name)
        self.run("systemctl", "start", "mlmirror.service")
        return "backfill and verify as units, beside the daemon and without it"

    def instance(self):
        self.configure("/etc/mlmirror/team.yaml", "/var/lib/mlmirror/team.db", "['team/*']", "pair: team\n")
        experiment = self.here.create_experiment("team/one")
        self.here.set_terminated(self.here.create_run(experiment, run_name="of the team").info.run_id)
        self.run("systemctl", "start", "mlmirror@team.service")
        self.until("the team's run", lambda: self.there.get_experiment_by_name("team/one") is not None)
        done = self.run("mlmirror", "status", "--instance", "team")
        assert done.stdout.startswith("OK - "), done.stdout
        return "an instance with a configuration and a state of its own"

    def wrong_configuration(self):
        self.run("systemctl", "stop", "mlmirror.service")
        self.configure(more="colour: blue\n")
        assert self.run("systemctl", "start", "mlmirror.service", check=False).returncode != 0
        time.sleep(7)
        assert self.show("ActiveState") == "failed" and self.show("NRestarts") == "0" and self.show("ExecMainStatus") == "78"
        assert "colour" in self.events("failed")[-1]["MLMIRROR_DETAIL"]
        self.configure()
        self.run("systemctl", "reset-failed", "mlmirror.service")
        self.run("systemctl", "start", "mlmirror.service")
        return "a wrong configuration is not started again and again"

    def upgrade(self):
        before = self.show("MainPID")
        self.run("dpkg", "--install", PACKAGE)
        self.until("restarted", lambda: self.show("ActiveState") == "active" and self.show("MainPID") != before)
        self.expect_arrival(self.log_run())
        return "upgraded over itself, it runs on"

    def stop(self):
        self.until("nothing waits", lambda: self.show("StatusText").startswith("dual, nothing waits"))
        time.sleep(3)
        began = time.monotonic()
        self.run("systemctl", "stop", "mlmirror.service")
        seconds = time.monotonic() - began
        assert seconds < 5 and self.show("Result") == "success", (seconds, self.show("Result"))
        assert self.events("ended")
        return f"stopped in {seconds:.1f} s"

    def purge(self):
        self.run("dpkg", "--purge", "mlmirror")
        left = self.run("sh", "-c", "ls -d /etc/mlmirror /var/lib/mlmirror /usr/bin/mlmirror /usr/lib/systemd/*/mlmirror* /usr/share/*/mlmirror*", check=False)
        assert not left.stdout, left.stdout
        assert "mlmirror" not in self.run("systemctl", "list-unit-files", "mlmirror*", "--no-legend", check=False).stdout
        return "purged, nothing is left"

    def everything(self):
        for step in (self.install, self.start, self.journal, self.status, self.reload, self.kill, self.watchdog, self.rotate, self.one_shot,
                     self.wrong_configuration, self.upgrade, self.stop):  # fmt: skip
            began = time.monotonic()
            print(f"ok {step.__name__}: {step()} ({time.monotonic() - began:.0f} s)", flush=True)
        judged = subprocess.run([sys.executable, str(PYTHON / "judge.py"), self.primary.uri, self.secondary.uri], capture_output=True, text=True)
        assert judged.returncode == 0, judged.stdout + judged.stderr
        print("ok judge: both servers show the same to MLflow's own client", flush=True)
        # Another pair has stamps of its own, so it comes after the judge.
        print(f"ok instance: {self.instance()}", flush=True)
        print(f"ok purge: {self.purge()}", flush=True)


def skip(why):
    print(f"SKIPPED: no machine can be booted here: {why}", file=sys.stderr)
    return 77


def main():
    package = pathlib.Path(sys.argv[1]).resolve()
    why = machine.missing()
    if why:
        return skip(why)
    try:
        root = machine.make_root(HERE.parent.parent / ".build/machine")
        with machine.Machine(root):
            pass
    except machine.CannotBoot as error:
        return skip(error)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with servers.start(folder / "primary", workers=1) as primary, servers.start(folder / "secondary", workers=1) as secondary:
            with machine.Machine(root) as booted:
                Test(booted, package, primary, secondary).everything()
    return 0


if __name__ == "__main__":
    sys.exit(main())
