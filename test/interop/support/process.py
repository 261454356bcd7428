"""Programs under test: free ports, start, wait until ready, end, all by their own process id."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = os.environ.get("TEST_SRCDIR") and os.getcwd() or os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))


def peer(name):
    """Path of a peer, installed when it is not there yet (tools/peers/NAME)."""
    done = subprocess.run([os.path.join(ROOT, "tools/peers", name)], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def program(path):
    """Path of one of our programs: Bazel hands it over relative to the runfiles."""
    return os.path.abspath(path)


def free_ports(count, address="127.0.0.1"):
    """Distinct free TCP ports. The tests that use this are exclusive, so nobody takes one in between."""
    held = []
    for _ in range(count):
        one = socket.socket()
        one.bind((address, 0))
        held.append(one)
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def get(url, method="GET", timeout=5.0):
    """(status, body text, headers) of one plain HTTP request; an error status is an answer, not an exception."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode(errors="replace"), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace"), dict(error.headers)


class Program:
    """One process with its output in a file. Use as a context manager: leaving ends it (SIGTERM, then SIGKILL)."""

    def __init__(self, args, log, env=None):
        self.args = [str(arg) for arg in args]
        self.log_path = str(log)
        with open(self.log_path, "ab") as out:
            self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                            env=env)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds):
        """Exit code, or None when it still runs after `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds=3.0):
        if not self.running():
            return
        self.signal(signal.SIGTERM)
        if self.wait(seconds) is None:
            self.process.kill()
            self.process.wait()

    def wait_ready(self, admin_port, seconds=30.0):
        """Until GET /ready of the admin page answers 200; raises with the program's output otherwise."""
        until(lambda: self._ready(admin_port), seconds, lambda: f"{self.args[0]} is not ready:\n{self.log()[-4000:]}")

    def _ready(self, admin_port):
        if not self.running():
            raise RuntimeError(f"{self.args[0]} ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        try:
            return get(f"http://127.0.0.1:{admin_port}/ready", timeout=2)[0] == 200
        except OSError:
            return False


def until(condition, seconds, text=lambda: "it did not happen", step=0.02):
    """Polls `condition` and answers its first true value; raises TimeoutError with text() after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(text() if callable(text) else text)
        time.sleep(step)
