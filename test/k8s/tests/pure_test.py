"""The parts of the pod runner that need no cluster: references, environment, rules, DNS, security contexts, probes by hand."""

import gzip
import hashlib
import io
import json
import os
import socket
import struct
import sys
import tarfile
import tempfile
import threading
import zlib

from report import Report

from k8s.podrunner import checks, dns, fields, oci, services, spdy, spec, volumes
from k8s.podrunner.runtime import Image

POD = {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u1", "labels": {"b": 'say "hi"', "a": "1"}, "annotations": {"x/y": "z"}},
       "spec": {"nodeName": "node-1", "serviceAccountName": "web", "containers": [
           {"name": "app", "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}}]},
       "status": {"podIP": "10.244.0.9", "hostIP": "10.244.0.1"}}


def same(got, wanted):
    return [] if got == wanted else [f"got    {got!r}", f"wanted {wanted!r}"]


def field_references():
    table = [("metadata.name", "web-1"), ("metadata.namespace", "shop"), ("spec.serviceAccountName", "web"), ("status.podIP", "10.244.0.9"),
             ("metadata.labels['a']", "1"), ("metadata.annotations['x/y']", "z"), ("metadata.annotations['none']", ""),
             ("metadata.labels", 'a="1"\nb="say \\"hi\\""\n')]
    return [p for path, wanted in table for p in same(fields.field(POD, path), wanted)]


def resources():
    app = POD["spec"]["containers"][0]
    table = [("limits.cpu", "1", "1"), ("limits.cpu", "1m", "500"), ("limits.memory", "1Mi", "64"), ("requests.cpu", "1m", "100"),
             ("requests.memory", "1", "0")]
    return [p for name, divisor, wanted in table
            for p in same(fields.resource(POD, app, {"resource": name, "divisor": divisor}), wanted)]


def expansion():
    known = {"A": "1", "B": "2"}
    table = [("$(A)-$(B)", "1-2"), ("$(NONE)", "$(NONE)"), ("$$(A)", "$(A)"), ("$A", "$A"), ("$", "$"), ("$(A", "$(A")]
    return [p for text, wanted in table for p in same(fields.expand(text, known), wanted)]


def environment():
    container = {"envFrom": [{"prefix": "C_", "configMapRef": {"name": "conf"}}],
                 "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                         {"name": "ALL", "value": "$(NAME) $(C_k) $(LATER)"}, {"name": "LATER", "value": "x"},
                         {"name": "S", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "k"}}},
                         {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}}}]}
    objects = {("configmaps", "conf"): {"data": {"k": "v"}}, ("secrets", "sec"): {"data": {"k": "c2VjcmV0"}}}
    got = fields.environment(POD, container, {"IMAGE": "i"}, {"SVC": "s"}, lambda kind, name: objects.get((kind, name)))
    problems = same(got, {"IMAGE": "i", "SVC": "s", "C_k": "v", "NAME": "web-1", "ALL": "web-1 v $(LATER)", "LATER": "x", "S": "secret"})
    container["env"][4]["valueFrom"]["configMapKeyRef"]["optional"] = False
    try:
        fields.environment(POD, container, {}, {}, lambda kind, name: objects.get((kind, name)))
        problems.append("a missing config map was let pass")
    except fields.FieldError as error:
        problems += same(str(error), 'configmap "none" not found')
    return problems


def security():
    image = Image(["/app"], user="65532:65532")
    problems = []
    table = [({}, {}, (65532, 65532, [])), ({"runAsUser": 1337, "runAsGroup": 7}, {}, (1337, 7, [])),
             ({}, {"runAsUser": 5, "fsGroup": 9, "supplementalGroups": [4]}, (5, 65532, [4, 9])),
             ({"runAsUser": 0}, {"runAsUser": 5}, (0, 65532, []))]
    for own, of_pod, wanted in table:
        pod = {**POD, "spec": {**POD["spec"], "securityContext": of_pod}}
        problems += same(spec.user(pod, {"securityContext": own}, image), wanted)
    try:
        spec.user(POD, {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}, image)
        problems.append("runAsNonRoot with uid 0 was let pass")
    except spec.ConfigError:
        pass
    caps = lambda **asked: spec.capabilities({"securityContext": {"capabilities": asked}})
    problems += same(caps(drop=["ALL"], add=["NET_ADMIN", "NET_RAW"]), ["NET_ADMIN", "NET_RAW"])
    problems += same(caps(drop=["ALL"]), [])
    problems += same("NET_ADMIN" in caps(), False)
    problems += same("KILL" in caps(drop=["KILL"]), False)
    return problems


def command_lines():
    image = Image(["/entry"], command=["default"])
    table = [({}, ["/entry", "default"]), ({"args": ["$(A)"]}, ["/entry", "1"]), ({"command": ["/c"]}, ["/c"]),
             ({"command": ["/c"], "args": ["x"]}, ["/c", "x"])]
    return [p for container, wanted in table for p in same(spec.argv(container, image, {"A": "1"}), wanted)]


def slice_of(name, endpoints, port=8080):
    return {"metadata": {"uid": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [a], "hostname": h, "conditions": {"ready": r, "serving": s, "terminating": t}}
                          for a, h, r, s, t in endpoints]}


def table_of(address="10.96.1.1", **more):
    table = services.Table()
    table.service("set", {"metadata": {"namespace": "shop", "name": "web"},
                          "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80}], **more}})
    return table


def translations():
    table = table_of()
    key = ("10.96.1.1", "tcp", 80)
    problems = same(table.translations(), {key: []})
    table.slice("set", slice_of("s1", [("10.244.0.5", "", True, True, False), ("10.244.0.6", "", False, True, True)]))
    problems += same(table.translations(), {key: [("10.244.0.5", 8080)]})
    table.slice("set", slice_of("s1", [("10.244.0.6", "", False, True, True), ("10.244.0.7", "", False, False, False)]))
    problems += same(table.translations(), {key: [("10.244.0.6", 8080)]})
    text = services.rules(table.translations())
    if "10.96.1.1 . tcp . 80 : goto s0" not in text or "0 : 10.244.0.6 . 8080" not in text:
        problems.append(text)
    table.slice("gone", slice_of("s1", []))
    return problems + same(table.translations(), {key: []})


def query(name, kind=dns.A):
    return b"\x12\x34\x01\x00" + struct.pack("!HHHH", 1, 0, 0, 0) + dns.name_bytes(name) + struct.pack("!HH", kind, 1)


def names():
    table, headless = table_of(), table_of("None")
    ends = slice_of("s1", [("10.244.0.5", "web-0", True, True, False), ("10.244.0.6", "web-1", False, False, False)])
    headless.slice("set", ends)
    problems = []
    for known, name, kind, wanted in [
            (table, "web.shop.svc.cluster.local", dns.A, (0, ["10.96.1.1"])), (table, "WEB.shop.svc.cluster.local", dns.A, (0, ["10.96.1.1"])),
            (table, "web.shop.svc.cluster.local", dns.AAAA, (0, [])), (table, "no.shop.svc.cluster.local", dns.A, (3, [])),
            (table, "web.shop", dns.A, (3, [])), (headless, "web.shop.svc.cluster.local", dns.A, (0, ["10.244.0.5"])),
            (headless, "web-0.web.shop.svc.cluster.local", dns.A, (0, ["10.244.0.5"])),
            (headless, "web-1.web.shop.svc.cluster.local", dns.A, (3, []))]:
        got = dns.answer(known, query(name, kind))
        count = struct.unpack("!H", got[6:8])[0]
        code = got[3] & 15
        found = []
        if count:
            tail = got[len(query(name)):]
            found = sorted(socket.inet_ntoa(tail[16 * i + 12:16 * i + 16]) for i in range(count))
        problems += [f"{name}: {p}" for p in same((code, found), wanted)]
    for bad in (b"", b"x" * 11, query("a.b")[:-3], b"\0" * 40, query("a" * 60 + ".b")[:20], b"\x12\x34\x81" + query("a")[3:]):
        if dns.answer(table, bad) is not None:
            problems.append(f"{bad!r} was answered")
    return problems


def files_swap():
    with tempfile.TemporaryDirectory() as folder:
        volumes.swap(folder, {"a": (b"1", 0o644, None), "d/b": (b"2", 0o600, None)}, None)
        kept = os.path.realpath(os.path.join(folder, "a"))
        volumes.swap(folder, {"a": (b"3", 0o644, None)}, None)
        with open(os.path.join(folder, "a"), encoding="ascii") as file:
            problems = same(file.read(), "3")
        return problems + same(sorted(n for n in os.listdir(folder) if not n.startswith("..")), ["a"]) + same(os.path.exists(kept), False)


class Once:
    """A server that says its bytes to whoever connects, after it has heard something."""

    def __init__(self, said):
        self.heard = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(said,), daemon=True).start()

    def _serve(self, said):
        connection, _ = self.listener.accept()
        with connection:
            self.heard = connection.recv(65536)
            connection.sendall(said)


def probes():
    problems = []
    for status, wanted in ((200, True), (302, True), (399, True), (400, False), (503, False)):
        server = Once(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        passed, _ = checks.http_get({"port": "http", "path": "/x?y", "httpHeaders": [{"name": "Host", "value": "h"}]},
                                    {"ports": [{"name": "http", "containerPort": server.port}]}, "127.0.0.1", 5)
        problems += [f"{status}: {p}" for p in same(passed, wanted)]
        if not server.heard.startswith(b"GET /x?y HTTP/1.1\r\n") or server.heard.lower().count(b"host:") != 1:
            problems.append(repr(server.heard))
    answer = lambda status: (checks._frame(4, 0, 0, b"") + checks._frame(1, 4, 1, b"\x88") +
                             checks._frame(0, 0, 1, b"\0\0\0\0\2\x08" + bytes([status])) + checks._frame(1, 5, 1, b"\x88"))
    for said, wanted in ((answer(1), True), (answer(2), False), (checks._frame(1, 5, 1, b"\x88"), False), (b"", False),
                         (checks._frame(7, 0, 0, b"\0" * 8), False)):
        server = Once(said)
        passed, message = checks.grpc({"port": server.port, "service": "x"}, "127.0.0.1", 5)
        problems += [f"{said!r}: {message}: {p}" for p in same(passed, wanted)]
    free = socket.create_server(("127.0.0.1", 0))
    problems += same(checks.tcp_socket({"port": free.getsockname()[1]}, {}, "127.0.0.1", 5)[0], True)
    port = free.getsockname()[1]
    free.close()
    return problems + same(checks.tcp_socket({"port": port}, {}, "127.0.0.1", 5)[0], False)


def streams():
    """The dictionary is the draft's, and a session answers streams, pings and data, whatever the pieces they come in."""
    # RFC 1950's checksum of the dictionary of draft-mbelshe-httpbis-spdy-00, section 2.6.10.1.
    problems = same((len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)), (1423, 0xe3c6a7c2))
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = struct.pack("!II", 1, 10) + b"streamtype" + struct.pack("!I", 4) + b"data"
    packed = deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)
    syn = struct.pack("!IIII", 0x80030001, len(packed) + 10, 1, 0) + b"\0\0" + packed
    said = syn + struct.pack("!III", 0x80030006, 4, 9) + struct.pack("!II", 1, 5) + b"hello" + struct.pack("!II", 1, 0x01000000)
    for size in (1, 2, 3, 7, 4096):
        ours, theirs = socket.socketpair()
        opened = []
        session = spdy.Session(ours, opened.append)
        thread = threading.Thread(target=session.run)
        thread.start()
        for at in range(0, len(said), size):
            theirs.sendall(said[at:at + size])
        theirs.shutdown(socket.SHUT_WR)
        thread.join(10)
        got = b"".join(iter(opened[0].read, b""))
        problems += same((opened[0].headers, got), ({"streamtype": "data"}, b"hello"))
        opened[0].close()
        ours.close()
        answer = theirs.makefile("rb").read()
        problems += same((answer[:4], answer[-8:], struct.pack("!III", 0x80030006, 4, 9) in answer),
                         (b"\x80\x03\x00\x02", struct.pack("!II", 1, 0x01000000), True))
    return problems


def layer(*entries):
    """A tar: (name, text) is a file, (name, None) a folder, (name, "-> target") a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in entries:
            info = tarfile.TarInfo(name)
            if text is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif text.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, text.removeprefix("-> ")
            else:
                info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO((text or "").encode()))
    return out.getvalue()


def layout(folder, layers, **said):
    """Writes an OCI layout; the paths of its layers' blobs."""
    def blob(content, kind):
        hexdigest = hashlib.sha256(content).hexdigest()
        path = os.path.join(folder, "blobs/sha256", hexdigest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return {"mediaType": kind, "digest": "sha256:" + hexdigest, "size": len(content)}, path
    packed = [blob(gzip.compress(one, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for one in layers]
    config = blob(json.dumps({"config": said, "rootfs": {"diff_ids": ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]}})
                  .encode(), "config")[0]
    manifest = blob(json.dumps({"config": config, "layers": [one for one, _ in packed]}).encode(), "manifest")[0]
    manifest["annotations"] = {"io.containerd.image.name": "docker.io/shop/web:1"}
    for name, content in (("index.json", {"manifests": [manifest]}), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(content, file)
    return [path for _, path in packed]


def image_layouts():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        base = layer(("etc", None), ("etc/passwd", "root:x:0:0::/:\nweb:x:77:78::/:\n"), ("etc/group", "web:x:79:\n"), ("usr", None),
                     ("usr/old", "old"), ("usr/bin", None), ("usr/bin/web", "one"), ("bin", "-> usr/bin"), ("cache", None), ("cache/a", "a"))
        over = layer(("usr/.wh.old", ""), ("bin/web", "two"), ("cache", None), ("cache/.wh..wh..opq", ""), ("cache/b", "b"))
        one = os.path.join(folder, "one")
        paths = layout(one, [base, over], Entrypoint=["/bin/web"], Cmd=["-v"], User="web", Env=["A=b=c"], WorkingDir="/usr")
        name, image = oci.load(one, os.path.join(folder, "root"))
        problems += same((name, image.entrypoint, image.command, image.user, image.env, image.workdir),
                         ("shop/web:1", ["/bin/web"], ["-v"], "77:78", {"A": "b=c"}, "/usr"))
        problems += same((oci.user("web:web", image.root), oci.user("5", image.root), oci.user("5:6", image.root)), ("77:79", "5", "5:6"))
        with open(os.path.join(image.root, "usr/bin/web"), encoding="utf-8") as file:
            problems += same(file.read(), "two")
        problems += same((os.path.exists(image.root + "/usr/old"), os.listdir(image.root + "/cache")), (False, ["b"]))
        with open(paths[1], "ab") as file:
            file.write(b"x")
        layout(os.path.join(folder, "two"), [layer(("../out", "x"), ("etc", None))])
        layout(os.path.join(folder, "three"), [layer(("way", "-> " + folder)), layer(("way/out", "x"))])
        for which, wanted in (("one", "is something else"), ("three", "outside the image")):
            try:
                oci.load(os.path.join(folder, which), os.path.join(folder, "root-" + which))
                problems.append(f"{which} was taken")
            except oci.BadImage as error:
                problems += same(wanted in str(error), True)
        oci.load(os.path.join(folder, "two"), os.path.join(folder, "root-two"))
        problems += same(sorted(name for name in os.listdir(folder) if "out" in name), [])
    return problems


def main():
    report = Report()
    for name, test in (("field references", field_references), ("resource references", resources), ("$(NAME) in arguments", expansion),
                       ("a container's environment", environment), ("users and capabilities", security),
                       ("command and args", command_lines), ("services to endpoints to rules", translations), ("DNS", names),
                       ("files of a volume change together", files_swap), ("probes by HTTP, gRPC and TCP", probes), ("SPDY streams", streams),
                       ("images from OCI layouts", image_layouts)):
        report.run(name, test)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
