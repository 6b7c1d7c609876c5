"""Processes that train until a given time on request, so that several ways of training can take turns.

A contestant is started with its name and its number of threads, says `ready`, and then answers each line `SECONDS` on
its standard input with a line of JSON: images trained on, seconds on the clock and seconds of CPU time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


class Contestant:
    """One way of training, in `processes` processes of `threads` threads each that run at the same time."""

    def __init__(self, name: str, processes: int, threads: int, environment: dict[str, str] | None = None):
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.contestants", name, str(threads)]
        variables = os.environ | {"OMP_NUM_THREADS": str(threads)} | (environment or {})
        self.name = name
        self._processes = [
            subprocess.Popen(
                command, cwd=REPOSITORY, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(processes)
        ]
        for process in self._processes:
            self._read(process, "ready")

    def images_per_second(self, seconds: float) -> float:
        """Of all processes together, in the next `seconds`."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        done = [json.loads(self._read(process)) for process in self._processes]
        return sum(each["images"] / each["seconds"] for each in done)

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.communicate(timeout=60)

    def _read(self, process: subprocess.Popen[str], expected: str | None = None) -> str:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line or (expected is not None and line != expected):
            process.wait(timeout=60)
            raise RuntimeError(f"the contestant {self.name} ended (exit code {process.returncode}; its line: {line!r})")
        return line


def take_turns(contestants: Sequence[Contestant], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Images per second of each contestant in each round; the order turns round from round to round."""
    for contestant in contestants:
        contestant.images_per_second(min(1.0, seconds))
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            rates[contestant.name].append(contestant.images_per_second(seconds))
    return rates


def serve(steps: Iterator[int], clock: Callable[[], float] = time.perf_counter) -> None:
    """Answers standard input; each element of `steps` is the number of images of a step that was taken."""
    print("ready", flush=True)
    for line in sys.stdin:
        started, cpu, images = clock(), time.process_time(), 0
        while clock() - started < float(line):
            images += next(steps)
        answer: dict[str, Any] = {"images": images, "seconds": clock() - started, "cpu": time.process_time() - cpu}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    from tests.benchmarks import ways

    serve(ways.steps(sys.argv[1], int(sys.argv[2])))
