#!/usr/bin/env bash
# tools/floors.py on small trees: what it lets pass and what it names.
set -u
passed=0 failed=0
tree=
fresh() { tree=$(mktemp -d "${TEST_TMPDIR:-/tmp}/floors.XXXXXX"); }
put() { # FILE LINE...
  mkdir -p "$tree/$(dirname "$1")"
  printf '%s\n' "${@:2}" >"$tree/$1"
}
# expect WHAT TEXT: floors.py fails and says TEXT; with an empty TEXT it must pass.
expect() {
  local out status
  out=$(python3 tools/floors.py --quiet --root "$tree" 2>&1)
  status=$?
  if { [ -z "$2" ] && [ $status = 0 ]; } || { [ -n "$2" ] && [ $status = 1 ] && [[ $out == *"$2"* ]]; }; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '%s: expected "%s", got %d: %s\n' "$1" "$2" "$status" "$out"
  fi
}

fresh
put source/base/a.h '#include "absl/status/status.h"'
put source/net/b.cc '#include "source/base/a.h"' '#include "source/net/b.h"'
expect "includes that point down" ""

fresh
put source/base/a.h '#include "source/net/b.h"'
put source/net/b.h ''
expect "an upward include" "source/base/a.h: source/net/b.h: points up, from floor 0 to floor 2"

fresh
put source/http/a.h '#include "source/http/h1/b.h"'
put source/http/h1/b.h '#include "source/http/a.h"'
expect "a cycle on one floor" "cycle: source/http -> source/http/h1 -> source/http"

fresh
put source/proxy/a.cc '#include <openssl/ssl.h>'
expect "BoringSSL outside source/tls" "source/proxy/a.cc: openssl/ssl.h belongs in source/tls"

fresh
put source/xds/a.cc '#include <grpcpp/grpcpp.h>'
expect "gRPC in the proxy" "grpcpp/grpcpp.h belongs in control_plane"

fresh
put source/upstream/a.h '#include "envoy/config/cluster/v3/cluster.pb.h"'
expect "protobuf where there is none" "no protobuf in source/upstream"

fresh
put source/novel/a.h ''
expect "a folder nobody gave a floor" "source/novel has no floor"

fresh
put control_plane/model/a.cc '#include "source/tls/b.h"'
put source/tls/b.h ''
expect "the control plane at the proxy's TLS" "the control plane may not use source/tls"

fresh
put source/server/a.cc '#include "control_plane/model/b.h"'
put control_plane/model/b.h ''
expect "the proxy at the control plane" "the proxy takes nothing from the control plane"

fresh
put source/base/a.cc '#include "a.h"'
put source/base/a.h ''
expect "an include not from the root" "write includes from the root of the tree"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
