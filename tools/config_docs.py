#!/usr/bin/env python3
"""Writes docs/configuration.md from api/heddle/v1/*.proto: every kind, every field with its comment.

usage: tools/config_docs.py            writes the page
       tools/config_docs.py --check    exits 1 when the page is not what the protos say
"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "configuration.md")
FIRST = ["mesh_config", "service", "workload", "http_route", "backend_policy", "authorization_policy",
         "workload_policy", "meta"]

HEAD = """# Configuration

What operators write: YAML documents in the directory that `heddle-control --config DIR` watches. Made by `tools/config_docs.py`
from `api/heddle/v1/*.proto`; change it there. Field names are written in lowerCamelCase. An unknown field is an error; a file with an
error changes nothing that is served, and `heddlectl validate DIR` says the same before anyone deploys it.
Working examples: `examples/bookshop/mesh`.
"""


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def link(kind, known):
    short = kind.split(".")[-1]
    plain = {"google.protobuf.DoubleValue": "number", "google.protobuf.Int32Value": "integer",
             "google.protobuf.UInt32Value": "integer", "google.protobuf.BoolValue": "boolean",
             "int32": "integer", "uint32": "integer", "int64": "integer", "bool": "boolean", "string": "text"}
    if kind in plain:
        return plain[kind]
    if short in known:
        return f"[{short}](#{short.lower()})"
    return f"`{short}`"


def parse(text):
    """Yields ('comment', text) | ('open', keyword, name) | ('close',) | ('field', type, name, repeated) | ('value', name)."""
    comment = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("//"):
            comment.append(stripped[2:].strip())
            continue
        if not stripped:
            if comment:
                yield ("prose", " ".join(comment))
            comment = []
            continue
        doc, comment = " ".join(comment), []
        if stripped.startswith("syntax"):
            yield ("prose", doc)
            continue
        if m := re.match(r"(message|enum|oneof)\s+(\w+)\s*\{", stripped):
            yield ("open", m[1], m[2], doc)
            if stripped.endswith("}"):
                yield ("close",)
        elif stripped.startswith("}"):
            yield ("close",)
        elif m := re.match(r"map<([\w.]+),\s*([\w.]+)>\s+(\w+)\s*=", stripped):
            yield ("field", f"map of {m[1]} to {m[2]}", m[3], doc)
        elif m := re.match(r"(repeated\s+|optional\s+)?([\w.]+)\s+(\w+)\s*=\s*\d+", stripped):
            yield ("field", ("list of " if (m[1] or "").startswith("repeated") else "") + m[2], m[3], doc)
        elif m := re.match(r"(\w+)\s*=\s*\d+", stripped):
            yield ("value", m[1], doc)


def shown(kind, known):
    for prefix in ("list of ", "map of string to "):
        if kind.startswith(prefix):
            return prefix + link(kind[len(prefix):], known)
    return link(kind, known) if " " not in kind else kind


def cell(text):
    return text.replace("|", "\\|")


def section(path, known):
    events = list(parse(open(path, encoding="utf-8").read()))
    out, stack, rows = [], [], {}
    intro = next((e[1] for e in events if e[0] == "prose"), "")
    values = {}
    for event in events:
        if event[0] == "open":
            stack.append((event[1], event[2]))
            if event[1] == "message":
                rows[event[2]] = (event[3], [])
            elif event[1] == "enum":
                values[event[2]] = []
        elif event[0] == "close" and stack:
            stack.pop()
        elif event[0] == "field":
            message = next((name for keyword, name in reversed(stack) if keyword == "message"), None)
            if message:
                rows[message][1].append((event[2], event[1], event[3]))
        elif event[0] == "value" and stack and stack[-1][0] == "enum":
            values[stack[-1][1]].append((event[1], event[2]))
    title = next(iter(rows))
    out.append(f"\n## {title if len(rows) and title[0].isupper() else os.path.basename(path)}\n\n{intro}\n")
    for i, (name, (doc, fields)) in enumerate(rows.items()):
        if i:
            out.append(f"\n### {name}\n")
        if doc:
            out.append(f"\n{doc}\n")
        if not fields:
            continue
        out.append("\n| field | type | meaning |\n|---|---|---|\n")
        for field, kind, text in fields:
            short = kind.replace("list of ", "").split(".")[-1]
            if short in values:
                names = "; ".join(f"`{v}`" + (f": {d}" if d else "") for v, d in values[short] if not v.endswith("UNSPECIFIED"))
                text = (text + " " if text else "") + "One of " + names
                kind = kind.replace(short, "text")
            out.append(f"| `{camel(field)}` | {shown(kind, known)} | {cell(text)} |\n")
    return "".join(out)


def main():
    paths = {os.path.basename(p)[:-6]: p for p in glob.glob(os.path.join(ROOT, "api", "heddle", "v1", "*.proto"))}
    order = [n for n in FIRST if n in paths] + sorted(n for n in paths if n not in FIRST)
    known = set()
    for path in paths.values():
        known.update(re.findall(r"^\s*message\s+(\w+)", open(path, encoding="utf-8").read(), re.M))
    page = HEAD + "".join(section(paths[name], known) for name in order)
    if "--check" in sys.argv:
        same = os.path.exists(PAGE) and open(PAGE, encoding="utf-8").read() == page
        if not same:
            print("docs/configuration.md is not what the protos say: run tools/config_docs.py", file=sys.stderr)
        sys.exit(0 if same else 1)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    main()
