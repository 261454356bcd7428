#!/usr/bin/env python3
"""Compiles each header that no source of its own proves: one without a .cc of the same name that includes it first.

A header that compiled is remembered by a hash of it and of all it reaches, as tidy.py does.

usage: headers.py --bin BAZEL_BIN --cache FOLDER FILE...
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys

import tidy


def proven(path):
    try:
        with open(os.path.join(tidy.ROOT, path[:-2] + ".cc"), "rb") as source:
            return tidy.INCLUDE.findall(source.read())[:1] == [path.encode()]
    except OSError:
        return False


def compile_alone(path, bazel_bin):
    run = subprocess.run(["clang++-16", "-fsyntax-only", *tidy.flags(path, bazel_bin), "-Werror",
                          "-Wno-pragma-once-outside-header", "-Wno-unused", "-Wno-unused-const-variable", path], cwd=tidy.ROOT, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False)
    return run.returncode == 0, run.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    os.makedirs(options.cache, exist_ok=True)
    todo = [path for path in options.files if not proven(path)]
    stamps = {path: os.path.join(options.cache, "header-" + tidy.stamp_name(path)) for path in todo}
    todo = [path for path in todo if not os.path.exists(stamps[path])]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (good, output) in zip(todo, pool.map(lambda p: compile_alone(p, options.bin), todo)):
            if good:
                with open(stamps[path], "w", encoding="utf-8") as out:
                    out.write(path)
            else:
                bad += 1
                print(f"{path} does not compile by itself:\n{output[:2000]}")
    print(f"headers: {len(stamps)} without a source that proves them, {bad} do not stand alone")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
