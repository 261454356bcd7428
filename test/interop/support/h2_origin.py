"""An HTTP/2 (prior knowledge) server by the same `x-script` words as origin.Origin, one thread per connection:
    NNN        that status and a short body
    grpc:N     200, application/grpc, one message, trailers with grpc-status N
    refused    RST_STREAM REFUSED_STREAM;  cancel: CANCEL;  internal: INTERNAL_ERROR
    goaway     GOAWAY, then the connection ends
    wait:MS    waits
"""

import time

import h2.config
import h2.connection

import http1
from origin import Origin

RESETS = {"refused": 7, "cancel": 8, "internal": 2}


class H2Origin(Origin):
    def __init__(self):
        super().__init__(replies={})

    def _serve(self, sock):
        link = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_inbound_headers=False))
        link.initiate_connection()
        streams = {}
        try:
            sock.sendall(link.data_to_send())
            while True:
                data = sock.recv(65536)
                if not data:
                    return
                for event in link.receive_data(data):
                    self._event(event, link, streams, sock)
                sock.sendall(link.data_to_send())
        except (OSError, EOFError, h2.exceptions.ProtocolError):
            pass
        finally:
            sock.close()

    def _event(self, event, link, streams, sock):
        kind = type(event).__name__
        if kind == "RequestReceived":
            streams[event.stream_id] = http1.Message(start="h2", headers=list(event.headers))
        elif kind == "DataReceived":
            streams[event.stream_id].body += event.data
            link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif kind == "TrailersReceived":
            streams[event.stream_id].trailers = list(event.headers)
        elif kind == "StreamEnded":
            request = streams.pop(event.stream_id)
            request.complete = True
            self._answer(request, event.stream_id, link, sock)

    def _answer(self, request, stream, link, sock):
        with self.lock:
            self.seen.append(request)
            attempt = self.attempts[request.get("x-case", "")]
            self.attempts[request.get("x-case", "")] += 1
        steps = request.get("x-script", "200").split("|")
        for word in steps[min(attempt, len(steps) - 1)].split("+"):
            if word.startswith("wait:"):
                time.sleep(int(word[5:]) / 1000)
            elif word in RESETS:
                link.reset_stream(stream, RESETS[word])
            elif word == "goaway":
                link.close_connection(0)
                sock.sendall(link.data_to_send())
                raise EOFError
            elif word.startswith("grpc:"):
                link.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("x-origin", "yes")])
                link.send_data(stream, b"\0\0\0\0\2hi")
                link.send_headers(stream, [("grpc-status", word[5:]), ("grpc-message", "said by origin")], True)
            else:
                body = f"origin {word}\n".encode()
                link.send_headers(stream, [(":status", word), ("content-length", str(len(body))), ("x-origin", "yes")])
                link.send_data(stream, body, True)
