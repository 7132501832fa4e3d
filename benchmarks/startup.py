"""How long it takes until something answers: importing the package, and ``napari-cam --help``.

Each is a fresh process; the import is timed inside it, the command as a whole. A bare
``python -c pass`` stands beside them, since that much nobody can save.

Run: ``python benchmarks/startup.py [--repeats 15]``
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

IMPORT = "import time; t = time.perf_counter(); import napari_cam; print(time.perf_counter() - t)"
HELP = "from napari_cam.cli.main import main; main()"


def import_seconds() -> float:
    """Return how long ``import napari_cam`` takes in a fresh process."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, check=True)
    return float(done.stdout)


def process_seconds(*arguments: str) -> float:
    """Return how long a fresh Python process with these arguments runs."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print one Markdown row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    jobs: dict[str, Callable[[], float]] = {
        "python -c pass": lambda: process_seconds("-c", "pass"),
        "import napari_cam": import_seconds,
        "napari-cam --help": lambda: process_seconds("-c", HELP, "--help"),
    }
    print("| what | fastest (s) | median (s) |\n|---|---|---|")
    for name, job in jobs.items():
        times = [job() for _ in range(repeats)]
        print(f"| `{name}` | {min(times):.3f} | {statistics.median(times):.3f} |", flush=True)


if __name__ == "__main__":
    main()
