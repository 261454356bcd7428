"""The table: what is sent, to which listener of table.yaml. What is expected is what Envoy answers."""

from dataclasses import dataclass, field


@dataclass
class Row:
    name: str
    parts: list = None           # HTTP/1: what client.send_http1 takes
    h2: dict = None              # HTTP/2: what client.send_http2 takes
    to: str = "main"
    answers: int = 1
    to_head: bool = False
    linger: float = 0.25
    keep_ids: bool = False       # compare x-request-id values too
    options: dict = field(default_factory=dict)


ROWS = []


def raw(name, *parts, patience=4.0, read=True, **options):
    """Bytes as they are; \\r\\n is the writer's business."""
    options["options"] = {"patience": patience, "read": read}
    ROWS.append(Row(name, parts=[part.encode("latin-1") if isinstance(part, str) and part not in ("answer", "interim")
                                 else part for part in parts], **options))


def ask(name, path, *more, method="GET", host="any.test", script=None, body="", version="1.1", chunked=False, **options):
    """One HTTP/1 request; `more` are header lines."""
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines.append(f"x-case: {name}")
    if script:
        lines.append(f"x-script: {script}")
    if body and not chunked:
        lines.append(f"content-length: {len(body)}")
    if chunked:
        lines.append("transfer-encoding: chunked")
        body = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" if body else "0\r\n\r\n"
    text = "\r\n".join(lines + list(more)) + "\r\n\r\n" + body
    raw(name, text, to_head=method == "HEAD", **options)


def ask2(name, path, *more, method="GET", host="any.test", script=None, body=None, trailers=None, scheme="http", to="main",
         pseudo=None, **options):
    """One HTTP/2 request; `more` are (name, value)."""
    headers = pseudo if pseudo is not None else [(":method", method), (":path", path), (":scheme", scheme),
                                                 (":authority", host)]
    headers = list(headers) + [("x-case", name)] + ([("x-script", script)] if script else []) + list(more)
    ROWS.append(Row(name, h2={"headers": headers, "body": body, "trailers": trailers, **options}, to=to))


# Routing
ask("exact path", "/exact")
ask("exact path ignores the query", "/exact?q=1")
ask("exact path is exact", "/exact/more")
ask("no route", "/nothing")
ask("paths differ by case", "/EXACT")
ask("case-insensitive path", "/cAsElEsS")
ask("regex matches the whole path", "/re/123")
ask("regex does not match a part", "/re/123/x")
ask("regex ignores the query", "/re/7?x=y")
ask("separated prefix itself", "/sep")
ask("separated prefix below", "/sep/x")
ask("separated prefix with query", "/sep?x")
ask("separated prefix is no word start", "/separate")
ask("header exact", "/h/", "x-pick: one")
ask("header exact fails, next route", "/h/", "x-pick: two", "x-always: 1")
ask("header range low end", "/h/", "x-num: 10")
ask("header range high end is outside", "/h/", "x-num: 20", "x-always: 1")
ask("header range junk", "/h/", "x-num: 1a", "x-always: 1")
ask("header inverted", "/h/inv", "x-inv: b", "x-always: 1")
ask("header inverted, matches so fails", "/h/inv", "x-inv: ab", "x-always: 1")
ask("header inverted, missing", "/h/inv", "x-always: 1")
ask("header present", "/h/", "x-there:", "x-always: 1")
ask("header absent", "/h/x")
ask("header twice, the first matches", "/h/", "x-pick: one", "x-pick: two", "x-always: 1")
ask("header twice, the second matches", "/h/", "x-pick: two", "x-pick: one", "x-always: 1")
ask("header twice, none matches", "/h/", "x-pick: two", "x-pick: three", "x-always: 1")
ask("header with a list is one value", "/h/", "x-pick: one, two", "x-always: 1")
ask("header twice, the range holds one", "/h/", "x-num: 50", "x-num: 15", "x-always: 1")
ask("header twice inverted, one matches", "/h/inv", "x-inv: ab", "x-inv: b", "x-always: 1")
ask("header twice inverted, none matches", "/h/inv", "x-inv: b", "x-inv: c", "x-always: 1")
ask("accept twice is a list", "/h/accept", "accept: one", "accept: two", "x-always: 1")
ask("query exact", "/q?a=1")
ask("query exact among others", "/q?z=0&a=1&b")
ask("query first value counts", "/q?a=2&a=1")
ask("query present", "/q?b")
ask("query missing", "/q?c=1")
ask("grpc route without grpc", "/grpc-only")
ask("grpc route with grpc", "/grpc-only", "content-type: application/grpc")
ask("grpc route with grpc+proto", "/grpc-only", "content-type: application/grpc+proto")
ask("grpc route with grpc-web", "/grpc-only", "content-type: application/grpc-web")
ask("host exact", "/", host="exact.test")
ask("host exact in capitals", "/", host="EXACT.test")
ask("host with port", "/", host="exact.test:8080")
ask("host with another port", "/exact", host="exact.test:9999")
ask("host suffix", "/", host="a.suffix.test")
ask("host longest suffix", "/", host="a.long.suffix.test")
ask("host suffix needs something", "/exact", host="suffix.test")
ask("host prefix", "/", host="prefix.anything")
ask("weight 0 is never chosen", "/weighted")
ask("require tls redirects", "/x?y=z", host="tls.test")
ask("require tls for external only", "/x", host="externaltls.test")
ask("cluster by header", "/x/header", "x-cluster: origin")
ask("cluster by header, missing", "/x/header")
ask("cluster by header, unknown", "/x/header", "x-cluster: unheard-of")
ask("cluster unknown as 404", "/x/no404", "x-cluster: unheard-of")

# Redirects, direct responses, rewrites
for one in ("path", "path?old=1", "pathq?old=1", "prefix/tail?q=1", "host?q=1", "https", "port", "strip?q=1", "scheme?q=1",
            "regex/ab/cd?q=1"):
    ask(f"redirect {one}", f"/r/{one}")
ask("redirect https drops port 80", "/r/https", host="any.test:80")
ask("redirect https drops port 8080", "/r/https", host="any.test:8080")
ask("redirect port replaces one", "/r/port", host="any.test:99")
ask("redirect host keeps the port", "/r/host", host="any.test:99")
ask("redirect of a POST", "/r/path", method="POST", body="hello")
ask("direct 204", "/d/204")
ask("direct 503", "/d/503")
ask("direct response to HEAD", "/d/503", method="HEAD")
ask("direct response to a POST", "/d/503", method="POST", body="x" * 100)
ask("direct response to grpc", "/d/503", "content-type: application/grpc", method="POST")
ask("rewrite prefix", "/w/prefix/tail?q=1")
ask("rewrite prefix alone", "/w/prefix")
ask("rewrite regex", "/w/regex/12/34?id=/56")
ask("rewrite host", "/w/host/a")
ask("rewrite host and append x-forwarded-host", "/w/xfh")
ask("append to x-forwarded-host", "/w/xfh", "x-forwarded-host: first.test")
ask("rewrite host by header", "/w/by-header", "x-new-host: from.header")
ask("rewrite host by a missing header", "/w/by-header")
ask("rewrite host to what it is", "/w/host/a", host="rewritten.test")
ask("rewrite host with an original already", "/w/host/a", "x-envoy-original-host: first.test")
ask("rewrite host from the edge", "/w/host/a", "x-envoy-original-host: first.test", to="edge")

# Header mutation
ask("headers add, overwrite, remove", "/append", "x-level: client", "x-append: one", "x-absent: here", "x-over: old",
    "x-take-away: now", host="headers.test", script="hide")
ask("headers where nothing is there", "/append", host="headers.test")
ask("headers overwrite if exists", "/append", "x-only-if: old", host="headers.test")
ask("header formats", "/format", host="headers.test", method="PUT", body="abc")
ask("headers of a reply instead of the origin's", "/refused", host="headers.test")
ask("headers of a denial", "/append", "x-role: intruder", host="headers.test")
ask("headers of a refused upgrade", "/append", "Connection: Upgrade", "Upgrade: chat", host="headers.test")
ask("headers of a timeout", "/late", host="headers.test", script="wait:600+200")
ask("headers of a direct response", "/direct", host="headers.test")
ask("headers of a 404", "/none", host="headers.test")

# Passing through
ask("plain GET", "/o/plain?x=1")
ask("POST with a length", "/o/post", method="POST", body="hello")
ask("POST in chunks", "/o/chunked", method="POST", body="hello", chunked=True)
ask("POST of nothing in chunks", "/o/chunked", method="POST", chunked=True)
ask("POST with length 0", "/o/zero", "content-length: 0", method="POST")
ask("POST with neither", "/o/neither", method="POST")
ask("GET with a body", "/o/get-body", body="hello")
ask("HEAD", "/o/head", method="HEAD")
ask("OPTIONS", "/o/options", method="OPTIONS")
ask("PATCH", "/o/patch", method="PATCH", body="x")
ask("204", "/o/204", script="204")
ask("304", "/o/304", script="304")
ask("304 with a length", "/o/304", script="not-modified")
ask("answer in chunks", "/o/c", script="chunks")
ask("answer in chunks with trailers", "/o/c", "te: trailers", script="trailers")
ask("answer until close", "/o/c", script="until-close+close")
ask("answer of HTTP/1.0", "/o/c", script="old+close")
ask("answer with connection headers", "/o/c", script="hop-by-hop")
ask("answer with two set-cookies", "/o/c", script="cookies")
ask("answer with its own server and date", "/o/c", script="server")
ask("answer with a strange status", "/o/c", script="status-299")
ask("answer with 1xx first", "/o/c", script="early-hints")
ask("connection close", "/o/close", "Connection: close")
ask("keep-alive of HTTP/1.1", "/o/ka", "Connection: keep-alive")
ask("hop-by-hop headers of the request", "/o/hop", "Connection: x-hop, keep-alive", "x-hop: 1", "Keep-Alive: 5",
    "Proxy-Connection: keep-alive", "TE: trailers, deflate", "Proxy-Authorization: secret")
ask("te trailers passes", "/o/te", "TE: trailers")
ask("two requests' headers joined", "/o/join", "x-many: 1", "x-many: 2", "Accept: a", "accept: b")
ask("cookies of HTTP/1", "/o/cookies", "Cookie: a=1", "Cookie: b=2")
ask("empty header", "/o/empty", "x-empty:", "x-space:   ")
ask("header spaces are trimmed", "/o/trim", "x-trim: \t a b \t ")
ask("header with bytes above 127", "/o/high", "x-high: caf\xe9")
ask("user-agent", "/o/ua", "User-Agent: someone/1.0")
ask("percent and dots in the path stay", "/o/a/../b//c%2fd%00?x=%2e")
ask("path with a fragment", "/o/a#frag")
ask("path of one character", "/")
ask("absolute URI", "http://exact.test/abs")
ask("absolute URI wins over Host", "http://exact.test/abs", host="other.test")
ask("absolute URI to the origin", "http://any.test:81/o/abs?x=1", host="other.test")
ask("absolute URI of https", "https://any.test/o/abs")
ask("absolute URI without path", "http://exact.test")
raw("chunked with trailers", "POST /o/t HTTP/1.1\r\nHost: any.test\r\nx-case: t1\r\ntransfer-encoding: chunked\r\n"
    "trailer: x-t\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n")
raw("chunk extensions", "POST /o/t HTTP/1.1\r\nHost: any.test\r\nx-case: t2\r\ntransfer-encoding: chunked\r\n\r\n"
    "3;a=b\r\nabc\r\n2;\"q\"\r\nde\r\n0\r\n\r\n")
raw("two requests in one write", "GET /o/1 HTTP/1.1\r\nHost: any.test\r\nx-case: p1\r\n\r\n"
    "GET /exact HTTP/1.1\r\nHost: any.test\r\nx-case: p2\r\n\r\n", answers=2)
raw("three requests, the first slow", "GET /o/1 HTTP/1.1\r\nHost: any.test\r\nx-case: p3\r\nx-script: wait:100+200\r\n\r\n"
    "GET /exact HTTP/1.1\r\nHost: any.test\r\nx-case: p4\r\n\r\nGET /nothing HTTP/1.1\r\nHost: any.test\r\n\r\n", answers=3)
raw("request byte by byte", *[part for byte in "GET /exact HTTP/1.1\r\nHost: any.test\r\n\r\n" for part in (byte, 0.001)])
raw("empty lines before a request", "\r\n\r\nGET /exact HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("one request after another", "GET /o/1 HTTP/1.1\r\nHost: any.test\r\nx-case: s1\r\n\r\n", "answer",
    "GET /o/2 HTTP/1.1\r\nHost: any.test\r\nx-case: s2\r\n\r\n", answers=2)
ask("early answer to a POST", "/o/early", method="POST", body="x" * 10, script="early+413+close")

# 100-continue, upgrades, CONNECT
raw("100-continue", "POST /o/e HTTP/1.1\r\nHost: any.test\r\nx-case: e1\r\nExpect: 100-continue\r\ncontent-length: 5\r\n\r\n",
    "interim", "hello")
raw("100-continue on the edge is the origin's", "POST /o/e HTTP/1.1\r\nHost: any.test\r\nx-case: e2\r\n"
    "Expect: 100-continue\r\ncontent-length: 5\r\n\r\n", "interim", "hello", to="edge")
raw("expect something else", "POST /o/e HTTP/1.1\r\nHost: any.test\r\nx-case: e3\r\nExpect: 200-ok\r\n"
    "content-length: 5\r\n\r\nhello")
ask("100-continue and a direct response", "/d/503", "Expect: 100-continue", "content-length: 5", method="POST")
raw("websocket", "GET /o/ws HTTP/1.1\r\nHost: any.test\r\nx-case: w1\r\nx-script: upgrade+echo\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\n", "answer", "ping-pong", 0.1, answers=1)
raw("websocket with bytes at once", "GET /o/ws HTTP/1.1\r\nHost: any.test\r\nx-case: w2\r\nx-script: upgrade+echo\r\n"
    "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nearly-bytes", "answer", 0.1)
ask("websocket refused by the origin", "/o/ws", "Connection: Upgrade", "Upgrade: websocket", script="403")
ask("websocket where the route forbids it", "/o/nows", "Connection: Upgrade", "Upgrade: websocket")
ask("websocket where nothing allows it", "/o/ws", "Connection: Upgrade", "Upgrade: websocket", to="edge")
ask("another upgrade", "/o/other", "Connection: Upgrade", "Upgrade: chat")
ask("websocket without a route", "/nothing", "Connection: Upgrade", "Upgrade: websocket")
ask("another upgrade without a route", "/nothing", "Connection: Upgrade", "Upgrade: chat")
ask("h2c upgrade is ignored", "/o/h2c", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
ask("upgrade without connection", "/o/half", "Upgrade: websocket")
ask("connection upgrade without upgrade", "/o/half", "Connection: Upgrade")
raw("CONNECT", "CONNECT any.test:443 HTTP/1.1\r\nHost: any.test:443\r\n\r\n")
raw("CONNECT with a path", "CONNECT /o/x HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("CONNECT with TE", "CONNECT any.test:443 HTTP/1.1\r\nHost: any.test:443\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
raw("TRACE", "TRACE /o/trace HTTP/1.1\r\nHost: any.test\r\nx-case: trace\r\n\r\n")

# Faults upstream
ask("connection refused", "/x/refused")
ask("connection refused for HEAD", "/x/refused", method="HEAD")
ask("connection refused for grpc", "/x/refused", "content-type: application/grpc", method="POST")
ask("no endpoint", "/x/nobody")
ask("circuit full", "/x/full")
ask("circuit full for grpc", "/x/full", "content-type: application/grpc")
ask("origin closes without answer", "/o/gone", script="close")
ask("origin resets without answer", "/o/gone", script="reset")
ask("origin closes in the head", "/o/gone", script="half-head+close")
ask("origin closes in the body", "/o/gone", script="half-body+close")
ask("origin closes in the chunks", "/o/gone", script="half-chunks+close")
ask("origin talks nonsense", "/o/gone", script="nonsense+close")
ask("origin sends both framings", "/o/gone", script="both-framings")
ask("origin sends two lengths", "/o/gone", script="two-lengths+close")
ask("origin sends a bad chunk", "/o/gone", script="bad-chunk+close")
ask("origin sends 101 unasked", "/o/gone", script="upgrade+close")
ask("origin closes, POST", "/o/gone", script="close", method="POST", body="abc")

# Timeouts and retries
ask("route timeout", "/t/route", script="wait:800+200")
ask("route timeout for grpc", "/t/route", "content-type: application/grpc", script="wait:800+200")
ask("route timeout by header", "/o/slow", "x-envoy-upstream-rq-timeout-ms: 200", script="wait:600+200")
ask("per-try timeout, then an answer", "/t/per-try", script="wait:600+200|200")
ask("per-try timeout twice", "/t/per-try", script="wait:600+200")
ask("route idle timeout", "/t/idle", script="wait:900+200")
ask("route timeout after the head", "/t/route", script="half-body+wait:800+close", linger=0.5)
ask("retry 5xx", "/y/5xx", script="503|500|200")
ask("retry 5xx exhausted", "/y/5xx", script="503")
ask("retry 5xx not for 404", "/y/5xx", script="404|200")
ask("retry 5xx on close", "/y/5xx", script="close|200")
ask("retry 5xx with a body", "/y/5xx", method="POST", body="abc", script="503|200")
ask("retry 5xx with chunks", "/y/5xx", method="POST", body="abc", chunked=True, script="503|200")
ask("retry gateway errors", "/y/gateway", script="502|504|200")
ask("retry gateway not for 500", "/y/gateway", script="500|200")
ask("retry connect failures", "/y/connect")
ask("retry connect failure only counts connecting", "/y/reset", script="close|reset|200")
ask("retry reset not for 503", "/y/reset", script="503|200")
ask("retry reset not after the head", "/y/reset", script="half-body+close|200")
ask("retry codes", "/y/codes", script="409|418|200")
ask("retry codes others", "/y/codes", script="503|200")
ask("retry 409", "/y/4xx", script="409|200")
ask("retry 4xx not for 404", "/y/4xx", script="404|200")
ask("retry by response header", "/y/headers", script="again|200")
ask("retry over the limit", "/y/limited", script="503|200")
ask("retry by request headers", "/o/asked", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 3", script="503|503|503|200")
ask("retry by request header, once by default", "/o/asked", "x-envoy-retry-on: 5xx", script="503|503|200")
ask("retry by request codes", "/o/asked", "x-envoy-retry-on: retriable-status-codes",
    "x-envoy-retriable-status-codes: 410,411", "x-envoy-max-retries: 2", script="410|411|200")
ask("retry attempt count from the client", "/o/count", "x-envoy-attempt-count: 7")
ask2("retry refused streams", "/y/h2refused", script="refused|200")
ask2("retry refused streams not others", "/y/h2refused", script="internal|200")
ask2("retry grpc unavailable in trailers is not seen", "/y/grpc", ("content-type", "application/grpc"), script="grpc:14|grpc:0")

ask("inside: timeout as 204", "/o/slow", "x-envoy-upstream-rq-timeout-alt-response: 1", "x-envoy-upstream-rq-timeout-ms: 200",
    to="inside", script="wait:600+200")
ask("inside: per-try timeout by header", "/o/slow", "x-envoy-upstream-rq-per-try-timeout-ms: 200", "x-envoy-retry-on: 5xx",
    "x-envoy-max-retries: 1", to="inside", script="wait:600+200|200")
ask("inside: retry codes by header", "/o/asked", "x-envoy-retry-on: retriable-status-codes",
    "x-envoy-retriable-status-codes: 410,411", "x-envoy-max-retries: 2", to="inside", script="410|411|200")
ask("inside: retry headers by header", "/o/asked", "x-envoy-retry-on: retriable-headers",
    "x-envoy-retriable-header-names: X-Again", "x-envoy-max-retries: 1", to="inside", script="again|200")
ask("inside: unknown retry conditions", "/o/asked", "x-envoy-retry-on: sometimes,5xx,never", "x-envoy-max-retries: 1", to="inside",
    script="503|200")
ask("stream duration of the route", "/t/stream", script="wait:700+200", linger=0.5)
ask("stream duration of the route, in the answer", "/t/stream", script="half-body+wait:700", linger=0.6)
ask("stream duration beside a timeout", "/t/both", script="wait:400+200", linger=0.5)
ask("grpc timeout without a maximum", "/t/own-grpc", "content-type: application/grpc", "grpc-timeout: 600m", script="wait:450+200",
    linger=0.5)
ask("grpc timeout absent", "/t/own-grpc", "content-type: application/grpc", script="wait:600+200", linger=0.5)
ask("grpc timeout of another request", "/t/own-grpc", "grpc-timeout: 100m", script="wait:200+200", linger=0.5)
ask("grpc timeout of zero", "/t/grpc", "content-type: application/grpc", "grpc-timeout: 0m", script="wait:600+200", linger=0.5)
ask("grpc timeout from the client, in passing", "/o/x", "content-type: application/grpc", "grpc-timeout: 100m", script="wait:200+200")
ask("grpc timeout from the client", "/t/grpc", "content-type: application/grpc", "grpc-timeout: 200m", script="wait:700+200",
    linger=0.5)
ask("grpc timeout above the maximum", "/t/grpc", "content-type: application/grpc", "grpc-timeout: 5S", script="wait:800+200",
    linger=0.5)
ask("grpc timeout of nonsense", "/t/grpc", "content-type: application/grpc", "grpc-timeout: soon", script="wait:100+200")
ask2("h2: direct response before the body", "/d/503", method="POST", body=b"hello", pause=0.15)
ask2("h2: HEAD of a direct response", "/d/503", method="HEAD")
ask2("h2: 204", "/o/x", script="204")
ask2("h2: 304 with a length", "/o/x", script="not-modified")
ask2("h2: answer until close", "/o/x", script="until-close+close")
ask2("h2: answer in chunks with trailers", "/o/x", script="trailers")
ask2("h2: expectation", "/o/x", ("expect", "100-continue"), method="POST", body=b"hello", pause=0.1)
ask2("h2: 1xx first", "/o/x", script="early-hints")
ask2("h2: retry with a body", "/y/5xx", method="POST", body=b"abc", script="503|200")
ask2("h2: rbac denies", "/secret/x")
ask2("h2: rbac for grpc", "/secret", ("content-type", "application/grpc"), method="POST")
ask2("h2: fault abort", "/f/abort")
ask2("h2: redirect", "/r/path")
ask2("h2: path with dots on the edge", "/o/a/../b", to="edge")
ask2("h2: escaped slash on the edge", "/o/a%2fb", to="edge")
ask2("h2: stream idle before the answer", "/o/x", script="wait:900+200", to="hasty")
ask2("h2: longest stream", "/o/x", script="wait:1200+200", to="whole")
ask2("h2: stream duration in the answer", "/t/stream", script="half-body+wait:700")
ask("edge x-forwarded-for twice", "/o/edge", "x-forwarded-for: 1.2.3.4", "x-forwarded-for: 5.6.7.8", to="edge")
ask("hops: x-forwarded-for twice", "/o/x", "x-forwarded-for: 1.2.3.4", "x-forwarded-for: 10.0.0.5", to="hops")
ask("hops: address of six", "/o/x", "x-forwarded-for: 2001:db8::1, 10.0.0.5", to="hops")
ask("hops: address with a port", "/o/x", "x-forwarded-for: 1.2.3.4:80, 10.0.0.5", to="hops")
ask("edge via twice", "/o/via", "via: 1.0 one", "via: 1.0 two", to="edge")
ask("cluster by header, twice", "/x/header", "x-cluster: origin", "x-cluster: unheard-of")
ask("HEAD of a redirect", "/r/path", method="HEAD")
ask("HEAD with a body of the origin's length", "/o/head", method="HEAD", script="chunks")
ask("304 in chunks", "/o/x", script="not-modified-chunks")
ask("query with escapes", "/q?a=%31")
ask("host in capitals with a port", "/", host="EXACT.TEST:8080")
ask("host with a trailing dot", "/exact", host="exact.test.")
ask("host of six", "/exact", host="[::1]:80")

# RBAC and fault filters
ask("rbac denies a path", "/secret/x")
ask("rbac denies a path with query", "/secret?x")
ask("rbac denies a header", "/o/x", "x-role: intruder")
ask("rbac denies a header that comes second", "/o/x", "x-role: friend", "x-role: intruder")
ask("rbac lets others by", "/o/x", "x-role: intruders")
ask("rbac for grpc", "/secret", "content-type: application/grpc", method="POST")
ask("rbac is by path start", "/unguarded/secret")
ask("fault abort", "/f/abort")
ask("fault abort of HEAD", "/f/abort", method="HEAD")
ask("fault abort for grpc", "/f/abort", "content-type: application/grpc")
ask("fault delay", "/f/delay")
ask("fault grpc status", "/f/grpc")
ask("fault grpc status for grpc", "/f/grpc", "content-type: application/grpc")
ask("fault by header", "/f/header", "x-envoy-fault-abort-request: 418")
ask("fault by header, junk", "/f/header", "x-envoy-fault-abort-request: 4180")
ask("fault by header, none", "/f/header")

# Malformed and smuggling
ask("HTTP/1.0", "/exact", version="1.0")
ask("HTTP/0.9 style version", "/exact", version="0.9")
ask("HTTP/2.0 in text", "/exact", version="2.0")
ask("HTTP/1.2", "/exact", version="1.2")
ask("missing host", "/exact", host=None)
ask("empty host", "/exact", host="")
ask("two hosts", "/exact", "Host: second.test")
ask("host with a space", "/exact", host="any test")
ask("host with a path", "/exact", host="any.test/x")
ask("unknown method", "/exact", method="BREW")
ask("lower-case method", "/exact", method="get")
raw("HTTP/0.9", "GET /exact\r\n\r\n")
raw("nonsense", "hello world, this is not http\r\n\r\n")
raw("TLS hello on plain text", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n")
raw("space in the path", "GET /ex act HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("two spaces", "GET  /exact HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("tab for space", "GET\t/exact HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("path without slash", "GET exact HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("path with a star", "GET * HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("OPTIONS star", "OPTIONS * HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("path with bytes above 127", "GET /ex\xe9 HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("NUL in the path", "GET /ex\0act HTTP/1.1\r\nHost: any.test\r\n\r\n")

POST = "POST /o/smuggle HTTP/1.1\r\nHost: any.test\r\nx-case: smuggle\r\n"
AFTER = "\r\n0\r\n\r\nGET /o/smuggled HTTP/1.1\r\nHost: any.test\r\n\r\n"
for one, lines in {
    "length and chunked": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked, chunked": "Transfer-Encoding: chunked, chunked\r\n",
    "identity, chunked": "Transfer-Encoding: identity, chunked\r\n",
    "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "comma chunked": "Transfer-Encoding: ,chunked\r\n",
    "xchunked": "Transfer-Encoding: xchunked\r\n",
    "identity": "Transfer-Encoding: identity\r\n",
    "empty transfer-encoding": "Transfer-Encoding:\r\n",
    "capital chunked": "Transfer-Encoding: CHUNKED\r\n",
    "vertical tab chunked": "Transfer-Encoding: \x0bchunked\r\n",
    "no-break space chunked": "Transfer-Encoding:\xa0chunked\r\n",
    "quoted chunked": "Transfer-Encoding: \"chunked\"\r\n",
    "space before colon": "Transfer-Encoding : chunked\r\n",
    "length with a space before colon": "Content-Length : 5\r\n",
    "two equal lengths": "Content-Length: 5\r\nContent-Length: 5\r\n",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6\r\n",
    "length list": "Content-Length: 5, 5\r\n",
    "hexadecimal length": "Content-Length: 0x5\r\n",
    "plus length": "Content-Length: +5\r\n",
    "minus length": "Content-Length: -5\r\n",
    "empty length": "Content-Length:\r\n",
    "length with a letter": "Content-Length: 5a\r\n",
    "huge length": "Content-Length: 99999999999999999999\r\n",
    "folded header": "x-fold: a\r\n b\r\nContent-Length: 0\r\n",
    "folded transfer-encoding": "Transfer-Encoding:\r\n chunked\r\n",
    "line without colon": "x-nothing\r\nContent-Length: 0\r\n",
    "empty header name": ": value\r\nContent-Length: 0\r\n",
    "space in a name": "x bad: 1\r\nContent-Length: 0\r\n",
    "NUL in a value": "x-nul: a\0b\r\nContent-Length: 0\r\n",
    "NUL in a name": "x\0nul: a\r\nContent-Length: 0\r\n",
    "CR in a value": "x-cr: a\rb\r\nContent-Length: 0\r\n",
    "high byte in a name": "x-\x85: 1\r\nContent-Length: 0\r\n",
    "control byte in a value": "x-ctl: a\x01b\r\nContent-Length: 0\r\n",
    "bracket in a name": "x(y): 1\r\nContent-Length: 0\r\n",
    "bare LF lines": "x-lf: 1\nContent-Length: 0\r\n",
    "connection nominates content-length": "Connection: content-length\r\nContent-Length: 5\r\n",
    "connection nominates host": "Connection: host\r\nContent-Length: 0\r\n",
    "connection nominates a pseudo-header": "Connection: :path\r\nContent-Length: 0\r\n",
    "connection nominates x-forwarded-for": "Connection: x-forwarded-for\r\nContent-Length: 0\r\n",
}.items():
    raw(f"smuggling: {one}", POST + lines + AFTER[0:0] + "\r\n" + "0\r\n\r\n", linger=0.3)
raw("leading space on the first header", "GET /exact HTTP/1.1\r\n Host: any.test\r\n\r\n")
raw("bare CR line ends", "GET /exact HTTP/1.1\rHost: any.test\r\r")
raw("all LF line ends", "GET /exact HTTP/1.1\nHost: any.test\n\n")
for one, chunks in {
    "junk after the size": "3 x\r\nabc\r\n0\r\n\r\n",
    "hexadecimal prefix": "0x3\r\nabc\r\n0\r\n\r\n",
    "empty size": "\r\nabc\r\n0\r\n\r\n",
    "negative size": "-3\r\nabc\r\n0\r\n\r\n",
    "underscored size": "1_0\r\nabc\r\n0\r\n\r\n",
    "huge size": "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "CR in the extension": "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "LF in the extension": "3;a\nabc\r\n0\r\n\r\n",
    "LF after the size": "3\nabc\r\n0\r\n\r\n",
    "data too long": "3\r\nabcd\r\n0\r\n\r\n",
    "data too short": "5\r\nabc\r\n0\r\n\r\n",
    "many zeros": "0000000003\r\nabc\r\n0\r\n\r\n",
    "bad trailer": "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
    "trailer of framing": "3\r\nabc\r\n0\r\ncontent-length: 5\r\n\r\n",
}.items():
    raw(f"chunks: {one}", POST + "Transfer-Encoding: chunked\r\n\r\n" + chunks, linger=0.3, patience=1.0)
raw("head above the limit", "GET /exact HTTP/1.1\r\nHost: any.test\r\n" + "x-big: " + "a" * 70000 + "\r\n\r\n")
raw("path above the limit", "GET /" + "a" * 70000 + " HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("101 headers", "GET /exact HTTP/1.1\r\nHost: any.test\r\n" + "x-a: 1\r\n" * 101 + "\r\n")
raw("path with a control byte", "GET /exact\x01 HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("path with DEL", "GET /exact\x7f HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("path with a tab", "GET /exact\t HTTP/1.1\r\nHost: any.test\r\n\r\n")
raw("DEL in a value", "GET /exact HTTP/1.1\r\nHost: any.test\r\nx-del: a\x7fb\r\n\r\n")
raw("control byte in a name", "GET /exact HTTP/1.1\r\nHost: any.test\r\nx-\x01: a\r\n\r\n")
raw("version of two digits", "GET /exact HTTP/1.10\r\nHost: any.test\r\n\r\n")
raw("version of another protocol", "GET /exact ICE/1.1\r\nHost: any.test\r\n\r\n")
raw("second request malformed", "GET /exact HTTP/1.1\r\nHost: any.test\r\n\r\nBREW /exact HTTP/1.1\r\nHost: any.test\r\n\r\n",
    answers=2)
raw("body malformed while the answer is awaited", "POST /o/x HTTP/1.1\r\nHost: any.test\r\nx-case: mb\r\nx-script: early+wait:300+200\r\n"
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0.1, "zz\r\n")
raw("body malformed in the answer", "POST /o/x HTTP/1.1\r\nHost: any.test\r\nx-case: ma\r\nx-script: early+half-body+wait:500\r\n"
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0.2, "zz\r\n")
raw("client leaves in its body", "POST /o/x HTTP/1.1\r\nHost: any.test\r\nx-case: lv\r\nContent-Length: 10\r\n\r\nabc", 0.1,
    read=False, linger=0.05)
ask("absolute URI, connection nominates host", "http://exact.test/abs", "Connection: host")
ask("expectation in capitals", "/exact", "Expect: 100-CONTINUE", "content-length: 5", method="POST")
raw("99 headers", "GET /exact HTTP/1.1\r\nHost: any.test\r\n" + "x-a: 1\r\n" * 98 + "\r\n")

# The edge: remote address trusted, paths made plain, small limits
ask("edge plain", "/o/edge", to="edge")
ask("edge x-forwarded-for", "/o/edge", "x-forwarded-for: 1.2.3.4", to="edge")
ask("edge cleans the proxy's own headers", "/o/edge", "x-envoy-internal: true", "x-envoy-external-address: 9.9.9.9",
    "x-envoy-retry-on: 5xx", "x-envoy-upstream-rq-timeout-ms: 5", "x-envoy-attempt-count: 3", "x-envoy-decorator-operation: op",
    "x-envoy-original-path: /x", "x-envoy-peer-metadata: m", "x-forwarded-proto: https", "x-forwarded-host: h",
    "x-forwarded-client-cert: By=x", "x-request-id: mine", to="edge")
ask("edge with an outside client", "/o/edge", "x-forwarded-for: 8.8.8.8", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 2",
    "x-envoy-upstream-rq-timeout-ms: 5000", to="edge", script="503|200")
ask("edge makes dots plain", "/o/a/./b/../c", to="edge")
ask("edge merges slashes", "//o///x", to="edge")
ask("edge above the root", "/o/../../x", to="edge")
ask("edge refuses %2f", "/o/a%2fb", to="edge")
ask("edge refuses %5C", "/o/a%5Cb", to="edge")
ask("edge turns backslashes", "/o\\x", to="edge")
ask("edge decodes unreserved", "/%6f/x%7Ey", to="edge")
ask("edge refuses %00", "/o/%00", to="edge")
ask("edge strips the port", "/o/x", host="any.test:1234", to="edge")
ask("edge refuses underscores", "/o/x", "x_under: 1", to="edge")
ask("edge 404 carries the server's name", "/nothing", to="edge")
ask("edge via of the answer", "/o/via", "via: 1.0 someone", script="via", to="edge")
ask("edge refuses a big head", "/o/x", "x-big: " + "a" * 5000, to="edge")
raw("edge refuses many headers", "GET /exact HTTP/1.1\r\nHost: any.test\r\n" + "x-a: 1\r\n" * 25 + "\r\n", to="edge")
ask2("edge over HTTP/2", "/o/edge", to="edge")
ask2("edge refuses underscores over HTTP/2", "/o/x", ("x_under", "1"), to="edge")

# Clients by address that count as inside
ask("inside: plain", "/o/x", to="inside")
ask("inside: the proxy's own headers", "/o/x", "x-envoy-internal: false", "x-envoy-external-address: 9.9.9.9",
    "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 2", "x-envoy-upstream-rq-timeout-ms: 5000", "x-envoy-original-path: /x",
    "x-request-id: mine", to="inside", script="503|503|200")
ask("inside: x-forwarded-for", "/o/x", "x-forwarded-for: 10.0.0.5", "x-envoy-retry-on: 5xx", to="inside", script="503|200")
ask("inside: require tls for external only", "/x", host="externaltls.test", to="inside")
ask("behind: inside address", "/o/x", "x-forwarded-for: 10.0.0.5", "x-envoy-retry-on: 5xx", to="behind", script="503|200")
ask("behind: outside address", "/o/x", "x-forwarded-for: 8.8.8.8", "x-envoy-retry-on: 5xx", to="behind", script="503|200")
ask("behind: two addresses", "/o/x", "x-forwarded-for: 10.0.0.5, 10.0.0.6", "x-envoy-retry-on: 5xx", to="behind",
    script="503|200")

# One trusted hop, ids kept
ask("hops: one address", "/o/x", "x-forwarded-for: 1.2.3.4", to="hops")
ask("hops: two addresses", "/o/x", "x-forwarded-for: 1.2.3.4, 10.0.0.5", to="hops")
ask("hops: inside address", "/o/x", "x-forwarded-for: 10.0.0.5", to="hops")
ask("hops: junk address", "/o/x", "x-forwarded-for: junk, 10.0.0.5", to="hops")
ask("hops: forwarded proto", "/o/x", "x-forwarded-proto: https", to="hops")
ask("hops: forwarded proto junk", "/o/x", "x-forwarded-proto: gopher", to="hops")
ask("hops: request id kept", "/o/x", "x-request-id: 6ac84ba6-2fd8-4ad9-8ba4-1234567890ab", to="hops", keep_ids=True)
ask("hops: no request id made", "/o/x", to="hops", keep_ids=True)
ask("hops: escaped slash redirects", "/o/a%2Fb", to="hops")
ask("hops: underscores dropped", "/o/x", "x_under: 1", to="hops")
ask("hops: server if absent", "/o/x", script="server", to="hops")
ask("hops: matching port is not there", "/", host="exact.test:8080", to="hops")
raw("hops: two requests per connection", "GET /o/1 HTTP/1.1\r\nHost: any.test\r\nx-case: m1\r\n\r\n", "answer",
    "GET /o/2 HTTP/1.1\r\nHost: any.test\r\nx-case: m2\r\n\r\n", answers=2, to="hops")

# HTTP/1.0 accepted
ask("old: HTTP/1.0", "/o/x", version="1.0", to="old")
ask("old: HTTP/1.0 keep-alive", "/o/x", "Connection: keep-alive", version="1.0", to="old")
ask("old: HTTP/1.0 without host", "/o/x", host=None, version="1.0", to="old")
ask("old: HTTP/1.0 and chunks in the answer", "/o/x", version="1.0", script="chunks", to="old")
ask("old: HTTP/1.0 keep-alive and chunks in the answer", "/o/x", "Connection: keep-alive", version="1.0", script="chunks", to="old")
ask("old: HTTP/1.0 with a body", "/o/x", version="1.0", method="POST", body="abc", to="old")
ask("old: HTTP/1.0 chunked", "/o/x", version="1.0", method="POST", body="abc", chunked=True, to="old")
ask("old: server passes", "/o/x", script="server", to="old")
ask("old: no server of its own", "/nothing", to="old")
ask("old: x-forwarded-for not appended", "/o/x", "x-forwarded-for: 1.2.3.4", to="old")

# Clocks
ask("hasty: stream idle before the answer", "/o/x", script="wait:900+200", to="hasty")
ask("hasty: stream idle in the answer", "/o/x", script="half-body+wait:900", to="hasty", linger=0.6)
raw("hasty: stream idle in the request", "POST /o/x HTTP/1.1\r\nHost: any.test\r\nx-case: hi\r\nContent-Length: 5\r\n\r\nab",
    to="hasty", linger=0.6)
raw("hasty: head timeout", "GET /o/x HTTP/1.1\r\nHost: any.test\r\n", to="hasty", linger=0.6)
raw("hasty: idle connection", "GET /o/x HTTP/1.1\r\nHost: any.test\r\nx-case: ic\r\n\r\n", to="hasty", linger=1.0)
raw("hasty: nothing said", to="hasty", linger=1.0, read=False)
raw("whole: request timeout", "POST /o/x HTTP/1.1\r\nHost: any.test\r\nx-case: rt\r\nContent-Length: 5\r\n\r\nab", to="whole",
    linger=0.6)
ask("whole: longest stream", "/o/x", script="wait:1200+200", to="whole", linger=0.6)
ask("whole: no headers of the proxy", "/o/x", to="whole")
ask("whole: no headers of the proxy, all of them", "/counted/x", to="whole")
ask("whole: no headers of the proxy when full", "/full", to="whole")

# HTTP/2
ask2("h2: plain GET", "/o/x?y=1")
ask2("h2: POST", "/o/x", method="POST", body=b"hello")
ask2("h2: POST with trailers", "/o/x", method="POST", body=b"hello", trailers=[("x-t", "1")])
ask2("h2: HEAD", "/o/x", method="HEAD")
ask2("h2: 404", "/nothing")
ask2("h2: cookies are joined", "/o/x", ("cookie", "a=1"), ("cookie", "b=2"))
ask2("h2: te trailers", "/o/x", ("te", "trailers"), script="trailers")
ask2("h2: direct response", "/d/503")
ask2("h2: grpc local reply", "/x/refused", ("content-type", "application/grpc"), method="POST")
ask2("h2: grpc 404", "/nothing", ("content-type", "application/grpc"), method="POST")
ask2("h2: grpc through", "/h2/svc/Method", ("content-type", "application/grpc"), ("te", "trailers"), method="POST",
     body=b"\0\0\0\0\0", script="grpc:0")
ask2("h2: grpc error in trailers", "/h2/svc/Method", ("content-type", "application/grpc"), method="POST", body=b"\0\0\0\0\0",
     script="grpc:5")
ask2("h2: to an h2 origin", "/h2/x", method="POST", body=b"hello", trailers=[("x-t", "1")])
ask2("h2: origin refuses", "/h2/x", script="refused")
ask2("h2: origin cancels", "/h2/x", script="cancel")
ask2("h2: origin's internal error", "/h2/x", script="internal")
ask("h1: to an h2 origin", "/h2/x", "x-case-mix: Y", method="POST", body="hello")
ask("h1: to an h2 origin with hop-by-hop", "/h2/x", "Connection: x-hop", "x-hop: 1", "TE: trailers")
ask("h1: grpc from an h2 origin", "/h2/x", "content-type: application/grpc", "te: trailers", script="grpc:7")
ask("h1: to an h2 origin that refuses", "/h2/x", script="refused")
ask2("h2: connection refused", "/x/refused")
ask2("h2: origin closes", "/o/gone", script="close")
ask2("h2: origin closes in the body", "/o/gone", script="half-body+close")
ask2("h2: route timeout", "/t/route", script="wait:800+200")
ask2("h2: client gives up", "/o/x", script="wait:400+200", reset_after=0.1)
ask2("h2: host field instead of authority", "/exact",
     ("host", "any.test"), pseudo=[(":method", "GET"), (":path", "/exact"), (":scheme", "http")])
ask2("h2: both host and authority", "/o/x", ("host", "other.test"))
ask2("h2: neither host nor authority", "/exact", pseudo=[(":method", "GET"), (":path", "/exact"), (":scheme", "http")])
ask2("h2: header twice, the second matches", "/h/", ("x-pick", "two"), ("x-pick", "one"), ("x-always", "1"))
ask2("h2: 101 headers", "/exact", *[("x-a", "1")] * 101)
ask2("h2: head above the limit", "/exact", *[("x-big", "a" * 10000)] * 7)
ask2("h2: upper-case name", "/o/x", ("X-Upper", "1"))
ask2("h2: connection header", "/o/x", ("connection", "close"))
ask2("h2: te gzip", "/o/x", ("te", "gzip"))
ask2("h2: no path", "", pseudo=[(":method", "GET"), (":scheme", "http"), (":authority", "any.test")])
ask2("h2: empty path", "", pseudo=[(":method", "GET"), (":path", ""), (":scheme", "http"), (":authority", "any.test")])
ask2("h2: no method", "", pseudo=[(":path", "/exact"), (":scheme", "http"), (":authority", "any.test")])
ask2("h2: unknown pseudo-header", "", pseudo=[(":method", "GET"), (":path", "/exact"), (":scheme", "http"),
                                             (":authority", "any.test"), (":more", "x")])
ask2("h2: unknown scheme", "/exact", scheme="gopher")
ask2("h2: https scheme on plain text", "/exact", scheme="https")
ask2("h2: length disagrees", "/o/x", ("content-length", "3"), method="POST", body=b"hello")
ask2("h2: transfer-encoding", "/o/x", ("transfer-encoding", "chunked"))
ask2("h2: path with fragment", "/exact#x")
ask2("h2: CONNECT", "", pseudo=[(":method", "CONNECT"), (":authority", "any.test:443")])
ask2("h2: path with a space", "/ex act")
ask2("h2: value with CR", "/o/x", ("x-cr", "a\rb"))
ask2("h2: value with NUL", "/o/x", ("x-nul", "a\0b"))
ask2("h2: authority with userinfo", "/exact", host="user@any.test")

REPLIES = {name: text.replace("\n", "\r\n").encode("latin-1") for name, text in {
    "hide": "HTTP/1.1 200 OK\nx-hide: 1\nserver-time: now\nx-answer-level: origin\ncontent-length: 2\n\nok",
    "not-modified": "HTTP/1.1 304 Not Modified\ncontent-length: 5\netag: \"x\"\n\n",
    "not-modified-chunks": "HTTP/1.1 304 Not Modified\ntransfer-encoding: chunked\netag: \"x\"\n\n",
    "chunks": "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n3\nabc\n2\nde\n0\n\n",
    "trailers": "HTTP/1.1 200 OK\ntransfer-encoding: chunked\ntrailer: x-t\n\n3\nabc\n0\nx-t: 1\n\n",
    "until-close": "HTTP/1.1 200 OK\n\nall of it",
    "old": "HTTP/1.0 200 OK\n\nall of it",
    "hop-by-hop": "HTTP/1.1 200 OK\nconnection: x-hop\nx-hop: 1\nkeep-alive: timeout=5\nproxy-connection: close\n"
                  "content-length: 2\n\nok",
    "cookies": "HTTP/1.1 200 OK\nset-cookie: a=1\nset-cookie: b=2\ncontent-length: 2\n\nok",
    "server": "HTTP/1.1 200 OK\nserver: origin/1.0\ncontent-length: 2\n\nok",
    "via": "HTTP/1.1 200 OK\nvia: 1.1 origin\ncontent-length: 2\n\nok",
    "status-299": "HTTP/1.1 299 Whatever\ncontent-length: 2\n\nok",
    "early-hints": "HTTP/1.1 103 Early Hints\nlink: </x>\n\nHTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "again": "HTTP/1.1 200 OK\nx-again: 1\ncontent-length: 2\n\nno",
    "upgrade": "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nsec-websocket-accept: xyz\n\n",
    "half-head": "HTTP/1.1 200 OK\nx-half: 1\n",
    "half-body": "HTTP/1.1 200 OK\ncontent-length: 10\n\nhalf",
    "half-chunks": "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n3\nabc\n5\nde",
    "nonsense": "what is this\n\n",
    "both-framings": "HTTP/1.1 200 OK\ncontent-length: 5\ntransfer-encoding: chunked\n\n0\n\n",
    "two-lengths": "HTTP/1.1 200 OK\ncontent-length: 2\ncontent-length: 3\n\nabc",
    "bad-chunk": "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\nzz\nabc\n0\n\n",
}.items()}

# What heddle-proxy answers (statuses) where docs/differences_from_envoy.md leaves a row out altogether.
OURS = {
    **{name: [400] for name in (
        "two hosts", "tab for space", "path with a tab", "absolute URI, connection nominates host", "two spaces", "HTTP/0.9", "all LF line ends", "bare CR line ends", "smuggling: bare LF lines",
        "smuggling: CR in a value", "smuggling: connection nominates content-length", "chunks: junk after the size",
        "chunks: data too long", "old: HTTP/1.0 chunked", "empty host", "absolute URI of https", "edge above the root")},
    "three requests, the first slow": [200, 200, 404],
    "origin sends 101 unasked": [502],
    "accept twice is a list": [200],
}
