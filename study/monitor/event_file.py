"""TensorBoard event files, written without a thread and without being kept open.

tensorboardX has a thread, a queue and an open file for each writer, and keeps every writer until the process ends: in a
study of thousands of trials, a thousand at once, that is most of what its driver does.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c

# TensorBoard reads files in the order of their names, and takes those that begin so.
_PREFIX = "events.out.tfevents"


class EventFile:
    """A new file in `folder`; what is written can be read at once."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time_ns()
        self._path = folder / f"{_PREFIX}.{now // 10**9}.{socket.gethostname()}.{now}"
        self.write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, *events: Event) -> None:
        """Appends the events."""
        with open(self._path, "ab") as file:
            file.write(b"".join(map(_as_record, events)))


def scalars(values: Mapping[str, float], step: int) -> Event:
    """The event of several numbers, by their tags."""
    found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return of_summary(Summary(value=found), step)


def of_summary(summary: Summary, step: int = 0) -> Event:
    """The event of a summary."""
    return Event(wall_time=time.time(), step=step, summary=summary)


def _as_record(event: Event) -> bytes:
    """As TFRecord files have it: the length, the content, and a checksum of each."""
    content = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    return b"".join((length, _checksum(length), content, _checksum(content)))


def _checksum(content: bytes) -> bytes:
    return struct.pack("<I", masked_crc32c(content))
