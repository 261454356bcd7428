"""Reads api/heddle/v1/*.proto as values: messages, their fields, enums, and the comment above each.

    messages, enums = read(folder)
    messages["BackendTimeouts"].fields["connect"].comment

Only what those files use is understood: proto3, no oneof, no nested messages, enums inside messages.
"""

import dataclasses
import glob
import os
import re


@dataclasses.dataclass
class Field:
    name: str        # lowerCamelCase, as in YAML
    kind: str        # "string", "int32", "google.protobuf.Int32Value", "Rule", "Mtls.Mode"
    comment: str
    repeated: bool = False
    key: str = ""    # the key's type, for a map


@dataclasses.dataclass
class Message:
    name: str
    comment: str
    intro: str       # the file's first comment, for its first message
    fields: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Enum:
    name: str                                               # "Mtls.Mode"
    comment: str
    values: dict = dataclasses.field(default_factory=dict)  # name to comment, without the 0 value


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _scoped(kind, scope, enums):
    """The enum that `kind` means inside `scope`, else `kind` without its package."""
    if f"{scope}.{kind}" in enums:
        return f"{scope}.{kind}"
    return kind


def _read_file(text, messages, enums):
    comment, stack, pending, intro = [], [], [], ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("//"):
            comment.append(line[2:].strip())
            continue
        doc, comment = " ".join(filter(None, comment)), []
        if line.startswith("syntax"):
            intro = doc
        if match := re.match(r"(message|enum)\s+(\w+)\s*\{$", line):
            if match[1] == "message":
                messages[match[2]] = Message(match[2], doc, intro)
                intro = ""
                stack.append(messages[match[2]])
            else:
                enum = Enum(f"{stack[-1].name}.{match[2]}", doc)
                enums[enum.name] = enum
                stack.append(enum)
        elif line == "}":
            stack.pop()
        elif not stack or not line:
            continue
        elif isinstance(stack[-1], Enum):
            match = re.match(r"(\w+)\s*=\s*(\d+);", line)
            if match[2] != "0":
                stack[-1].values[match[1]] = doc
        elif match := re.match(r"map<(\w+),\s*([\w.]+)>\s+(\w+)\s*=", line):
            pending.append((stack[-1], Field(camel(match[3]), match[2], doc, key=match[1])))
        elif match := re.match(r"(repeated\s+)?([\w.]+)\s+(\w+)\s*=\s*\d+(\s*\[json_name = \"(\w+)\"\])?;", line):
            name = match[5] or camel(match[3])
            pending.append((stack[-1], Field(name, match[2], doc, repeated=bool(match[1]))))
        else:
            raise ValueError(f"not understood: {line}")
    for message, field in pending:  # enums may stand below the field that uses them
        field.kind = _scoped(field.kind, message.name, enums)
        if field.kind in enums and not field.comment:  # it is said of the enum, just above
            field.comment = enums[field.kind].comment
        message.fields[field.name] = field


def read(folder):
    messages, enums = {}, {}
    for path in sorted(glob.glob(os.path.join(folder, "*.proto"))):
        with open(path, encoding="utf-8") as file:
            _read_file(file.read(), messages, enums)
    return messages, enums
