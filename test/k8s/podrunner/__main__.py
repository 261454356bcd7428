"""A cluster with a node, to try things by hand: runs a command (a shell) beside it, and ends with it.

usage: PYTHONPATH=test python3 -m k8s.podrunner [IMAGES.json] [-- COMMAND...]

The command finds KUBECONFIG and kubectl; deploying, logs, exec and port-forward work as usual. IMAGES.json says what images stand
for: {"web": {"entrypoint": ["/web"], "files": {"/web": "bazel-bin/web"}, "user": "1000"}}; "sh", a shell, is always there.
"""

import json
import os
import subprocess
import sys

from k8s.cluster import Cluster, enter, find_peer
from k8s.podrunner import Image, PodRunner


def read_images(path):
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    return {name: Image(**{**how, "files": {inside: os.path.realpath(local) for inside, local in how.get("files", {}).items()}})
            for name, how in given.items()}


def main():
    ours, _, command = "\0".join(sys.argv[1:]).partition("--\0") if "--" in sys.argv else ("\0".join(sys.argv[1:]), "", "")
    paths = [path for path in ours.split("\0") if path]
    if len(paths) > 1 or paths[:1] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    enter()
    images = {"sh": Image(["/bin/sh", "-c"]), **(read_images(paths[0]) if paths else {})}
    with Cluster() as cluster, PodRunner(cluster.api, images):
        environment = {**os.environ, "KUBECONFIG": cluster.kubeconfig,
                       "PATH": find_peer("kubernetes") + ":" + os.environ["PATH"]}
        argv = command.split("\0") if command else [os.environ.get("SHELL", "/bin/sh")]
        code = subprocess.run(argv, env=environment, check=False).returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
