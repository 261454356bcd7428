"""Plays a node for tests: scheduler, kubelet, container runtime, kube-proxy and cluster DNS, against a real API server.

    with PodRunner(cluster.api, {"bookshop": Image(["/app"], files={"/app": "bazel-bin/..."})}) as runner:
        cluster.apply("deployment.yaml")
        runner.wait_ready("default", "app=web")
        runner.exec("default", "web-0", ["curl", "-sS", "http://catalog:9080/"])

It does what a kubelet does with pods: init containers, native sidecars in order, probes with all their fields, lifecycle hooks,
restarts with backoff, volumes with their updates, projected tokens, termination within the grace period, status and Events.
Containers are processes with a root folder, network, process and mount namespaces, user and capabilities of their own.

kubectl's logs, exec and port-forward work. Not played: resource limits, seccomp and AppArmor profiles, persistent volumes,
ephemeral containers, IPv6, NodePorts and session affinity, attach. Files of this machine lie below every image (Image.root), so
programs find their libraries.
"""

from k8s.podrunner.runner import PodRunner
from k8s.podrunner.runtime import Image, StartError

__all__ = ["Image", "PodRunner", "StartError"]
