"""Plain dicts and lists as YAML, in block style: keys as they stand, text quoted as JSON when it needs quotes, long text folded."""

import json
import re
import textwrap

PLAIN = re.compile(r"[A-Za-z/.$][-A-Za-z0-9_./ ]*$")
WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def _key(text):
    return text if PLAIN.match(text) and text.lower() not in WORDS else json.dumps(text)


def _scalar(value, indent):
    if not isinstance(value, str):
        return json.dumps(value)
    if len(value) > 80 and " " in value and value == value.strip() and "  " not in value:
        pad = " " * indent
        return ">-\n" + textwrap.fill(value, width=118, initial_indent=pad, subsequent_indent=pad,
                                      break_long_words=False, break_on_hyphens=False)
    if PLAIN.match(value) and not value.endswith(" ") and value.lower() not in WORDS:
        return value
    return json.dumps(value)


def _lines(value, indent):
    pad = " " * indent
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                yield f"{pad}{_key(key)}:"
                yield from _lines(inner, indent + 2)
            elif isinstance(inner, (dict, list)):
                yield f"{pad}{_key(key)}: {'{}' if isinstance(inner, dict) else '[]'}"
            else:
                yield f"{pad}{_key(key)}: {_scalar(inner, indent + 2)}"
    else:
        for inner in value:
            if isinstance(inner, dict) and inner:
                first, *rest = _lines(inner, indent + 2)
                yield f"{pad}- {first[indent + 2:]}"
                yield from rest
            else:
                yield f"{pad}- {_scalar(inner, indent + 2)}"


def yaml(value):
    return "\n".join(_lines(value, 0)) + "\n"
