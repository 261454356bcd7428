"""A pod's volumes as folders: projected tokens, downward API, config maps and secrets with their updates, empty folders.

The files of one volume are replaced together, the way a kubelet does it: they live in a folder named by time, `..data` is a link to
it that changes atomically, and the names users see are links through `..data`.
"""

import base64
import os
import shutil
import subprocess
import time

from k8s.podrunner import fields


class VolumeError(Exception):
    """A volume cannot be made (yet): a ConfigMap is missing, a token was refused."""


class Volumes:
    """Of one pod. make() until it succeeds, then refresh() now and then: it does what is due and is cheap otherwise."""

    def __init__(self, runner, pod, folder):
        self.runner, self.folder = runner, folder
        self.namespace = pod["metadata"]["namespace"]
        self.volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
        self.written = {}
        self.tokens = {}
        self.mounted = []
        context = pod["spec"].get("securityContext") or {}
        self.fs_group = context.get("fsGroup")
        self.owner = self._one_user(pod["spec"], context)

    @staticmethod
    def _one_user(spec, context):
        """The uid that all containers share, when they say so: then it owns the token files, else everyone may read them."""
        users = {(c.get("securityContext") or {}).get("runAsUser", context.get("runAsUser"))
                 for c in (spec.get("containers") or []) + (spec.get("initContainers") or [])}
        return users.pop() if len(users) == 1 else None

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, pod):
        for name, volume in self.volumes.items():
            path = self.path(name)
            if "emptyDir" in volume:
                self._empty(path, volume["emptyDir"] or {})
            elif "hostPath" in volume:
                self._host(volume["hostPath"])
            else:
                os.makedirs(path, mode=0o755, exist_ok=True)
                self._write(pod, volume)

    def refresh(self, pod):
        """After a change of the pod, of a config map or secret, or of time. VolumeError leaves what was there."""
        for volume in self.volumes.values():
            if "emptyDir" not in volume and "hostPath" not in volume:
                self._write(pod, volume)

    def source(self, mount):
        """(path on this machine, "dir" or "file") of one volumeMount."""
        volume = self.volumes[mount["name"]]
        path = volume["hostPath"]["path"] if "hostPath" in volume else self.path(mount["name"])
        if mount.get("subPath"):
            path = os.path.realpath(os.path.join(path, mount["subPath"]))
            if not os.path.exists(path) and "emptyDir" in volume:
                os.makedirs(path)
        return path, "dir" if os.path.isdir(path) else "file"

    def remove(self):
        for path in reversed(self.mounted):
            subprocess.run(["umount", "-l", path], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _empty(self, path, how):
        if os.path.isdir(path):
            return
        os.makedirs(path)
        if how.get("medium") == "Memory":
            size = f",size={fields.quantity(how['sizeLimit'])}" if how.get("sizeLimit") else ""
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0777" + size, "tmpfs", path], check=True)
            self.mounted.append(path)
        os.chmod(path, 0o777)
        if self.fs_group is not None:
            os.chown(path, 0, self.fs_group)
            os.chmod(path, 0o2777)

    @staticmethod
    def _host(how):
        if how.get("type") in ("DirectoryOrCreate",):
            os.makedirs(how["path"], exist_ok=True)
        if not os.path.exists(how["path"]):
            raise VolumeError(f"hostPath {how['path']} does not exist")

    # --- contents -----------------------------------------------------------------------------

    def _write(self, pod, volume):
        files = {}
        for kind in ("configMap", "secret", "downwardAPI", "projected"):
            if kind in volume:
                mode = volume[kind].get("defaultMode", 0o644)
                if kind == "projected":
                    for source in volume[kind].get("sources") or []:
                        self._source(pod, volume["name"], source, mode, files)
                else:
                    self._source(pod, volume["name"], {kind: volume[kind]}, mode, files)
        # Written when it differs, so that readers see a change only where there is one.
        if self.written.get(volume["name"]) != files:
            swap(self.path(volume["name"]), files, self.fs_group)
            self.written[volume["name"]] = files

    def _source(self, pod, volume, source, mode, files):
        """Adds path -> (bytes, mode, owner)."""
        if "configMap" in source:
            how = source["configMap"]
            found = self._object("configmaps", how.get("name"), how.get("optional"))
            data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
            data.update({key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()})
            self._items(how, data, mode, files)
        elif "secret" in source:
            how = source["secret"]
            found = self._object("secrets", how.get("secretName") or how.get("name"), how.get("optional"))
            self._items(how, {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}, mode, files)
        elif "downwardAPI" in source:
            for item in source["downwardAPI"].get("items") or []:
                files[item["path"]] = (fields.value(pod, item).encode(), item.get("mode", mode), None)
        elif "serviceAccountToken" in source:
            how = source["serviceAccountToken"]
            token = self._token(pod, volume, how)
            owner = self.owner if self.fs_group is None else None
            files[how["path"]] = (token.encode(), 0o600 if owner is not None or self.fs_group is not None else mode, owner)
        else:
            raise VolumeError(f"volume {volume}: a source of kind {', '.join(source)} is not played here")

    def _object(self, kind, name, optional):
        found = self.runner.object(kind, self.namespace, name)
        if found is None:
            if optional:
                return {}
            raise VolumeError(f'{kind[:-1]} "{name}" not found')
        return found

    @staticmethod
    def _items(how, data, mode, files):
        if not how.get("items"):
            files.update({key: (value, mode, None) for key, value in data.items()})
            return
        for item in how["items"]:
            if item["key"] not in data:
                if how.get("optional"):
                    continue
                raise VolumeError(f"references non-existent key: {item['key']}")
            files[item["path"]] = (data[item["key"]], item.get("mode", mode), None)

    def _token(self, pod, volume, how):
        key = (volume, how["path"])
        token, issued = self.tokens.get(key, (None, 0.0))
        seconds = how.get("expirationSeconds", 3600)
        # Renewed at four fifths of its life, as a kubelet does; sooner when a test says so.
        if time.time() < issued + min(0.8 * seconds, self.runner.token_life):
            return token
        spec = {"expirationSeconds": seconds, "boundObjectRef": {
            "kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}}
        if how.get("audience"):
            spec["audiences"] = [how["audience"]]
        account = pod["spec"].get("serviceAccountName") or "default"
        try:
            made = self.runner.api.create(f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token",
                                          {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
        except Exception as error:
            if token is not None:
                return token
            raise VolumeError(f"token for {account}: {error}") from error
        self.tokens[key] = (made["status"]["token"], time.time())
        return made["status"]["token"]


def swap(folder, files, group):
    """Replaces everything in `folder` by `files` at one stroke."""
    stamp = os.path.join(folder, f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{time.monotonic_ns()}")
    os.mkdir(stamp, 0o755)
    for name, (content, mode, owner) in files.items():
        path = os.path.join(stamp, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        os.chmod(path, mode | (0o440 if group is not None else 0))
        if owner is not None or group is not None:
            os.chown(path, owner if owner is not None else 0, group if group is not None else 0)
    data = os.path.join(folder, "..data")
    old = os.path.realpath(data) if os.path.islink(data) else None
    os.symlink(os.path.basename(stamp), data + "_tmp")
    os.rename(data + "_tmp", data)
    tops = {name.split("/")[0] for name in files}
    for name in tops:
        if not os.path.islink(os.path.join(folder, name)):
            os.symlink(os.path.join("..data", name), os.path.join(folder, name))
    for name in os.listdir(folder):
        if not name.startswith("..") and name not in tops:
            os.unlink(os.path.join(folder, name))
    if old:
        shutil.rmtree(old, ignore_errors=True)
