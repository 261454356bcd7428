"""Counts tests and closes with the line that tools/test counts: "N passed, N failed"."""

import sys
import traceback


def need(condition, text="it does not hold"):
    """Ends the test that Report.run() is at unless the condition holds. `text` is text or gives text."""
    if not condition:
        raise AssertionError(text() if callable(text) else str(text))


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def record(self, name, problems):
        """One test. `problems` is a list of sentences; empty means that it passed."""
        if not problems:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED {name}")
        for problem in problems:
            print("    " + str(problem).replace("\n", "\n    "))
        sys.stdout.flush()

    def run(self, name, test):
        """Calls test(); what it returns (None or a list of problems) or raises is the outcome."""
        try:
            problems = test() or []
        except Exception:  # noqa: BLE001: whatever a test raises is its failure
            problems = [traceback.format_exc()]
        self.record(name, problems)

    def end(self):
        """Prints the closing line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0
