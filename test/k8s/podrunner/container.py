"""One container of a pod: started, probed, restarted with backoff, stopped. Its thread is the only one that starts it.

What the pod's other threads read (state, started, ready, ...) changes under the pod's lock, which is notified each time.
"""

import os
import signal
import threading
import time

from k8s.podrunner import checks, fields, runtime, spec as making
from k8s.podrunner.volumes import VolumeError
from k8s.support.log import say

# However little grace is left, a container has this long between SIGTERM and SIGKILL.
MIN_GRACE = 2.0
STABLE = 600.0
DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Container:
    def __init__(self, pod, spec, kind):
        self.pod, self.spec, self.kind = pod, spec, kind        # kind: init, sidecar, main
        self.name = spec["name"]
        self.folder = os.path.join(pod.folder, "containers", self.name)
        self.waiting = ("PodInitializing" if pod.has_init and kind != "init" else "ContainerCreating", "")
        self.running_since = None
        self.ended = None                 # the last end: exitCode, reason, message, startedAt, finishedAt
        self.restarts = -1
        self.started = False
        self.ready = False
        self.attempted = False            # the first start, with its postStart hook, is over
        self.done = False                 # it will not be started again
        self.halted = threading.Event()   # stop() was called
        self.process = None
        self.made = None
        self.thread = None

    # --- what the pod asks --------------------------------------------------------------------

    def begin(self):
        self.thread = threading.Thread(target=self._run, name=f"{self.pod.name}/{self.name}", daemon=True)
        self.thread.start()

    def succeeded(self):
        return self.done and self.ended is not None and self.ended["exitCode"] == 0

    def stop(self, end, turn=()):
        """Ends it by `end` (monotonic): preStop at once, then its turn (events), SIGTERM, at last SIGKILL."""
        self.halted.set()
        process = self.process
        if process is not None and process.code is None:
            self.pod.event("Normal", "Killing", f"Stopping container {self.name}", self.spec)
            self._hook("preStop", end - time.monotonic())
            for event in turn:
                event.wait(max(0.0, end - time.monotonic()))
            self._terminate(process, max(MIN_GRACE, end - time.monotonic()))
        if self.thread is not None:
            self.thread.join()
        with self.pod.lock:
            self.done = True
            self.pod.notify()

    def exec(self, argv, seconds):
        """(exit code, output) of a command run beside it. StartError when it does not run."""
        process, made = self.process, self.made
        if process is None or process.code is not None:
            raise runtime.StartError(f"container {self.name} is not running")
        return runtime.run(making.exec_spec(made, process.pid, argv), seconds)

    def log_path(self, previous=False):
        return os.path.join(self.folder, f"{max(0, self.restarts - (1 if previous else 0))}.log")

    # --- its thread ---------------------------------------------------------------------------

    def _run(self):
        backoff = self.pod.runner.first_backoff
        while not self.halted.is_set():
            began = time.monotonic()
            ran = self._once()
            with self.pod.lock:
                self.attempted = True
                self.started = self.ready = False
                if ran and not self._again():
                    self.done = True
                self.pod.notify()
                if self.done:
                    return
                if ran:
                    self.waiting = ("CrashLoopBackOff", f"back-off {backoff:g}s restarting failed container={self.name}")
            if time.monotonic() - began > STABLE:
                backoff = self.pod.runner.first_backoff
            if ran:
                self.pod.event("Warning", "BackOff", f"Back-off restarting failed container {self.name}", self.spec)
            self.halted.wait(backoff if ran else min(backoff, 1.0))
            backoff = min(backoff * 2, self.pod.runner.last_backoff)

    def _again(self):
        if self.halted.is_set():
            return False
        policy = self.pod.spec.get("restartPolicy", "Always")
        if self.kind == "sidecar":
            return True
        failed = self.ended["exitCode"] != 0
        if self.kind == "init":
            return failed and policy != "Never"
        return policy == "Always" or (failed and policy == "OnFailure")

    def _once(self):
        """One life. False: it could not be started (waiting says why)."""
        image = self.pod.runner.image(self.spec["image"])
        if image is None:
            return self._cannot("ImagePullBackOff", f'Back-off pulling image "{self.spec["image"]}": no such image here')
        try:
            made = self._make(image)
        except (fields.FieldError, making.ConfigError, VolumeError, KeyError, ValueError) as error:
            return self._cannot("CreateContainerConfigError", str(error))
        message_path = os.path.join(self.folder, "termination-log")
        os.truncate(message_path, 0)
        self.restarts += 1
        began = now()
        try:
            with open(self.log_path(), "ab") as log:
                process = runtime.launch(made, log.fileno())
        except runtime.StartError as error:
            self._cannot("RunContainerError", str(error))
            self._record(128, "StartError", str(error), began)
            return True
        self.made, self.process = made, process
        self.pod.event("Normal", "Started", f"Started container {self.name}", self.spec)
        if self.halted.is_set():
            # stop() looked before there was a process to end.
            threading.Thread(target=self._terminate, args=(process, MIN_GRACE), daemon=True).start()
        over = threading.Event()
        life = threading.Thread(target=self._live, args=(process, began, over), daemon=True)
        life.start()
        code = process.wait()
        over.set()
        life.join()
        with open(message_path, encoding="utf-8", errors="replace") as file:
            message = file.read(4096)
        if not message and code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            with open(self.log_path(), encoding="utf-8", errors="replace") as file:
                message = file.read()[-2048:]
        self._record(code, "Completed" if code == 0 else "Error", message, began)
        return True

    def _cannot(self, reason, message):
        with self.pod.lock:
            changed = self.waiting != (reason, message)
            self.waiting = (reason, message)
            self.pod.notify()
        if changed:
            self.pod.event("Warning", "Failed", f"Error: {message}", self.spec)
        return False

    def _record(self, code, reason, message, began):
        with self.pod.lock:
            self.running_since = None
            self.ended = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now(),
                          "containerID": self.container_id(), **({"message": message} if message else {})}
            if code > 128 and reason == "Error":
                self.ended["signal"] = code - 128
            self.pod.notify()

    def container_id(self):
        return f"podrunner://{self.pod.uid}-{self.name}-{max(0, self.restarts)}"

    def _make(self, image):
        layers = {name: os.path.join(self.folder, str(self.restarts + 1), name) for name in ("upper", "work", "merged")}
        for path in layers.values():
            os.makedirs(path, exist_ok=True)
        message = os.path.join(self.folder, "termination-log")
        if not os.path.exists(message):
            with open(os.open(message, os.O_CREAT | os.O_WRONLY, 0o666), "w", encoding="ascii"):
                pass
            os.chmod(message, 0o666)
        pod = self.pod.object()
        env = fields.environment(pod, self.spec, image.env, self.pod.service_environment(),
                                 lambda kind, name: self.pod.runner.object(kind, self.pod.namespace, name))
        files = {**self.pod.files, self.spec.get("terminationMessagePath", "/dev/termination-log"): message}
        mounted = making.mounts(self.spec, image, self.pod.volumes, files)
        return making.container_spec(pod, self.spec, image, env, layers, mounted, self.pod.netns_path())

    def _live(self, process, began, over):
        """postStart, then the probes, until `over`."""
        problem = self._hook("postStart", None)
        if problem:
            self.pod.event("Warning", "FailedPostStartHook", f"PostStartHook failed: {problem}", self.spec)
            self._terminate(process, self.pod.grace)
            return
        with self.pod.lock:
            if process.code is None:
                self.running_since = began
                self.started = "startupProbe" not in self.spec
                self.ready = self.started and "readinessProbe" not in self.spec
            self.attempted = True
            self.pod.notify()
        probing = [threading.Thread(target=self._probe, args=(kind, process, over), name=f"{self.pod.name}/{self.name} {kind}",
                                    daemon=True)
                   for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in self.spec]
        for thread in probing:
            thread.start()

    def _terminate(self, process, grace):
        process.signal(signal.SIGTERM)
        end = time.monotonic() + grace
        while process.code is None and time.monotonic() < end:
            time.sleep(0.01)
        process.kill()

    # --- hooks and probes ---------------------------------------------------------------------

    def _hook(self, name, seconds):
        """Runs the lifecycle hook, if there is one, and answers why it failed, or None."""
        how = (self.spec.get("lifecycle") or {}).get(name)
        if not how or (seconds is not None and seconds <= 0):
            return None
        try:
            passed, message = self._handle(how, seconds if seconds is not None else 3600.0)
        except runtime.StartError as error:
            passed, message = False, str(error)
        if passed:
            return None
        if name == "preStop":
            self.pod.event("Warning", "FailedPreStopHook", f"PreStopHook failed: {message}", self.spec)
        return message or "failed"

    def _handle(self, how, timeout):
        address = self.pod.address
        if "exec" in how:
            code, output = self.exec(how["exec"]["command"], timeout)
            return code == 0, f"command timed out after {timeout:g}s" if code is None else output[:1000] or f"exit code {code}"
        if "httpGet" in how:
            return checks.http_get(how["httpGet"], self.spec, address, timeout)
        if "tcpSocket" in how:
            return checks.tcp_socket(how["tcpSocket"], self.spec, address, timeout)
        if "grpc" in how:
            return checks.grpc(how["grpc"], address, timeout)
        time.sleep(min(how["sleep"]["seconds"], timeout))
        return True, ""

    def _probe(self, kind, process, over):
        how = {**DEFAULTS, **self.spec[kind]}
        over.wait(how["initialDelaySeconds"])
        count, last = 0, None
        while not over.is_set():
            if kind != "readinessProbe" and self.halted.is_set():
                return
            if kind == "startupProbe" and self.started:
                return
            if kind != "startupProbe" and not self.started:
                self._until_started(over)
                continue
            try:
                passed, message = self._handle(how, how["timeoutSeconds"])
            except runtime.StartError as error:
                passed, message = False, str(error)
            if over.is_set():
                return
            count, last = (count + 1 if passed == last else 1), passed
            if not passed:
                self.pod.event("Warning", "Unhealthy", f"{kind.removesuffix('Probe').capitalize()} probe failed: {message}", self.spec)
            if count >= how["successThreshold" if passed else "failureThreshold"] and self._conclude(kind, passed, process, how):
                return
            over.wait(how["periodSeconds"])

    def _until_started(self, over):
        with self.pod.lock:
            self.pod.lock.wait_for(lambda: self.started or over.is_set(), 0.5)

    def _conclude(self, kind, passed, process, how):
        """True when this probe has nothing more to do for this life of the container."""
        if kind == "readinessProbe":
            with self.pod.lock:
                if self.ready != passed:
                    self.ready = passed
                    self.pod.notify()
            return False
        if kind == "startupProbe" and passed:
            with self.pod.lock:
                self.started = True
                self.ready = self.ready or "readinessProbe" not in self.spec
                self.pod.notify()
            return True
        if passed:
            return False
        self.pod.event("Normal", "Killing", f"Container {self.name} failed {kind.removesuffix('Probe')} probe, will be restarted",
                       self.spec)
        say(f"{self.pod.name}/{self.name}: {kind} failed, restarting it")
        grace = how.get("terminationGracePeriodSeconds", self.pod.grace)
        end = time.monotonic() + grace
        self._hook("preStop", grace)
        self._terminate(process, max(MIN_GRACE, end - time.monotonic()))
        return True

    # --- status -------------------------------------------------------------------------------

    def status(self):
        """As in containerStatuses; call with the pod's lock held."""
        last = {}
        if self.running_since is not None:
            state = {"running": {"startedAt": self.running_since}}
            last = {"terminated": self.ended} if self.ended else {}
        elif self.ended is not None and (self.done or self.halted.is_set()):
            state = {"terminated": self.ended}
        else:
            reason, message = self.waiting
            state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
            last = {"terminated": self.ended} if self.ended else {}
        ready = self.succeeded() if self.kind == "init" else self.ready and self.running_since is not None
        status = {"name": self.name, "image": self.spec["image"], "imageID": "", "state": state, "lastState": last,
                  "ready": ready, "restartCount": max(0, self.restarts),
                  "started": self.started and self.running_since is not None}
        if self.restarts >= 0:
            status["containerID"] = self.container_id()
        return status
