"""Runs the bookshop and checks what Heddle claims. See tools/demo --help."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import claims  # noqa: E402
import netns  # noqa: E402
from run import Failure, Pod, wait_for  # noqa: E402
from shop import Shop, WORKLOADS  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(prog="tools/demo", description="Runs the bookshop in a mesh and checks eight claims.")
    parser.add_argument("--bin", required=True, help="folder of heddle-proxy, heddle-control, heddlectl, bookshop")
    parser.add_argument("--stay", action="store_true", help="keep it up afterwards and print where to look; Ctrl-C ends it")
    parser.add_argument("--intercept", action="store_true",
                        help="pods are network namespaces with iptables REDIRECT (root); else loopback addresses")
    parser.add_argument("--jaeger", help="program of Jaeger all-in-one; spans are handed on to it")
    parser.add_argument("--work", help="folder for state and logs; default: a fresh temporary one, removed at the end")
    return parser.parse_args()


def start_jaeger(shop, program):
    """Jaeger on loopback; heddle-control forwards spans to its OTLP port."""
    environment = ["env", "SPAN_STORAGE_TYPE=memory"]
    shop.processes.start("jaeger", environment + [
        program, "--collector.otlp.enabled=true", "--collector.otlp.grpc.host-port=127.0.0.1:14317",
        "--collector.otlp.http.host-port=127.0.0.1:14318", "--query.http-server.host-port=127.0.0.1:16686",
        "--query.grpc-server.host-port=127.0.0.1:16685", "--admin.http.host-port=127.0.0.1:14269",
        "--collector.grpc-server.host-port=127.0.0.1:14250", "--collector.http-server.host-port=127.0.0.1:14268",
        "--processor.jaeger-binary.server-host-port=127.0.0.1:16832",
        "--processor.jaeger-compact.server-host-port=127.0.0.1:16831",
        "--processor.zipkin-compact.server-host-port=127.0.0.1:15775", "--http-server.host-port=127.0.0.1:15778"])
    shop.jaeger = "127.0.0.1:14317"
    wait_for("Jaeger", lambda: Pod("jaeger", "127.0.0.1").get("http://127.0.0.1:14269/"), 30)


def run_claims(shop):
    good = 0
    for number, (name, claim) in enumerate(claims.CLAIMS, 1):
        began = time.monotonic()
        try:
            sentence = claim(shop)
            shop.processes.check_alive()
        except Failure as failure:
            print(f"FAIL {number}. {name}: {failure}", flush=True)
            continue
        except Exception as error:  # a page that did not answer as it should is a failed claim, not a crash of the demo
            print(f"FAIL {number}. {name}: {type(error).__name__}: {error}", flush=True)
            continue
        good += 1
        print(f"ok   {number}. {name} ({time.monotonic() - began:.0f} s): {sentence}", flush=True)
    return good


def show_places(shop):
    print("\nIt stays up. Look at:")
    print("  heddle-control   http://127.0.0.1:15014/  (out/bin/heddlectl status)")
    if not shop.intercept:
        print(f"  the shop         {shop.web_url()}")
    for w in WORKLOADS:
        pod = shop.pods[w.name]
        where = f"ip netns exec {pod.namespace} curl " if pod.namespace else ""
        print(f"  {w.name:16} {where}http://{shop.admin_address(pod)}/")
    if shop.jaeger:
        print("  Jaeger           http://127.0.0.1:16686/")
    print(f"  policies         {shop.mesh}  (edit them)\n  logs             {shop.processes.log_dir}\nCtrl-C ends everything.", flush=True)


def main():
    args = parse()
    # ip, iptables and setpriv: not on the path of a test or of an ordinary user.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if args.intercept and (reason := netns.possible()):
        sys.exit(f"--intercept {reason}")
    work = args.work or tempfile.mkdtemp(prefix="heddle-demo-")
    os.makedirs(work, exist_ok=True)
    os.chmod(work, 0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    shop = Shop(work, os.path.abspath(args.bin), intercept=args.intercept)
    good = 0
    try:
        if args.jaeger and not args.intercept:
            start_jaeger(shop, args.jaeger)
        began = time.monotonic()
        shop.start()
        print(f"The bookshop is up: a control plane, {len(WORKLOADS)} pods ("
              f"{'network namespaces, intercepted' if args.intercept else 'loopback addresses'}), {time.monotonic() - began:.1f} s.\n", flush=True)
        good = run_claims(shop)
        if args.stay:
            show_places(shop)
            signal.pause()
    except Failure as failure:
        print(f"FAIL {failure}", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        shop.stop()
        total = len(claims.CLAIMS)
        if good == total and not args.work:
            shutil.rmtree(work, ignore_errors=True)
        elif good != total:
            print(f"state and logs are left in {work}")
    print(f"{good} of {len(claims.CLAIMS)} claims held")
    sys.exit(0 if good == len(claims.CLAIMS) else 1)


if __name__ == "__main__":
    main()
