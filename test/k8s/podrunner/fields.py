"""What a container is told of its pod: field references, resource references, environment with $(NAME) in it. Pure."""

import base64
import math
import re

UNITS = {"": 1, "m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
NODE_CPUS, NODE_MEMORY = 2, 8 * 2**30

REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


class FieldError(Exception):
    """A reference that leads nowhere; the container is not started until it does."""


def quantity(text):
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()
    return math.ceil(float(number) * UNITS[unit])


def field(pod, path):
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    plain = {"metadata.name": meta["name"], "metadata.namespace": meta["namespace"], "metadata.uid": meta["uid"],
             "spec.nodeName": spec.get("nodeName", ""), "spec.serviceAccountName": spec.get("serviceAccountName", ""),
             "status.hostIP": status.get("hostIP", ""), "status.podIP": status.get("podIP", ""),
             "status.hostIPs": ",".join(one["ip"] for one in status.get("hostIPs") or []),
             "status.podIPs": ",".join(one["ip"] for one in status.get("podIPs") or [])}
    if path in plain:
        return plain[path]
    whole = re.fullmatch(r"metadata\.(labels|annotations)", path)
    if whole:
        entries = sorted((meta.get(whole[1]) or {}).items())
        return "".join(f'{key}="{_quoted(value)}"\n' for key, value in entries)
    one = re.fullmatch(r"metadata\.(labels|annotations)\['(.*)'\]", path)
    if one:
        return (meta.get(one[1]) or {}).get(one[2], "")
    raise FieldError(f"unsupported fieldPath: {path}")


def _quoted(value):
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource(pod, container, how):
    named = how.get("containerName")
    if named:
        container = next(c for c in pod["spec"]["containers"] + (pod["spec"].get("initContainers") or []) if c["name"] == named)
    kind, _, name = how["resource"].partition(".")
    given = ((container.get("resources") or {}).get(kind) or {}).get(name)
    if given is None and kind == "limits":
        given = {"cpu": NODE_CPUS, "memory": NODE_MEMORY}.get(name, 0)
    if given is None:
        return "0"
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(given)).groups()
    divided = float(number) * UNITS[unit]
    divisor = str(how.get("divisor") or "1")
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", divisor).groups()
    return str(math.ceil(divided / ((float(number) or 1) * UNITS[unit])))


def value(pod, item, container=None):
    """Of one downward API item or valueFrom with fieldRef or resourceFieldRef."""
    if "fieldRef" in item:
        return field(pod, item["fieldRef"]["fieldPath"])
    return resource(pod, container, item["resourceFieldRef"])


def expand(text, known):
    """$(NAME) by what is known; unknown names and $$ stay as Kubernetes has them: $(NAME) and $."""
    return REFERENCE.sub(lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]), text)


def environment(pod, container, image_env, services, lookup):
    """The container's variables. lookup(kind, name) gives a ConfigMap's or Secret's object, or None."""
    env = dict(image_env)
    env.update(services)
    for source in container.get("envFrom") or []:
        kind, key = ("configmaps", "configMapRef") if "configMapRef" in source else ("secrets", "secretRef")
        for name, content in _data(lookup, kind, source[key]["name"], source[key].get("optional")).items():
            env[source.get("prefix", "") + name] = content
    for one in container.get("env") or []:
        given = one.get("valueFrom")
        if not given:
            env[one["name"]] = expand(one.get("value", ""), env)
            continue
        if "fieldRef" in given or "resourceFieldRef" in given:
            env[one["name"]] = value(pod, given, container)
            continue
        kind, key = ("configmaps", "configMapKeyRef") if "configMapKeyRef" in given else ("secrets", "secretKeyRef")
        how = given[key]
        data = _data(lookup, kind, how["name"], how.get("optional"))
        if how["key"] in data:
            env[one["name"]] = data[how["key"]]
        elif not how.get("optional"):
            raise FieldError(f"couldn't find key {how['key']} in {kind[:-1]} {how['name']}")
    return env


def _data(lookup, kind, name, optional):
    found = lookup(kind, name)
    if found is None:
        if optional:
            return {}
        raise FieldError(f'{kind[:-1]} "{name}" not found')
    data = found.get("data") or {}
    return {key: base64.b64decode(text).decode(errors="replace") for key, text in data.items()} if kind == "secrets" else data
