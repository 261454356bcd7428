"""The bill of materials: SPDX 2.3 as JSON."""

import re

from oci import EPOCH, encoded


def crate_version(lock, name):
    """From a Cargo.lock."""
    with open(lock, encoding="utf-8") as file:
        match = re.search(rf'^name = "{re.escape(name)}"\nversion = "([^"]+)"', file.read(), re.MULTILINE)
    if match is None:
        raise SystemExit(f"{lock} names no {name}")
    return match[1]


def identifier(*parts):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", "-".join(parts))


def package(kind, name, version, url=None):
    out = {"SPDXID": identifier(kind, name), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
           "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
           "copyrightText": "NOASSERTION"}
    if url:
        out["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}]
    return out


def document(image, version, shared, static, crates, manifest_digest):
    """`shared`, `static`, `crates`: {name: version}."""
    own = package("Image", image.name, version)
    own["licenseDeclared"] = "Apache-2.0"
    packages, relations = [own], [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                                   "relatedSpdxElement": own["SPDXID"]}]
    for kind, found, relation, url in (
            ("Debian", shared, "CONTAINS", "pkg:deb/debian/{}@{}?arch=amd64&distro=bookworm"),
            ("Debian-static", static, "STATIC_LINK", "pkg:deb/debian/{}@{}?arch=amd64&distro=bookworm"),
            ("Crate", crates, "STATIC_LINK", "pkg:cargo/{}@{}")):
        for name, its_version in sorted(found.items()):
            packages.append(package(kind, name, its_version, url.format(name.replace("+", "%2B"),
                                                                        its_version.replace("+", "%2B"))))
            relations.append({"spdxElementId": own["SPDXID"], "relationshipType": relation,
                              "relatedSpdxElement": packages[-1]["SPDXID"]})
    return encoded({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": image.name,
        "documentNamespace": f"https://heddle.dev/sbom/{image.name}/{manifest_digest.split(':')[1]}",
        "creationInfo": {"created": EPOCH, "creators": ["Tool: heddle-tools-image"]},
        "packages": packages, "relationships": relations,
    })
