"""How an emulator lives: what both have in common as programs, and how one is started from another."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys


def serve(make, explained, options):
    """Serves until standard input closes or SIGTERM, and ends the program.

    `make(options)` gives the emulator; `explained(described)` is what `--explain` prints instead of the line of JSON, and then until Ctrl-C.
    """
    status = until_the_end(make, explained, options)
    sys.stdout.flush()
    # Connections that are still open have threads that wait for them.
    os._exit(status)


def until_the_end(make, explained, options):
    # Turned into an exception, so that a signal during the start ends the half-started server too.
    def on_signal(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    emulator = None
    try:
        emulator = make(options)
        emulator.start()
        if options.explain:
            print(explained(emulator.described()), flush=True)
            signal.pause()
        print(json.dumps(emulator.described()), flush=True)
        while sys.stdin.buffer.read1(4096):
            pass
    except KeyboardInterrupt:
        pass
    except (OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if emulator:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            emulator.stop()
            emulator.store.close()
    return 0


@contextlib.contextmanager
def running(script, directory, *options):
    """A running emulator: what it said of itself."""
    command = [sys.executable, "-B", str(pathlib.Path(__file__).with_name(script)), "--directory", str(directory), *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the emulator did not start")
        yield json.loads(line)
    finally:
        process.stdin.close()
        process.wait(30)
