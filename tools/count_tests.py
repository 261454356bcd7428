#!/usr/bin/env python3
"""Counts what `bazel test` ran, from its event file: Catch2's test cases one by one, any other target as one test.

A script that closes with its own "N passed, N failed" is counted by that. A target that did not pass counts as at least
one failure. Prints the failed targets, then "N passed, N failed"; exits 0 only when nothing failed, something passed and
Bazel itself was content.

usage: count_tests.py EVENTS BAZEL_EXIT_CODE
"""

import json
import re
import sys
from urllib.parse import unquote, urlparse

ALL_PASSED = re.compile(r"^All tests passed \(.* in (\d+) test cases?\)", re.MULTILINE)
SOME_FAILED = re.compile(r"^test cases?: +\d+ \|([^\n]*)$", re.MULTILINE)
OWN_COUNT = re.compile(r"^(\d+) passed, (\d+) failed", re.MULTILINE)


def count_log(text, passed):
    """(passed, failed) of one target's log."""
    good = bad = 0
    found = False
    for match in ALL_PASSED.finditer(text):
        found, good = True, good + int(match[1])
    for match in SOME_FAILED.finditer(text):
        found = True
        for number, word in re.findall(r"(\d+) (passed|failed)", match[1]):
            if word == "passed":
                good += int(number)
            else:
                bad += int(number)
    own = OWN_COUNT.findall(text)
    if not found and own:
        found, good, bad = True, int(own[-1][0]), int(own[-1][1])
    if passed:
        return (good, bad) if found else (1, 0)
    return good, max(bad, 1)


def read(uri):
    try:
        with open(unquote(urlparse(uri).path), encoding="utf-8", errors="replace") as log:
            return log.read()
    except OSError:
        return ""


def main():
    logs, ended = {}, {}
    with open(sys.argv[1], encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            name = event.get("id", {})
            if "testResult" in event:
                result = event["testResult"]
                for output in result.get("testActionOutput", []):
                    if output.get("name") == "test.log":
                        logs[name["testResult"]["label"]] = output.get("uri", "")
            if "testSummary" in event:
                ended[name["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
            if "targetCompleted" in name and not event.get("completed", {}).get("success"):
                ended.setdefault(name["targetCompleted"]["label"], "FAILED_TO_BUILD")
    good = bad = 0
    for label, status in sorted(ended.items()):
        passed = status in ("PASSED", "FLAKY")
        more_good, more_bad = count_log(read(logs.get(label, "")), passed)
        good, bad = good + more_good, bad + more_bad
        if not passed:
            print(f"{status}: {label}")
    code = int(sys.argv[2])
    if code != 0 and bad == 0:
        print(f"bazel ended with {code}")
        bad = 1
    if good == 0 and bad == 0:
        print("no test ran")
        bad = 1
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
