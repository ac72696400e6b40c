"""Real MLflow servers for tests, demo and benchmarks: SQLite, proxied artifacts, 127.0.0.1.

As a module:

    with servers.start(folder) as server:
        print(server.uri)

As a command it prints one line of JSON ({"uri", "port", "pid", "database", "artifacts", "log"}) when the
server answers, and serves until SIGTERM, SIGINT or, with --until-eof, until its standard input closes, so
that nothing is left behind when the program that started it dies:

    servers.py FOLDER [--port N] [--venv .venv/mlflow2] [--workers 4] [--until-eof] [-- mlflow server options]

A folder that was served before is served again with what is in it.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

START_SECONDS = 120


@dataclasses.dataclass
class Server:
    uri: str
    port: int
    process: subprocess.Popen
    database: pathlib.Path
    artifacts: pathlib.Path
    log: pathlib.Path

    @property
    def pid(self):
        return self.process.pid

    def stop(self, hard=False):
        """Ends the server and all its workers; `hard` is kill -9."""
        if not hard and self.process.poll() is None:
            _signal_group(self.process, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        # Workers can outlive the process that started them, so the group is always swept.
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def start(folder, port=0, venv=None, workers=4, extra=()):
    """Starts a server and returns when it answers. A port of 0 takes a free one."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    venv = pathlib.Path(venv).absolute() if venv else pathlib.Path(sys.prefix)
    # Between choosing a free port and binding it another process can take it: then another is tried.
    for attempt in range(3):
        chosen = port or free_port()
        server = _launch(folder, chosen, venv, workers, extra)
        try:
            if _answers(server):
                return server
        except BaseException:  # Ctrl-C meanwhile: leave no half-started server
            server.stop(hard=True)
            raise
        server.stop(hard=True)
        if port or "address already in use" not in server.log.read_text(errors="replace").lower():
            break
    tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-20:])
    raise RuntimeError(f"the server in {folder} did not start:\n{tail}")


def _launch(folder, port, venv, workers, extra):
    database, artifacts, log = folder / "mlflow.db", folder / "artifacts", folder / "server.log"
    artifacts.mkdir(exist_ok=True)
    command = [
        str(venv / "bin" / "python"), "-m", "mlflow", "server",
        "--backend-store-uri", f"sqlite:///{database}",
        "--artifacts-destination", str(artifacts),
        "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers), *extra,
    ]  # fmt: skip
    # The caller's MLflow settings must not reach the server. Jobs would cost a process or two, and CPU.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "GIT_PYTHON_REFRESH": "quiet",
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    with open(log, "w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=environment, cwd=folder, start_new_session=True,
        )  # fmt: skip
    return Server(f"http://127.0.0.1:{port}", port, process, database, artifacts, log)


def _answers(server):
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with no_proxy.open(server.uri + "/health", timeout=5) as answer:
                # Someone else's server on the same port would answer too, so ours must still be alive.
                if answer.status == 200:
                    time.sleep(0.05)
                    return server.process.poll() is None
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


def free_port():
    """A port that nobody listens on, and none that the kernel gives to others.

    A server takes seconds until it listens. Whoever was given its port meanwhile would answer for it.
    """
    while True:
        port = random.randrange(27_001, 32_700)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def _signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def main():
    arguments = sys.argv[1:]
    extra = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, extra = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(description="Serve a folder with a real MLflow server.")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--venv", help="virtual environment to serve from (default: the running one)")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    options = parser.parse_args(arguments)

    # Turned into an exception, so that a signal during the start ends the half-started server too.
    def on_signal(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    server = None
    try:
        server = start(options.folder, options.port, options.venv, options.workers, extra)
        described = dataclasses.asdict(dataclasses.replace(server, process=None)) | {"pid": server.pid}
        del described["process"]
        print(json.dumps(described, default=str), flush=True)
        if options.until_eof:
            while sys.stdin.buffer.read1(4096):
                pass
        else:
            server.process.wait()
            return 1  # it was not told to end
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if server:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
