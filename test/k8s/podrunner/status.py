"""A pod's status from its containers', as a kubelet computes it. Pure."""


def phase(spec, inits, mains):
    policy = spec.get("restartPolicy", "Always")
    if any(c.kind == "init" and c.done and not c.succeeded() for c in inits):
        return "Failed"
    if mains and all(c.done for c in mains):
        return "Succeeded" if all(c.succeeded() for c in mains) else "Failed"
    begun = any(c.restarts >= 0 for c in mains)
    if not begun and not (policy == "Always" and any(c.restarts >= 0 for c in mains)):
        return "Pending"
    return "Running"


def conditions(pod, inits, mains, of_phase, old):
    """The kubelet's own conditions, then those of others that were there already."""
    over = of_phase in ("Succeeded", "Failed")
    waiting = [c.name for c in inits if not (c.succeeded() if c.kind == "init" else c.started)]
    initialized = not waiting or any(c.restarts >= 0 for c in mains)
    unready = [c.name for c in [c for c in inits if c.kind == "sidecar"] + mains if not c.status()["ready"]]
    done = "PodCompleted" if of_phase == "Succeeded" else "PodFailed"
    named = {c["type"]: c for c in old}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    closed = [gate for gate in gates if named.get(gate, {}).get("status") != "True"]
    text = f"containers with unready status: [{' '.join(unready)}]"
    made = [
        ("PodReadyToStartContainers", not over, "", ""),
        ("Initialized", initialized, "" if initialized else "ContainersNotInitialized",
         "" if initialized else f"containers with incomplete status: [{' '.join(waiting)}]"),
        ("ContainersReady", not unready and not over, done if over else "ContainersNotReady" if unready else "",
         text if unready and not over else ""),
        ("Ready", not unready and not closed and not over,
         done if over else "ContainersNotReady" if unready else "ReadinessGatesNotReady" if closed else "",
         text if unready and not over else ""),
        ("PodScheduled", True, "", "")]
    result = []
    for kind, holds, reason, message in made:
        status = "True" if holds else "False"
        before = named.get(kind, {})
        result.append({"type": kind, "status": status, "lastProbeTime": None,
                       "lastTransitionTime": before.get("lastTransitionTime") if before.get("status") == status else None,
                       **({"reason": reason} if reason else {}), **({"message": message} if message else {})})
    own = {one["type"] for one in result}
    return result + [one for one in old if one["type"] not in own]
