"""Notes, in every process that finds it on its path, each deprecated interface that this repository's code uses.

`TIVAE_TEST_WARNINGS` is the file; `TIVAE_TEST_CODE` the folders, joined by `:`, whose code is meant: a warning counts
if a frame of it is on the stack.
"""

import os
import sys
import warnings

_FOLDERS = tuple(f"{folder}/" for folder in os.environ.get("TIVAE_TEST_CODE", "").split(":") if folder)
_KINDS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def _files():
    frame = sys._getframe(2)
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def _note(message, category, filename, lineno, file=None, line=None):
    ours = next((path for path in _files() if path.startswith(_FOLDERS) and path != __file__), None)
    if issubclass(category, _KINDS) and ours is not None:
        with open(os.environ["TIVAE_TEST_WARNINGS"], "a") as noted:
            noted.write(f"{os.getpid()} {ours}: {category.__name__} {' '.join(str(message).split())} ({filename})\n")


if _FOLDERS:
    warnings.showwarning = _note
    for kind in _KINDS:
        warnings.simplefilter("always", kind)
