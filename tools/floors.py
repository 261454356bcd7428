#!/usr/bin/env python3
"""The folder graph, read from #include lines, and the rules it must keep.

Prints each folder with its floor and what it includes, lowest floor first. Fails on a cycle between folders, on an
include that points up, on a folder without a floor, on a library's headers outside the folders that own it, and on what
the proxy and the control plane may not take from one another.

usage: tools/floors.py [--quiet] [--root FOLDER]
"""

import argparse
import collections
import os
import re
import sys

# A folder may include its own floor and those below. A folder inside one of these has its floor.
FLOORS = {
    "source/base": 0,
    "source/stats": 1, "source/event": 1, "source/yaml": 1,
    "source/net": 2,
    "source/tls": 3, "source/http": 3,
    "source/config": 4,
    "source/decode": 5, "source/upstream": 5, "source/observe": 5,
    "source/filter": 6,
    "source/proxy": 7,
    "source/xds": 8,
    "source/server": 9, "source/admin": 9, "source/intercept": 9, "source/probe": 9,
    "source/main": 10,
    # control_plane/ stands on the lower floors of source/.
    "control_plane/model": 11, "control_plane/kube": 11,
    "control_plane/translate": 12, "control_plane/ingest": 12, "control_plane/identity": 12,
    "control_plane/inject": 12, "control_plane/trace": 12,
    "control_plane/serve": 13, "control_plane/install": 13,
    "control_plane/status": 14, "control_plane/admit": 14,
    "control_plane/heddlectl": 15,
    "control_plane/main": 16,
}

# What control_plane/ may use of source/. Nothing here reaches BoringSSL.
SHARED = {"base", "stats", "event", "yaml", "net", "http", "config", "decode"}

# Headers of a library: the folders that may include it.
OWNERS = [
    (r"openssl/", ["source/tls", "control_plane", "test", "examples"]),
    (r"event2/", ["source/event", "control_plane", "examples"]),
    (r"nghttp2/", ["source/http/h2", "test", "examples"]),
    (r"llhttp\.h", ["source/http/h1", "test", "examples"]),
    (r"ares\.h", ["source/net"]),
    (r"yaml-cpp/", ["source/yaml"]),
    (r"grpcpp/|grpc/|.*\.grpc\.pb\.h", ["control_plane", "test", "examples"]),
    (r"curl/", ["control_plane", "test", "examples"]),
    (r"catch2/", ["test", "tools"]),
]

# Folders that never see protobuf.
NO_PROTOBUF = ["source/base", "source/stats", "source/event", "source/net", "source/tls", "source/config",
               "source/upstream", "source/proxy"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^">]+)[>"]', re.MULTILINE)


def inside(folder, parents):
    return any(folder == p or folder.startswith(p + "/") for p in parents)


def floor_of(folder):
    while folder:
        if folder in FLOORS:
            return FLOORS[folder]
        folder = os.path.dirname(folder)
    return None


def read_tree(root):
    """Yields (file, folder, [included names]) for each C++ file."""
    for top in ("source", "control_plane", "test", "examples", "tools"):
        for where, folders, files in os.walk(os.path.join(root, top)):
            folders[:] = sorted(d for d in folders if not d.startswith("."))
            folder = os.path.relpath(where, root)
            for name in sorted(files):
                if name.endswith((".h", ".cc")):
                    with open(os.path.join(where, name), encoding="utf-8") as text:
                        yield os.path.join(folder, name), folder, INCLUDE.findall(text.read())


def direction(folder, target):
    """Why `folder` may not include `target`, or None."""
    if target.startswith(("test/", "examples/")):
        return "only tests include test/ and examples/"
    floor, below = floor_of(folder), floor_of(target)
    if below is None:
        return f"{target} has no floor in tools/floors.py"
    if folder.startswith("source/") and target.startswith("control_plane/"):
        return "the proxy takes nothing from the control plane"
    if folder.startswith("control_plane/") and target.startswith("source/"):
        name = target.split("/")[1]
        return None if name in SHARED else f"the control plane may not use source/{name}"
    if below > floor:
        return f"points up, from floor {floor} to floor {below}"
    return None


def find_cycle(graph):
    state, stack = {}, []

    def visit(node):
        state[node] = "open"
        stack.append(node)
        for following in sorted(graph.get(node, ())):
            if state.get(following) == "open":
                return stack[stack.index(following):] + [following]
            if following not in state:
                cycle = visit(following)
                if cycle:
                    return cycle
        stack.pop()
        state[node] = "done"
        return None

    for node in sorted(graph):
        if node not in state:
            cycle = visit(node)
            if cycle:
                return cycle
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    options = parser.parse_args()
    errors = []
    graph = collections.defaultdict(set)
    for path, folder, includes in read_tree(options.root):
        product = folder.startswith(("source", "control_plane"))
        if product:
            graph[folder]
            if floor_of(folder) is None:
                errors.append(f"{folder} has no floor in tools/floors.py")
                continue
        for included in includes:
            for pattern, owners in OWNERS:
                if re.match(pattern, included) and not inside(folder, owners):
                    errors.append(f"{path}: {included} belongs in {', '.join(owners)}")
            if included.endswith(".pb.h") and inside(folder, NO_PROTOBUF):
                errors.append(f"{path}: {included}: no protobuf in {folder}")
            if product and included.startswith(("source/", "control_plane/", "test/", "examples/")):
                target = os.path.dirname(included)
                why = direction(folder, target) if target != folder else None
                if why:
                    errors.append(f"{path}: {included}: {why}")
                elif target != folder:
                    graph[folder].add(target)
            if product and not included.startswith(("source/", "control_plane/")) and os.path.exists(
                    os.path.join(options.root, folder, included)):
                errors.append(f"{path}: {included}: write includes from the root of the tree")
    cycle = find_cycle(graph)
    if cycle:
        errors.append("cycle: " + " -> ".join(cycle))
    if not options.quiet:
        for folder in sorted(graph, key=lambda f: (floor_of(f) is None, floor_of(f), f)):
            print(f"{floor_of(folder)!s:>4}  {folder:28} {' '.join(sorted(graph[folder]))}")
    for error in sorted(set(errors)):
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
