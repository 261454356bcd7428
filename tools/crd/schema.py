"""From the protos and rules.py to CustomResourceDefinitions, as plain dicts in the order in which they are printed."""

from crd import rules

PLAIN = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "google.protobuf.Int32Value": {"type": "integer", "format": "int32"},
    "google.protobuf.DoubleValue": {"type": "number"},
}
DURATION = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"
DURATION_LENGTH = 28  # four times five digits and two letters

CONDITION = {
    "type": "object",
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
    "properties": {
        "type": {"type": "string", "maxLength": 316, "description": "Accepted, ResolvedRefs or Programmed."},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0,
                               "description": "The metadata.generation that this was said of."},
        "lastTransitionTime": {"type": "string", "format": "date-time",
                               "description": "When `status` last became what it is."},
        "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "One word, for programs."},
        "message": {"type": "string", "maxLength": 32768,
                    "description": "One sentence, for people: what is wrong, where, and what is allowed."},
    },
}

STATUS = {
    "type": "object",
    "description": "What heddle-control made of the object. Written by it alone.",
    "properties": {
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0,
                               "description": "The newest metadata.generation that was looked at."},
        "conditions": {
            "type": "array", "maxItems": 16,
            "description": "Accepted: the object is valid and in force. ResolvedRefs: what it names exists. "
                           "Programmed: every connected sidecar that it concerns has taken it over.",
            "items": CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "proxies": {
            "type": "object",
            "description": "The connected sidecars that the object concerns.",
            "properties": {name: {"type": "integer", "format": "int32", "minimum": 0, "description": text}
                           for name, text in (("total", "How many there are."), ("acked", "That have taken it over."),
                                              ("nacked", "That refused it."))},
        },
    },
}


class Builder:
    def __init__(self, messages, enums):
        self.messages, self.enums = messages, enums
        self.unused = set(rules.FIELDS) | set(rules.MESSAGES)
        self.unsaid = []

    def bounded(self, schema, rule):
        """Adds what `rule` says of one value."""
        for ours, theirs in (("min", "minimum"), ("max", "maximum"), ("pattern", "pattern")):
            if ours in rule:
                schema[theirs] = rule[ours]
        if schema.get("type") == "string" and "enum" not in schema:
            schema["maxLength"] = rule.get("max_length", 1024)
        if "only" in rule:
            schema["enum"] = rule["only"]
            del schema["maxLength"]
        if "duration" in rule:
            shortest, longest = rule["duration"]
            inside = f"duration(self) >= duration('{shortest}') && duration(self) <= duration('{longest}')"
            zero = "duration(self) == duration('0s') || " if rule.get("zero") else ""
            schema.update({"pattern": DURATION, "maxLength": DURATION_LENGTH, "x-kubernetes-validations": [
                {"rule": zero + (f"({inside})" if zero else inside),
                 "message": f"not between {shortest} and {longest}" + (", nor 0s" if zero else "")}]})
        if "any_format" in rule:
            schema["anyOf"] = [{"format": name} for name in rule["any_format"]]
        if "not_one_of" in rule:
            schema["not"] = {"enum": rule["not_one_of"]}
        if "default" in rule:
            schema["default"] = rule["default"]
        return schema

    def value(self, kind, rule):
        if kind in PLAIN:
            return self.bounded(dict(PLAIN[kind]), rule)
        if kind in self.enums:
            return self.bounded({"type": "string", "enum": list(self.enums[kind].values)}, rule)
        return self.message(self.messages[kind], fields=True)

    def described(self, field):
        text = field.comment
        if field.kind in self.enums:
            meanings = [f"{name}: {doc}" for name, doc in self.enums[field.kind].values.items() if doc]
            text = " ".join([text, *meanings]).strip()
        if not text and field.kind in self.messages:
            text = self.messages[field.kind].comment
        return text

    def field(self, message, field):
        path = f"{message.name}.{field.name}"
        rule = rules.FIELDS.get(path, {})
        self.unused.discard(path)
        self.unsaid += [f'{path}: the comment lacks "{phrase}"' for phrase in rules.said(rule, field.comment)]
        if field.key:
            schema = {"type": "object", "additionalProperties": self.value(field.kind, rule.get("item", {})),
                      "maxProperties": rule["max_items"]}
            if "keys" in rule:
                schema["x-kubernetes-validations"] = [{"rule": f"self.all(k, {rule['keys'][0]})", "message": rule["keys"][1]}]
        elif field.repeated:
            schema = {"type": "array", "items": self.value(field.kind, rule.get("item", {})),
                      "maxItems": rule["max_items"]}
            if "min_items" in rule:
                schema["minItems"] = rule["min_items"]
            if "map_by" in rule:
                schema.update({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [rule["map_by"]]})
            else:
                schema["x-kubernetes-list-type"] = "atomic"
        else:
            schema = self.value(field.kind, rule)
        text = self.described(field)
        if not text:
            self.unsaid.append(f"{path}: no comment")
        return {"description": text, **schema}

    def message(self, message, fields):
        rule = rules.MESSAGES.get(message.name, {})
        self.unused.discard(message.name)
        schema = {"type": "object"}
        required = [name for name in message.fields
                    if rules.FIELDS.get(f"{message.name}.{name}", {}).get("required")]
        if required:
            schema["required"] = required
        if "min_properties" in rule:
            schema["minProperties"] = rule["min_properties"]
        if fields:
            schema["properties"] = {name: self.field(message, field) for name, field in message.fields.items()}
        if "cel" in rule:
            schema["x-kubernetes-validations"] = [{"rule": text, "message": why} for text, why in rule["cel"]]
        return schema

    def crd(self, kind, about):
        message = self.messages[kind]
        columns = [{"name": name, "type": kind_, "jsonPath": path, **({"priority": priority} if priority else {})}
                   for name, kind_, path, priority in about["columns"]]
        for condition in ("Accepted", "Programmed"):
            columns.append({"name": condition, "type": "string",
                            "jsonPath": f'.status.conditions[?(@.type=="{condition}")].status'})
        columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
        root = {
            "type": "object",
            "description": f"{message.intro} {message.comment}".strip(),
            **({"required": ["spec"]} if about.get("spec_required") else {}),
            "properties": {
                "apiVersion": {"type": "string", "description": "heddle.dev/v1."},
                "kind": {"type": "string", "description": f"{kind}."},
                "metadata": {"type": "object"},
                "spec": self.value(f"{kind}Spec", {}),
                "status": STATUS,
            },
        }
        if "cel" in about:
            root["x-kubernetes-validations"] = [{"rule": text, "message": why} for text, why in about["cel"]]
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{about['plural']}.heddle.dev", "labels": {"app.kubernetes.io/part-of": "heddle"}},
            "spec": {
                "group": "heddle.dev",
                "scope": about["scope"],
                "names": {"kind": kind, "listKind": f"{kind}List", "plural": about["plural"],
                          "singular": kind.lower(), "shortNames": [about["short"]], "categories": ["heddle"]},
                "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                              "additionalPrinterColumns": columns, "schema": {"openAPIV3Schema": root}}],
            },
        }


def build(messages, enums):
    """The CRDs by their plural, and what is wrong with the rules: a list of sentences."""
    builder = Builder(messages, enums)
    crds = {about["plural"]: builder.crd(kind, about) for kind, about in rules.KINDS.items()}
    wrong = [f"{path}: a rule for what no kind has" for path in sorted(builder.unused)]
    return crds, wrong + sorted(set(builder.unsaid))
