"""Debian's part: which libraries a program needs, which package a file is from, which version that has."""

import os
import re
import subprocess


def run(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def libraries(program):
    """The shared libraries that the loader would load for it: {name the loader asks for: file}."""
    out = {}
    for line in run("ldd", program).splitlines():
        if match := re.match(r"\s*(\S+) => (/\S+) ", line):
            out[match[1]] = match[2]
        elif match := re.match(r"\s*(/\S+ld-linux\S+) ", line):
            out[os.path.basename(match[1])] = match[1]
        elif "not found" in line:
            raise SystemExit(f"{program}: {line.strip()}")
    return out


def owner(path):
    """The package that a file is from."""
    names = [path, os.path.realpath(path)]
    names += [name.removeprefix("/usr") for name in names if name.startswith("/usr/lib")]
    names += ["/usr" + name for name in names if name.startswith("/lib")]
    for name in names:
        found = subprocess.run(["dpkg", "-S", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    raise SystemExit(f"{path} is from no Debian package")


def version(package):
    return run("dpkg-query", "-W", "-f=${Version}\n", package).splitlines()[0]


def strip(path, out):
    """A copy without symbols."""
    subprocess.run(["strip", "--strip-all", "-o", out, path], check=True)
