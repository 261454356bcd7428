#!/usr/bin/env python3
"""Runs clang-tidy over C++ files, remembering the ones that were clean.

A file's stamp is named by a hash of the file, of every header of the tree that it reaches, and of the .clang-tidy files, so a
second run looks only at what changed. Generated headers must exist (tools/check builds them first).

usage: tidy.py --bin BAZEL_BIN --cache FOLDER [--budget SECONDS] FILE...
"""

import argparse
import concurrent.futures
import hashlib
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SETTINGS = (".clang-tidy", "test/.clang-tidy")
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def reached(path, seen):
    """Adds to `seen` the contents of the file and of all headers of the tree below it."""
    if path in seen:
        return
    try:
        with open(os.path.join(ROOT, path), "rb") as text:
            seen[path] = text.read()
    except OSError:
        return
    for name in INCLUDE.findall(seen[path]):
        reached(name.decode(), seen)


def stamp_name(path):
    seen = {}
    reached(path, seen)
    for settings in SETTINGS:
        reached(settings, seen)
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + seen[name] + b"\0")
    return digest.hexdigest()


def flags(path, bazel_bin):
    result = ["-std=c++20", "-xc++", "-Wall", "-Wextra", "-I.", f"-I{bazel_bin}", "-isystem", "api", "-isystem",
              f"{bazel_bin}/api", "-isystem", "/usr/share/include/llhttp"]
    if not path.startswith(("control_plane/", "test/control_plane/")):
        result += ["-isystem", "tools/.deps/boringssl/include"]
    return result


def check(path, bazel_bin):
    run = subprocess.run(["clang-tidy-16", "--quiet", path, "--", *flags(path, bazel_bin)], cwd=ROOT, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return run.returncode == 0, run.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--budget", type=float, default=0)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    os.makedirs(options.cache, exist_ok=True)
    todo = [(path, os.path.join(options.cache, stamp_name(path))) for path in options.files]
    todo = [(path, stamp) for path, stamp in todo if not os.path.exists(stamp)]
    end = time.monotonic() + options.budget if options.budget else None
    bad = late = 0

    def one(item):
        if end and time.monotonic() > end:
            return None
        return check(item[0], options.bin)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, stamp), result in zip(todo, pool.map(one, todo)):
            if result is None:
                late += 1
            elif result[0]:
                with open(stamp, "w", encoding="utf-8") as out:
                    out.write(path)
            else:
                bad += 1
                print(result[1])
    print(f"clang-tidy: {len(options.files)} files, {len(options.files) - len(todo)} known clean, {bad} with errors" +
          (f", {late} not looked at within {options.budget:.0f} s" if late else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
