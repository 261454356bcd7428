"""Processes and places: starting a program in a pod, asking a page inside it, ending only what was started."""

import json
import os
import signal
import subprocess
import time


class Failure(Exception):
    """A claim that did not hold, or a part that did not start; the text says what and where to look."""


def wait_for(what, check, seconds=20.0, pause=0.05):
    """Polls check() until it gives something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


class Pod:
    """Where a workload runs: a loopback address, or a network namespace of its own."""

    def __init__(self, name, address, namespace=None):
        self.name, self.address, self.namespace = name, address, namespace

    def command(self, argv, uid=None):
        if self.namespace is None:
            return argv
        if uid is not None:
            argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] + argv
        return ["ip", "netns", "exec", self.namespace] + argv

    def curl(self, *argv, timeout=5):
        """(exit code, status, body). Exit code 0: there was an answer."""
        argv = ["curl", "-sS", "--noproxy", "*", "-m", str(timeout), "-w", "\n%{http_code}"] + list(argv)
        done = subprocess.run(self.command(argv), capture_output=True, text=True)
        body, _, status = done.stdout.rpartition("\n")
        return done.returncode, int(status or 0), body if done.returncode == 0 else done.stderr

    def get(self, url, *argv, timeout=5):
        code, status, body = self.curl(url, *argv, timeout=timeout)
        return body if code == 0 and status == 200 else None

    def get_json(self, url):
        body = self.get(url)
        return None if body is None else json.loads(body)


class Processes:
    """Everything the demo started, by the name it is spoken of."""

    def __init__(self, log_dir):
        self.log_dir = log_dir
        self.running = {}
        os.makedirs(log_dir, exist_ok=True)

    def start(self, name, argv):
        log = open(self.log_path(name), "ab")
        # A group of its own, so that Ctrl-C reaches us and we end the others in order.
        self.running[name] = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        return self.running[name]

    def log_path(self, name):
        return os.path.join(self.log_dir, name + ".log")

    def log(self, name):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def check_alive(self):
        for name, process in self.running.items():
            if process.poll() is not None:
                raise Failure(f"{name} ended with code {process.returncode}; its log: {self.log_path(name)}")

    def end(self, name, how=signal.SIGTERM, seconds=10):
        process = self.running.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end_all(self):
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + 5
        for process in self.running.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
