"""An HTTP/1 server that does what the request asks for and remembers every byte it was sent.

The request header `x-script` holds one step per attempt, separated by `|`; the last one repeats. Attempts are counted by
the header `x-case`. A step is a list of words separated by `+`, done in order:
    NNN          answers with that status and a short body
    NAME         answers with the bytes REPLIES[NAME]
    wait:MS      waits
    close        ends the connection (after what was sent)
    reset        ends it with a TCP reset
    echo         sends back what comes, until the end (after a 101)
Without `x-script` it answers 200.
"""

import collections
import socket
import struct
import threading
import time

import http1


class Origin:
    """Serves on a loopback port, one thread per connection. `replies` maps names to raw bytes."""

    def __init__(self, replies, port=0, address="127.0.0.1"):
        self.replies = replies
        self.seen = []                         # http1.Message, in order of arrival
        self.attempts = collections.Counter()  # by x-case
        self.lock = threading.Lock()
        self.listener = socket.create_server((address, port), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()

    def take(self):
        """What arrived since the last call."""
        with self.lock:
            seen, self.seen = self.seen, []
        return seen

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = http1.Reader(sock)
        try:
            while self._one(sock, reader):
                pass
        except (OSError, http1.Closed):
            pass
        except ValueError as error:
            with self.lock:
                self.seen.append(http1.Message(start=f"unreadable: {error}: {reader.left[:200]!r}"))
        finally:
            sock.close()

    def _one(self, sock, reader):
        request = reader.head()
        with self.lock:
            self.seen.append(request)
            case = request.get("x-case", "")
            attempt = self.attempts[case]
            self.attempts[case] += 1
        steps = request.get("x-script", "200").split("|")
        words = steps[min(attempt, len(steps) - 1)].split("+")
        if "early" not in words:
            if request.get("expect", "").lower() == "100-continue" and "silent" not in words:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            reader.body(request)
        return all([self._do(word, request, sock, reader) for word in words])

    def _do(self, word, request, sock, reader):
        """Whether the connection goes on."""
        if word in ("early", "silent"):
            return True
        if word.startswith("wait:"):
            time.sleep(int(word[5:]) / 1000)
        elif word == "close":
            sock.shutdown(socket.SHUT_RDWR)
            return False
        elif word == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif word == "echo":
            while True:
                if not reader.left:
                    reader.more()
                sock.sendall(reader.left)
                reader.left = b""
        elif word.isdigit():
            sock.sendall(plain(int(word), request.start.startswith("HEAD ")))
        else:
            sock.sendall(self.replies[word])
        return True


def plain(status, to_head=False):
    """A small answer with a body where the status allows one."""
    if status in (204, 304):
        return f"HTTP/1.1 {status} Origin\r\nx-origin: yes\r\n\r\n".encode()
    body = f"origin {status}\n".encode()
    head = f"HTTP/1.1 {status} Origin\r\ncontent-length: {len(body)}\r\nx-origin: yes\r\n\r\n".encode()
    return head if to_head else head + body
