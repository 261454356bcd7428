#!/usr/bin/env bash
# tools/count_tests.py on event files written by hand: each kind of target, and what must not pass for success.
set -u
passed=0 failed=0
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/count.XXXXXX")

# target LABEL STATUS LOG: adds one finished target to the event file.
target() {
  local log
  log=$work/$(printf '%s' "$1" | tr -c 'a-z' _).log
  printf '%b' "$3" >"$log"
  printf '{"id":{"testResult":{"label":"%s"}},"testResult":{"testActionOutput":[{"name":"test.log","uri":"file://%s"}]}}\n' \
    "$1" "$log" >>"$work/events"
  printf '{"id":{"testSummary":{"label":"%s"}},"testSummary":{"overallStatus":"%s"}}\n' "$1" "$2" >>"$work/events"
}
# expect WHAT BAZEL_CODE LAST_LINE EXIT_CODE: counts the file so far and begins a new one.
expect() {
  local out status
  touch "$work/events"
  out=$(python3 tools/count_tests.py "$work/events" "$2")
  status=$?
  if [ "$(printf '%s' "$out" | tail -n 1)" = "$3" ] && [ $status = "$4" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '%s: expected "%s" and %d, got "%s" and %d\n' "$1" "$3" "$4" "$out" $status
  fi
  rm -f "$work/events"
}

target //a PASSED 'All tests passed (40 assertions in 7 test cases)\n'
target //b PASSED 'All tests passed (1 assertion in 1 test case)\n'
expect "scenarios of two targets" 0 "8 passed, 0 failed" 0

target //a FAILED 'test cases:  5 |  3 passed | 2 failed\nassertions: 9 | 7 passed | 2 failed\n'
expect "a target with failures" 3 "3 passed, 2 failed" 1

target //a TIMEOUT 'no summary'
expect "a target that hung" 3 "0 passed, 1 failed" 1

target //a PASSED 'anything'
target //b PASSED '12 passed, 0 failed\n'
expect "scripts, one with its own count" 0 "13 passed, 0 failed" 0

target //a FAILED 'All tests passed (3 assertions in 3 test cases)\n'
expect "a target that failed after its tests" 3 "3 passed, 1 failed" 1

expect "nothing ran" 0 "0 passed, 1 failed" 1

target //a PASSED 'All tests passed (3 assertions in 3 test cases)\n'
expect "a build that broke elsewhere" 1 "3 passed, 1 failed" 1

printf '{"id":{"targetCompleted":{"label":"//c"}},"completed":{}}\n' >"$work/events"
expect "a target that did not build" 1 "0 passed, 1 failed" 1

echo "$passed passed, $failed failed"
[ $failed = 0 ]
