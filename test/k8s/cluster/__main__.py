"""Runs a command beside a cluster of its own, which ends with it.

usage: PYTHONPATH=test python3 -m k8s.cluster [--no-controllers] [--] COMMAND...

The command finds KUBECONFIG in its environment (a client that may do everything) and kubectl on its PATH, and is root in the
cluster's own network: its exit code becomes ours.
"""

import os
import subprocess
import sys

from k8s.cluster import Cluster, enter, find_peer


def main():
    argv = sys.argv[1:]
    controllers = "--no-controllers" not in argv[:1]
    argv = argv if controllers else argv[1:]
    argv = argv[1:] if argv[:1] == ["--"] else argv
    if not argv:
        sys.exit(__doc__)
    enter()
    with Cluster(controllers=controllers) as cluster:
        environment = {**os.environ, "KUBECONFIG": cluster.kubeconfig,
                       "PATH": find_peer("kubernetes") + ":" + os.environ["PATH"]}
        code = subprocess.run(argv, env=environment, check=False).returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
