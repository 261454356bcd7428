"""An upgrade of a mesh that carries traffic: the version before, its custom resources and sidecars, then this one over it.

The version before is this one's programs that say 0.0.9 of themselves, with custom resource definitions that know less.

usage: scenarios.py
"""

import json
import os
import subprocess
import sys

import scenarios
from k8s import world
from mesh import SHOP, SYSTEM, VISITORS, identity, images as usual
from report import need

NOW, BEFORE = b"0.1.0", b"0.0.9"
RENEWED = ("web", "catalog", "reviews-v1", "reviews-v2", "stock", "redis")
STORED = [("heddle.dev/v1", "backendpolicies"), ("heddle.dev/v1", "authorizationpolicies"), ("heddle.dev/v1", "meshconfigs"),
          ("gateway.networking.k8s.io/v1", "httproutes")]


def older(programs):
    """{name: path} of programs that say that they are the version before."""
    out = dict(programs)
    for name in ("heddle-proxy", "heddle-control", "heddlectl"):
        with open(programs[name], "rb") as file:
            content = file.read()
        need(NOW in content, f"{name} does not say its version")
        out[name] = os.path.join(world.folder(), "before", name)
        os.makedirs(os.path.dirname(out[name]), exist_ok=True)
        with open(out[name], "wb") as file:
            file.write(content.replace(NOW, BEFORE))
        os.chmod(out[name], 0o755)
    return out


def images(programs):
    tag = ":" + BEFORE.decode()
    return {name + tag: image for name, image in usual(older(programs)).items() if name.endswith(("heddle-proxy", "heddle-control"))}


def before(mesh, *argv):
    """heddlectl of the version before: (exit code, output, errors)."""
    path = os.path.join(world.folder(), "before", "heddlectl")
    done = subprocess.run([path, *argv], capture_output=True, text=True, check=False, env=mesh.environment())
    return done.returncode, done.stdout, done.stderr


def now(mesh, *argv):
    done = subprocess.run([mesh.programs["heddlectl"], *argv], capture_output=True, text=True, check=False, env=mesh.environment())
    return done.returncode, done.stdout, done.stderr


def objects(mesh, text):
    """The documents of a stream of YAML."""
    left, found = mesh.cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", text=text).strip(), []
    while left:
        item, end = json.JSONDecoder().raw_decode(left)
        found += item.get("items", [item])
        left = left[end:].strip()
    return found


def know_less(schema):
    """Takes out of a schema what a version before did not have yet: rules between fields, and descriptions."""
    schema.pop("x-kubernetes-validations", None)
    schema.pop("description", None)
    for below in [*schema.get("properties", {}).values(), *[schema[key] for key in ("items", "additionalProperties")
                                                            if isinstance(schema.get(key), dict)]]:
        know_less(below)


def older_installed(mesh):
    code, text, errors = before(mesh, "install")
    need(code == 0, errors)
    items = objects(mesh, text)
    for item in items:
        if item["kind"] != "CustomResourceDefinition":
            continue
        for version in item["spec"]["versions"]:
            version.pop("additionalPrinterColumns", None)
            know_less(version["schema"]["openAPIV3Schema"])
            spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            # A field that came later.
            if item["spec"]["names"]["plural"] == "backendpolicies":
                need(spec.pop("outlierDetection", None) is not None, f"a BackendPolicy has {sorted(spec)}")
    mesh.cluster.apply(text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    mesh.control_ready()
    mesh.visitors()
    mesh.bookshop()
    mesh.mtls("STRICT")
    mesh.policy("reviews-route", "access")
    mesh.cluster.apply(text=json.dumps({
        "apiVersion": "heddle.dev/v1", "kind": "BackendPolicy", "metadata": {"name": "kept", "namespace": SHOP},
        "spec": {"targetRef": {"kind": "Service", "name": "catalog"}, "timeouts": {"connect": "2s"}}}))
    mesh.until("an answer through the mesh", mesh.shop)
    for item in mesh.pods(SHOP):
        need(proxy_image(item).endswith(":0.0.9"), proxy_image(item))
    code, found, errors = before(mesh, "check")
    need(code == 0 and "version: 0.0.9, as heddlectl" in found and "sidecar versions" not in found, found + errors)


def proxy_image(item):
    return next(c["image"] for c in item["spec"]["initContainers"] if c["name"] == "heddle-proxy")


def stored(mesh):
    """{(kind, namespace, name): (uid, spec)} of every policy."""
    found = {}
    for group, plural in STORED:
        for item in mesh.api.get(f"/apis/{group}/{plural}")["items"]:
            meta = item["metadata"]
            found[plural, meta.get("namespace"), meta["name"]] = (meta["uid"], item["spec"])
    return found


def announced(mesh):
    """Before anything is applied: check and upgrade say how far apart the two are, and what will change."""
    code, found, _ = now(mesh, "check")
    need(code == 0 and "heddle-control 0.0.9, heddlectl 0.1.0; heddlectl upgrade" in found, found)
    code, text, said = now(mesh, "upgrade", "--dry-run")
    need(code == 0 and not text and said.startswith("heddle-control 0.0.9 -> 0.1.0\n"), f"{code} {text} {said}")
    lines = {line.strip().partition(": ")[0]: line for line in said.splitlines()[1:]}
    for name in ("Deployment heddle-system/heddle-control", "ConfigMap heddle-system/heddle-injection",
                 "CustomResourceDefinition backendpolicies.heddle.dev"):
        need(name in lines and "changes " in lines[name], f"{name} is not announced:\n{said}")
    need("Namespace heddle-system" not in lines and not any(": new" in line for line in lines.values()), said)


def upgraded(mesh):
    had = stored(mesh)
    need(len(had) >= 5, had)
    load = mesh.load(600)
    code, text, errors = now(mesh, "upgrade")
    need(code == 0, errors)
    mesh.cluster.apply(text=text)
    mesh.cluster.kubectl("-n", SYSTEM, "rollout", "status", "deployment", "heddle-control", "--timeout=180s")
    mesh.control_ready()
    need(stored(mesh) == had, f"had {had}, has {stored(mesh)}")
    said = now(mesh, "upgrade", "--dry-run")[2]
    need(": changes " not in said and ": new" not in said, f"what was applied is not what was to be:\n{said}")
    # What the new definitions know is taken, under the new heddle-control, and sidecars of the version before follow it.
    mesh.api.patch(f"/apis/heddle.dev/v1/namespaces/{SHOP}/backendpolicies/kept", {
        "spec": {"outlierDetection": {"consecutive5xx": 7}}})
    path = f"/apis/heddle.dev/v1/namespaces/{SHOP}/backendpolicies/kept"
    mesh.until("the policy's status", lambda: (c := mesh.condition(path, "Accepted")) and c["status"] == "True")
    need(mesh.api.get(path)["spec"]["outlierDetection"]["consecutive5xx"] == 7, "the newer field was dropped")
    mesh.weights(0, 100)
    mesh.until("the change at sidecars of the version before",
               lambda: all(mesh.shop()["catalog"]["reviews"]["version"] == "v2" for _ in range(5)))

    def sees_skew():
        found = now(mesh, "check")[1]
        return found if "version: 0.1.0, as heddlectl" in found and "sidecar versions: not 0.1.0: " in found else None
    found = mesh.until(lambda: "version skew of the sidecars: " + now(mesh, "check")[1], sees_skew)
    need("(0.0.9)" in found and "restart their Deployments" in found, found)

    mesh.cluster.kubectl("-n", SHOP, "rollout", "restart", "deployment", *RENEWED)
    for name in RENEWED:
        mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", name, "--timeout=180s")
    for item in mesh.pods(SHOP):
        need(proxy_image(item).endswith(":0.1.0"), proxy_image(item))
    load.none_failed()


def settled(mesh):
    """The last sidecar renewed: nobody is of another version, and the version before is not let back."""
    mesh.cluster.kubectl("-n", VISITORS, "rollout", "restart", "deployment", "visitor")
    mesh.cluster.kubectl("-n", VISITORS, "rollout", "status", "deployment", "visitor", "--timeout=120s")
    mesh.until(lambda: "no skew: " + now(mesh, "check")[1], lambda: "sidecar versions" not in now(mesh, "check")[1])
    answer = mesh.until("an answer", mesh.shop)
    need(f"URI={identity('web')}" in answer["catalog"]["caller"], answer)
    code, text, errors = before(mesh, "upgrade")
    need(code == 1 and not text and "from 0.1.0 to 0.0.9: the installed one is newer" in errors, f"{code} {text} {errors}")


TESTS = [
    ("the version before, its custom resources, the bookshop", older_installed),
    ("heddlectl check and upgrade --dry-run say what is to come", announced),
    ("heddlectl upgrade under load: nothing fails, nothing is lost, sidecars follow at their restart", upgraded),
    ("then all are of one version, and the version before is refused", settled),
]

if __name__ == "__main__":
    sys.exit(scenarios.main(TESTS, needed=(older_installed,), images=images))
