"""A real Kubernetes for tests: `world` (the machine), `cluster` (its control plane), `podrunner` (its node), `support`.

Put the folder above this one on PYTHONPATH: `PYTHONPATH=test python3 -m k8s.cluster --help`.
"""
