"""A layer: a file tree as one gzipped tar whose bytes depend on nothing but its content. No owner's name, no time."""

import gzip
import hashlib
import io
import tarfile


class Tree:
    def __init__(self):
        self.entries = {}  # path without the leading slash: (TarInfo, bytes)

    def _add(self, path, kind, mode, content=b"", link=""):
        name = path.strip("/")
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode, 0, len(content), link
        self.entries[name] = (info, content)

    def folder(self, path, mode=0o755):
        """With those above it."""
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above not in self.entries:
                self._add(above, tarfile.DIRTYPE, 0o755)
        self._add(path, tarfile.DIRTYPE, mode)

    def _above(self, path):
        above = path.strip("/").rpartition("/")[0]
        if above and above not in self.entries:
            self.folder(above)

    def file(self, path, content, mode=0o644):
        self._above(path)
        self._add(path, tarfile.REGTYPE, mode, content)

    def link(self, path, target):
        self._above(path)
        self._add(path, tarfile.SYMTYPE, 0o777, link=target)

    def copy(self, path, source, mode=0o755):
        with open(source, "rb") as file:
            self.file(path, file.read(), mode)

    def tar(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name in sorted(self.entries):
                info, content = self.entries[name]
                archive.addfile(info, io.BytesIO(content))
        return out.getvalue()


class Layer:
    def __init__(self, tree, comment):
        plain = tree.tar()
        self.comment = comment
        self.plain_digest = digest(plain)
        self.bytes = gzip.compress(plain, compresslevel=9, mtime=0)
        self.digest = digest(self.bytes)


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()
