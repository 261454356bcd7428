#!/usr/bin/env python3
"""A stock Envoy accepts, without a warning, what every workload is given, with and without interception.

    envoy_validate_test.py ENVOY_BOOTSTRAP

Envoy's validate mode runs no discovery: the secrets are put into the file.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile


def make_secrets(work):
    key, cert = work / "key.pem", work / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=test", "-days", "2"],
                   check=True, stderr=subprocess.DEVNULL)
    return [
        {"name": "default", "tls_certificate": {"certificate_chain": {"filename": str(cert)},
                                                "private_key": {"filename": str(key)}}},
        {"name": "ROOTCA", "validation_context": {"trusted_ca": {"filename": str(cert)}}},
    ]


def without_discovery(value):
    if isinstance(value, dict):
        return {k: without_discovery(v) for k, v in value.items() if k != "sds_config"}
    if isinstance(value, list):
        return [without_discovery(v) for v in value]
    return value


def validate(envoy, path, secrets):
    """What Envoy says against the file; empty when it has nothing to say."""
    bootstrap = without_discovery(json.loads(path.read_text()))
    bootstrap["static_resources"]["secrets"] = secrets
    path.write_text(json.dumps(bootstrap))
    run = subprocess.run([envoy, "--mode", "validate", "-c", path, "--log-level", "warning"],
                         capture_output=True, text=True, check=False)
    said = [line for line in (run.stdout + run.stderr).splitlines() if not line.endswith(" OK")]
    if run.returncode != 0 and not said:
        said = [f"exit code {run.returncode}"]
    return "\n".join(said)


def main():
    bootstraps = sys.argv[1]
    peer = subprocess.run(["tools/peers/envoy"], check=True, capture_output=True, text=True)
    envoy = peer.stdout.split()[-1]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        secrets = make_secrets(work)
        everything = work / "everything"
        everything.mkdir()
        for file in ("services.yaml", "workloads.yaml"):
            shutil.copy(f"examples/bookshop/mesh/{file}", everything)
        shutil.copy("test/mesh/everything/more.yaml", everything)
        for config in (pathlib.Path("examples/bookshop/mesh"), everything):
            out = work / f"{config.name}.out"
            out.mkdir()
            subprocess.run([bootstraps, config, out], check=True)
            for path in sorted(out.iterdir()):
                if said := validate(envoy, path, secrets):
                    failed += 1
                    print(f"{config.name}: {path.name}: {said}")
                else:
                    passed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed >= 20 else 1


if __name__ == "__main__":
    sys.exit(main())
