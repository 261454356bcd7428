"""From a pod's container and its image to what launch.py starts. Pure, except that it asks the pod for its volumes' paths."""

from k8s.podrunner import fields
from k8s.podrunner.runtime import DEFAULT_CAPABILITIES, DEFAULT_PATH


class ConfigError(Exception):
    """The container cannot be made as its specification says: CreateContainerConfigError."""


def user(pod, container, image):
    """(uid, gid, groups)."""
    context, of_pod = container.get("securityContext") or {}, pod["spec"].get("securityContext") or {}
    image_uid, _, image_gid = image.user.partition(":")
    uid = context.get("runAsUser", of_pod.get("runAsUser", int(image_uid or 0)))
    gid = context.get("runAsGroup", of_pod.get("runAsGroup", int(image_gid or 0)))
    if context.get("runAsNonRoot", of_pod.get("runAsNonRoot")) and uid == 0:
        raise ConfigError("container has runAsNonRoot and image will run as root")
    groups = set(of_pod.get("supplementalGroups") or [])
    if of_pod.get("fsGroup") is not None:
        groups.add(of_pod["fsGroup"])
    return uid, gid, sorted(groups)


def capabilities(container):
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        return ["ALL"]
    asked = context.get("capabilities") or {}
    dropped = {name.removeprefix("CAP_") for name in asked.get("drop") or []}
    kept = [] if "ALL" in dropped else [name for name in DEFAULT_CAPABILITIES if name not in dropped]
    added = [name.removeprefix("CAP_") for name in asked.get("add") or []]
    return sorted(set(kept) | set(added))


def argv(container, image, env):
    if container.get("command"):
        words = container["command"] + (container.get("args") or [])
    else:
        words = image.entrypoint + (container["args"] if container.get("args") else image.command)
    if not words:
        raise ConfigError("no command specified")
    return [fields.expand(word, env) for word in words]


def mounts(container, image, volumes, files):
    """Image's files, then the pod's own (hosts, resolv.conf), then the container's volumes, the outer before the inner."""
    made = [{"source": source, "target": target, "kind": "dir" if source.endswith("/") else "file", "readonly": True}
            for target, source in sorted(image.files.items())]
    made += [{"source": source, "target": target, "kind": "file"} for target, source in files.items()]
    for mount in sorted(container.get("volumeMounts") or [], key=lambda one: one["mountPath"]):
        source, kind = volumes.source(mount)
        made.append({"source": source, "target": mount["mountPath"], "kind": kind, "readonly": mount.get("readOnly", False)})
    return made


def container_spec(pod, container, image, env, layers, mounted, netns):
    context = container.get("securityContext") or {}
    uid, gid, groups = user(pod, container, image)
    env = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname(pod), "HOME": "/root" if uid == 0 else "/", **env}
    return {"root": {"lower": image.root, **layers}, "netns": netns, "mounts": mounted,
            "readonly": context.get("readOnlyRootFilesystem", False), "privileged": context.get("privileged", False),
            "hostname": None if pod["spec"].get("hostNetwork") else hostname(pod), "uid": uid, "gid": gid, "groups": groups,
            "capabilities": capabilities(container), "no_new_privileges": context.get("allowPrivilegeEscalation") is False,
            "argv": argv(container, image, env), "env": env, "cwd": container.get("workingDir") or image.workdir,
            "pidns": not pod["spec"].get("hostPID", False)}


def exec_spec(started, pid, command):
    """One more process like the container's own."""
    kept = ("uid", "gid", "groups", "capabilities", "no_new_privileges", "privileged", "env", "cwd")
    return {**{name: started[name] for name in kept}, "join": pid, "argv": command}


def hostname(pod):
    return (pod["spec"].get("hostname") or pod["metadata"]["name"])[:63]
