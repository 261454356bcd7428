"""SPDY/3.1 as Kubernetes still speaks it between API server and kubelet: streams over one connection, opened by the peer.

    session = Session(socket_like, opened)      # opened(stream) on the session's thread, for each stream of the peer
    session.run()                               # until the connection ends
    stream.read(), stream.write(bytes), stream.close()

No flow control: that peer has none either. Headers are those of the SPDY draft: names and values with their lengths, compressed
with the draft's dictionary.
"""

import queue
import struct
import threading
import zlib

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 1
MAX_FRAME = 1 << 20

# The draft's dictionary: words with their lengths, then text that is common in headers.
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization "
    "cache-control connection content-base content-encoding content-language content-length content-location content-md5 "
    "content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer "
    "retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status").split()
_WORDS += ["200 OK"] + "version HTTP/1.1 url public set-cookie keep-alive origin".split()
_CODES = "100 101 201 202 205 206 300 302 303 304 305 306 307 402 405 406 407 408 409 410 411 412 413 414 415 416 417 502 504 505"
_TEXT = ("203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
         "404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct "
         "Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
         "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,"
         "utf-,*,enq=0.")
DICTIONARY = b"".join(struct.pack("!I", len(word)) + word.encode() for word in _WORDS) + (_CODES.replace(" ", "") + _TEXT).encode()


def read_headers(block):
    """{name: value} of an uncompressed header block; struct.error or ValueError when it is none."""
    count, at = struct.unpack("!I", block[:4])[0], 4
    fields = []
    for _ in range(2 * count):
        length = struct.unpack("!I", block[at:at + 4])[0]
        if at + 4 + length > len(block):
            raise ValueError("a header leaves its block")
        fields.append(block[at + 4:at + 4 + length].decode("latin-1"))
        at += 4 + length
    return dict(zip(fields[::2], fields[1::2]))


class Stream:
    def __init__(self, session, number, headers):
        self.session, self.number, self.headers = session, number, headers
        self.arrived = queue.Queue()
        self.closed = False

    def read(self):
        """The next bytes, or b"" at the peer's end."""
        return self.arrived.get()

    def write(self, data):
        for start in range(0, len(data), 16384):
            self.session.send(self.number, 0, data[start:start + 16384])

    def close(self):
        """Ends our side."""
        if not self.closed:
            self.closed = True
            self.session.send(self.number, FIN, b"")


class Session:
    def __init__(self, connection, opened):
        self.connection, self.opened = connection, opened
        self.streams = {}
        self.lock = threading.Lock()
        self.inflate = zlib.decompressobj(zdict=DICTIONARY)
        self.deflate = zlib.compressobj()
        self.left = b""

    def run(self):
        try:
            while self._frame():
                pass
        except (OSError, ValueError, struct.error, zlib.error):
            pass
        for stream in self.streams.values():
            stream.arrived.put(b"")

    def send(self, number, flags, data):
        with self.lock:
            try:
                self.connection.sendall(struct.pack("!IB", number, flags) + struct.pack("!I", len(data))[1:] + data)
            except OSError:
                pass

    def _control(self, kind, flags, data):
        with self.lock:
            self.connection.sendall(struct.pack("!HHB", 0x8003, kind, flags) + struct.pack("!I", len(data))[1:] + data)

    def _take(self, count):
        while len(self.left) < count:
            more = self.connection.recv(65536)
            if not more:
                return None
            self.left += more
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def _frame(self):
        head = self._take(8)
        if head is None:
            return False
        word, rest = struct.unpack("!II", head)
        flags, length = rest >> 24, rest & 0xFFFFFF
        if length > MAX_FRAME:
            raise ValueError("frame too long")
        data = self._take(length)
        if data is None:
            return False
        if not word & 0x80000000:
            stream = self.streams.get(word)
            if stream is not None:
                if data:
                    stream.arrived.put(data)
                if flags & FIN:
                    stream.arrived.put(b"")
            return True
        kind = word & 0xFFFF
        if kind == SYN_STREAM:
            number = struct.unpack("!I", data[:4])[0] & 0x7FFFFFFF
            stream = Stream(self, number, read_headers(self.inflate.decompress(data[10:])))
            self.streams[number] = stream
            with self.lock:
                empty = self.deflate.compress(struct.pack("!I", 0)) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
            self._control(SYN_REPLY, 0, data[:4] + empty)
            if flags & FIN:
                stream.arrived.put(b"")
            self.opened(stream)
        elif kind == RST_STREAM:
            stream = self.streams.pop(struct.unpack("!I", data[:4])[0], None)
            if stream is not None:
                stream.arrived.put(b"")
        elif kind == PING:
            self._control(PING, 0, data)
        return kind != GOAWAY
