"""Waiting for a condition, with a bound that only a broken program reaches."""

import time


def until(what, condition, seconds=60.0, step=0.05):
    """Polls condition() and answers its first true value; TimeoutError after `seconds`. `what` is text or gives text."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(step)
