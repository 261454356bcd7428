"""Containers as processes: start one, run something in one, learn how it ended. launch.py does the work in the kernel.

become_subreaper() once, before the first: containers' processes become this program's children when their launcher ends.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

LAUNCHER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launch.py")
SET_CHILD_SUBREAPER = 36

# What a container runtime leaves a container that asks for nothing.
DEFAULT_CAPABILITIES = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class StartError(Exception):
    """The program could not be started; the text is what a runtime would put into the container's status."""


@dataclass
class Image:
    """What an image's name stands for here: a root folder, files that lie over it, and what the image says of itself.

    Image(["/usr/local/bin/web"], files={"/usr/local/bin/web": "bazel-bin/web"}, user="1000")
    """
    entrypoint: list = field(default_factory=list)
    command: list = field(default_factory=list)
    files: dict = field(default_factory=dict)  # path in the container -> file or folder of this machine, read-only
    env: dict = field(default_factory=dict)
    user: str = "0"                            # uid or uid:gid, as numbers
    workdir: str = "/"
    root: str = "/"                            # the lowest layer: this machine's own root when nothing else is given


def become_subreaper():
    if ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


class Process:
    """A started process. wait() from one thread only; signal() from any."""

    def __init__(self, pid):
        self.pid = pid
        self.lock = threading.Lock()
        self.code = None

    def wait(self, seconds=None):
        """Exit code (128 + signal when it was killed), or None when it still runs after `seconds`."""
        if seconds is None:
            self._reap(0)
        else:
            end = time.monotonic() + seconds
            pause = 0.002
            while not self._reap(os.WNOHANG) and time.monotonic() < end:
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
        return self.code

    def _reap(self, flags):
        if self.code is not None:
            return True
        # Waited for without being taken away, then taken away under the lock: the pid is never signalled after it is free.
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | flags)
        if found is None:
            return False
        with self.lock:
            _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self.code = code if code >= 0 else 128 - code
        return True

    def signal(self, number):
        with self.lock:
            if self.code is None:
                try:
                    os.kill(self.pid, number)
                except ProcessLookupError:
                    pass

    def kill(self):
        self.signal(signal.SIGKILL)


def launch(spec, output, errors=None, stdin=None):
    """Starts what launch.py's specification says, its output (and errors) going to that descriptor. StartError when it cannot."""
    report, theirs = os.pipe()
    kept = [theirs] if stdin is None else [theirs, stdin]
    try:
        launcher = subprocess.Popen([sys.executable, "-S", "-E", "-I", LAUNCHER, *map(str, kept)], stdin=subprocess.PIPE, stdout=output,
                                    stderr=output if errors is None else errors, pass_fds=kept, start_new_session=True)
    finally:
        os.close(theirs)
    with os.fdopen(report, encoding="utf-8", errors="replace") as answers:
        try:
            launcher.stdin.write(json.dumps(spec).encode())
            launcher.stdin.close()
        except BrokenPipeError:
            pass
        first = answers.readline()
        launcher.wait()
        if not first.startswith("pid "):
            raise StartError(first.removeprefix("error ").strip() or f"the launcher ended with {launcher.returncode}")
        process = Process(int(first.split()[1]))
        problem = answers.readline()
    if problem:
        process.wait()
        raise StartError(problem.removeprefix("error ").strip())
    return process


def run(spec, seconds):
    """Runs to its end: (exit code, output). Killed after `seconds`, with exit code None."""
    reading, writing = os.pipe()
    try:
        process = launch(spec, writing)
    except StartError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    chunks = []

    def drain():
        with os.fdopen(reading, "rb") as stream:
            while True:
                chunk = stream.read1(65536)
                if not chunk:
                    return
                chunks.append(chunk)

    drainer = threading.Thread(target=drain, daemon=True)
    drainer.start()
    code = process.wait(seconds)
    if code is None:
        process.kill()
        process.wait()
    # What it left running in the background may hold the pipe for longer: its output is not waited for.
    drainer.join(1.0)
    return code, b"".join(chunks).decode(errors="replace")
