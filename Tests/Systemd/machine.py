"""A booted Debian with a real systemd as its first process, in a container that shares this machine's network.

The root file system is made once by debootstrap and then only read: every boot writes to an overlay that is thrown away. Needs root,
systemd-nspawn (Debian: systemd-container) and debootstrap; `missing()` says what is not there.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import uuid

PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates,libcurl4,libsqlite3-0,libsystemd0,libssl3,libstdc++6,man-db"
SUITE = "bookworm"


class CannotBoot(Exception):
    """This machine has what is needed, and yet does not let one be booted: no mounts, no mirror of Debian."""


def missing():
    """What keeps a machine from being booted here; empty when nothing does."""
    if os.geteuid() != 0:
        return "it needs root"
    for tool, package in (("systemd-nspawn", "systemd-container"), ("debootstrap", "debootstrap"), ("nsenter", "util-linux")):
        if not shutil.which(tool):
            return f"{tool} is missing (Debian: {package})"
    return ""


def make_root(folder):
    """Takes about a minute, the first time."""
    folder = pathlib.Path(folder)
    if (folder / "usr/lib/systemd/systemd").exists():
        return folder
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(unfinished)], capture_output=True, text=True
    )
    if made.returncode != 0:
        raise CannotBoot("debootstrap: " + "\n".join((made.stdout + made.stderr).splitlines()[-5:]))
    for archive in (unfinished / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    unfinished.rename(folder)
    return folder


class Machine:
    """Boots when it is entered; gone, with all that was written in it, when it is left."""

    def __init__(self, root, seconds=60):
        self.root, self.seconds = pathlib.Path(root), seconds
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="mlmirror-machine-"))
        self.console = self.work / "console.log"
        self.process = None
        self.leader = None

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _boot(self):
        for name in ("upper", "work", "root"):
            (self.work / name).mkdir()
        identity = self.work / "upper/etc/machine-id"
        identity.parent.mkdir(parents=True)
        identity.write_text(uuid.uuid4().hex + "\n")
        for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "man-db.timer"):
            link = self.work / "upper/etc/systemd/system" / unit
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/dev/null")
        layers = f"lowerdir={self.root},upperdir={self.work / 'upper'},workdir={self.work / 'work'}"
        mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.work / "root")], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise CannotBoot(mounted.stderr.strip())
        # A cgroup tree of its own kind, and neither a bus nor a machine manager of the host.
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.work / 'root'}", f"--machine=mlmirror-{os.getpid()}",
             "--keep-unit", "--register=no", "--link-journal=no", "--timezone=off", "--resolv-conf=off", "--console=pipe",
             "--", "systemd.unit=multi-user.target", "systemd.show_status=no"],
            stdin=subprocess.DEVNULL, stdout=open(self.console, "w"), stderr=subprocess.STDOUT,
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise CannotBoot("the machine did not boot:\n" + self.console.read_text(errors="replace")[-2000:])
            self.leader = self.leader or self._find_leader()
            if self.leader and self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.1)
        raise CannotBoot("the machine did not come up in time:\n" + self.console.read_text(errors="replace")[-2000:])

    def _find_leader(self):
        """The container's first process: a child of systemd-nspawn's."""
        for path in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for child in path.read_text().split():
                try:
                    if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                        return int(child)
                except OSError:
                    continue
        return None

    def run(self, *command, check=True, user=None, input=None, environment=None):
        """Runs a command inside, as root or as a user with that user's groups."""
        inside = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_PAGER=", "LANG=C.UTF-8"]
        inside += [f"{name}={value}" for name, value in (environment or {}).items()]
        if user:
            inside += ["runuser", "-u", user, "--"]
        enter = ["nsenter", f"--target={self.leader}", "--mount", "--pid", "--ipc", "--uts", "--root", "--wd=/"]
        done = subprocess.run(enter + inside + list(command), capture_output=True, text=True, input=input)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def write(self, path, text, mode=0o644):
        self.run("sh", "-c", f"umask 077; mkdir -p \"$(dirname '{path}')\"; cat > '{path}'; chmod {mode:o} '{path}'", input=text)

    def copy(self, source, path):
        target = self.work / "root" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        subprocess.run(["umount", str(self.work / "root")], capture_output=True)
        shutil.rmtree(self.work, ignore_errors=True)
