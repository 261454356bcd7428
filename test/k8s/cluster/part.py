"""One program of the control plane: etcd, kube-apiserver or kube-controller-manager."""

import os
import signal
import subprocess


class Part:
    def __init__(self, name, argv, log):
        self.name, self.argv, self.log_path = name, argv, log
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            start_new_session=True)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """At once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def _end(self, number):
        if not self.running():
            return
        self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self, last=6000):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-last:]
