"""Reads HTTP/1 messages as they stand on the wire: heads, bodies by either framing, trailers, leftovers."""

from dataclasses import dataclass, field


@dataclass
class Message:
    start: str = ""                                  # request or status line
    headers: list = field(default_factory=list)      # (lower-case name, value), in order
    body: bytes = b""
    trailers: list = field(default_factory=list)
    framing: str = "none"                            # none, length, chunked, close
    complete: bool = False

    @property
    def status(self):
        parts = self.start.split(" ")
        return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0

    def get(self, name, default=None):
        return next((value for key, value in self.headers if key == name), default)


class Closed(Exception):
    """The peer ended the connection."""


class Reader:
    """Takes messages off a socket. Text is decoded as latin-1, so every byte survives."""

    def __init__(self, sock):
        self.sock = sock
        self.left = b""

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed
        self.left += data

    def until(self, mark):
        while mark not in self.left:
            self.more()
        text, self.left = self.left.split(mark, 1)
        return text

    def exactly(self, count):
        while len(self.left) < count:
            self.more()
        data, self.left = self.left[:count], self.left[count:]
        return data

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        return Message(start=lines[0], headers=[_split(line) for line in lines[1:] if line])

    def chunks(self, message):
        while True:
            size = int(self.until(b"\r\n").split(b";")[0].strip() or b"0", 16)
            if size == 0:
                break
            message.body += self.exactly(size)
            self.exactly(2)
        while True:
            line = self.until(b"\r\n").decode("latin-1")
            if not line:
                return
            message.trailers.append(_split(line))

    def length(self, message, count):
        message.framing = "length"
        while len(message.body) < count:
            if not self.left:
                self.more()
            take = count - len(message.body)
            message.body += self.left[:take]
            self.left = self.left[take:]

    def request(self):
        message = self.head()
        self.body(message)
        return message

    def body(self, message):
        if "chunked" in (message.get("transfer-encoding") or "").lower():
            message.framing = "chunked"
            self.chunks(message)
        elif message.get("content-length") is not None:
            self.length(message, int(message.get("content-length")))
        message.complete = True

    def response(self, message, to_head=False):
        """Fills `message` in place, so that what came before an end or a timeout is kept."""
        got = self.head()
        message.start, message.headers = got.start, got.headers
        if to_head or message.status in (204, 304) or message.status < 200:
            message.framing = "length" if message.get("content-length") is not None else "none"
            message.complete = True
        elif message.get("transfer-encoding") or message.get("content-length") is not None:
            self.body(message)
        else:
            message.framing = "close"
            try:
                while True:
                    message.body += self.left
                    self.left = b""
                    self.more()
            except Closed:
                message.complete = True
        return message


def _split(line):
    name, _, value = line.partition(":")
    return name.lower(), value.strip()
