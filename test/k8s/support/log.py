"""One line of the test machinery's own log: in the world's folder when there is one, else standard error."""

import os
import sys
import threading
import time

_lock = threading.Lock()


def say(text):
    line = f"{time.strftime('%H:%M:%S')} {text}\n"
    folder = os.environ.get("HEDDLE_TEST_WORLD")
    with _lock:
        if folder is None:
            sys.stderr.write(line)
            return
        with open(os.path.join(folder, "test.log"), "a", encoding="utf-8") as file:
            file.write(line)
