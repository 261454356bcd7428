"""A small client of the Kubernetes API: JSON in, JSON out, one connection for each thread, and a reflector.

    api = Api("https://10.244.0.1:6443", ca="ca.crt", cert="admin.crt", key="admin.key")
    pod = api.get("/api/v1/namespaces/default/pods/web")
    Reflector(api, "/api/v1/pods", changed).start()       # changed(kind, object) on a thread of its own
"""

import http.client
import json
import ssl
import threading
import urllib.parse

from k8s.support.log import say

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """An answer that is no success: code, reason ("NotFound", "Conflict", ...) and message as the server gave them."""

    def __init__(self, code, body):
        try:
            status = json.loads(body)
        except ValueError:
            status = {}
        self.code = code
        self.reason = status.get("reason", "") if isinstance(status, dict) else ""
        self.message = status.get("message", "") if isinstance(status, dict) else ""
        super().__init__(f"{code} {self.reason}: {self.message or body[:300]}")


class Api:
    def __init__(self, server, ca, cert=None, key=None, token=None):
        address = urllib.parse.urlsplit(server)
        self.host, self.port = address.hostname, address.port
        self.context = ssl.create_default_context(cafile=ca)
        if cert:
            self.context.load_cert_chain(cert, key)
        self.token = token
        self.local = threading.local()

    def connect(self, timeout=30.0):
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)

    def headers(self, content_type=None):
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        return headers

    def request(self, method, path, body=None, content_type="application/json"):
        """The answer's JSON. ApiError for another status than 2xx, OSError when the server cannot be reached."""
        code, answer = self.raw(method, path, None if body is None else json.dumps(body), content_type)
        if not 200 <= code < 300:
            raise ApiError(code, answer)
        return json.loads(answer) if answer else None

    def raw(self, method, path, body=None, content_type="application/json"):
        """(status, text), whatever the status."""
        kept = getattr(self.local, "connection", None)
        for connection in ([kept] if kept else []) + [None]:
            fresh = connection is None
            connection = connection or self.connect()
            self.local.connection = connection
            try:
                connection.request(method, path, body, self.headers(content_type if body is not None else None))
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.local.connection = None
                # A kept connection may have been closed meanwhile; a request that fails on a fresh one fails.
                if fresh:
                    raise error if isinstance(error, OSError) else ConnectionError(repr(error)) from error
        raise AssertionError("unreachable")

    def get(self, path):
        return self.request("GET", path)

    def find(self, path):
        """The object, or None when there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def create(self, path, body):
        return self.request("POST", path, body)

    def replace(self, path, body):
        return self.request("PUT", path, body)

    def patch(self, path, body, content_type=MERGE):
        return self.request("PATCH", path, body, content_type)

    def delete(self, path, grace=None):
        return self.request("DELETE", path, {} if grace is None else {"gracePeriodSeconds": grace})

    def ready(self):
        try:
            return self.raw("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def watch(self, path, version, stopped):
        """Events {"type", "object"} until the server ends the stream."""
        parted = "&" if "?" in path else "?"
        connection = self.connect(timeout=330)
        try:
            connection.request("GET", f"{path}{parted}watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}",
                               headers=self.headers())
            answer = connection.getresponse()
            if answer.status != 200:
                raise ApiError(answer.status, answer.read().decode())
            while not stopped.is_set():
                line = answer.readline()
                if not line:
                    return
                yield json.loads(line)
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()


class Reflector:
    """Lists, watches, lists again when it must. Calls changed("set" or "gone", object) on its own thread, and synced() once."""

    def __init__(self, api, path, changed):
        self.api, self.path, self.changed = api, path, changed
        self.stopped = threading.Event()
        self.synced = threading.Event()
        self.known = {}
        self.thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopped.set()

    def _run(self):
        version = None
        while not self.stopped.is_set():
            try:
                version = self._list() if version is None else version
                for event in self.api.watch(self.path, version, self.stopped):
                    version = self._take(event)
                    if version is None:
                        break
            except ApiError:
                version = None
                self.stopped.wait(0.2)
            except (OSError, ValueError):
                # The server is away: the version stays good until it says otherwise.
                self.stopped.wait(0.2)
            except Exception as error:  # noqa: BLE001: one object that cannot be worked with must not end the watch
                say(f"watch of {self.path}: {error!r}")
                version = None
                self.stopped.wait(0.2)

    def _list(self):
        listed = self.api.get(self.path)
        fresh = {item["metadata"]["uid"]: item for item in listed.get("items") or []}
        for uid in [uid for uid in self.known if uid not in fresh]:
            self._call("gone", self.known.pop(uid))
        for uid, item in fresh.items():
            old = self.known.get(uid)
            self.known[uid] = item
            if old is None or old["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._call("set", item)
        self.synced.set()
        return listed["metadata"]["resourceVersion"]

    def _take(self, event):
        """The version to go on from; None: list again."""
        item = event["object"]
        if event["type"] == "ERROR":
            return None
        if event["type"] in ("ADDED", "MODIFIED"):
            self.known[item["metadata"]["uid"]] = item
            self._call("set", item)
        elif event["type"] == "DELETED":
            self.known.pop(item["metadata"]["uid"], None)
            self._call("gone", item)
        return item["metadata"]["resourceVersion"]

    def _call(self, kind, item):
        if not self.stopped.is_set():
            self.changed(kind, item)
