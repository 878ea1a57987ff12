"""CPU and memory of the tables over repeats: one line a number of rows and of repeats.

    python benchmarks/repeats.py 100000 1000000

Each row has 1.5 KB of text. The times are CPU seconds of all the tables of a run, on the rows in a Parquet file in
the folder for temporary files; peak memory is that of a process of its own which makes them (Linux). `plain` are the
tables of a run without repeats.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import polars as pl

from llmbatch.tables.builtin.agreement import agreement
from llmbatch.tables.builtin.calls import calls_and_cost
from llmbatch.tables.builtin.classes import confusion, per_class
from llmbatch.tables.builtin.failures import failures
from llmbatch.tables.builtin.majority import label_frequencies, majority, votes
from llmbatch.tables.builtin.repeats import repeats_of
from llmbatch.tables.builtin.summary import summary

LABELS = pl.Series(["corrective", "adaptive", "perfective"])
STATUS = Path("/proc/self/status")


def write_rows(path: Path, rows: int, repeats: int) -> None:
    """Write rows whose answers differ from repeat to repeat, one of 97 failed."""
    row = pl.int_range(0, rows, eager=True).alias("row").to_frame().lazy()
    number = pl.col("row")
    sample, mixed = number // repeats, (number * 2654435761) // 7
    row.select(
        llmbatch_case=pl.format("classify[m]::commit-{}#r{}", sample, number % repeats),
        llmbatch_task=pl.lit("classify"),
        llmbatch_variant=pl.lit("qwen2.5-coder-1.5b-bare"),
        llmbatch_model=pl.lit("local/qwen2.5-coder-1.5b"),
        llmbatch_sample=pl.format("commit-of-a-project-{}", sample),
        llmbatch_repeat=number % repeats,
        llmbatch_status=pl.when(number * 7919 % 97 == 0).then(pl.lit("timeout")).otherwise(pl.lit("ok")),
        llmbatch_error_kind=pl.lit(None, dtype=pl.String),
        llmbatch_error=pl.lit(None, dtype=pl.String),
        llmbatch_text=pl.concat_str(pl.lit("x" * 1500), mixed % 5),
        **{f"llmbatch_tokens_{each}": pl.lit(100) for each in ("in", "out", "cached", "reasoning")},
        llmbatch_cost_usd=pl.lit(0.001),
        llmbatch_asks=pl.lit(1),
        truth=pl.lit(LABELS).get(sample % 3),
        category=pl.lit(LABELS).get(mixed % 3),
    ).sink_parquet(path, row_group_size=4096)


def make_tables(path: Path, repeats: int) -> None:
    """Make every table, and print what that took."""
    rows = pl.scan_parquet(path)
    began = time.process_time()
    made = [summary(rows, "category", repeats=repeats), per_class(rows, "category"), confusion(rows, "category")]
    made += [failures(rows), calls_and_cost(rows)]
    if repeats > 1:
        found = repeats_of(rows, k=repeats, answers=["category"], label="category", prediction="category")
        made += [agreement(found), majority(found), votes(found), label_frequencies(found)]
    taken = time.process_time() - began
    peak = next(int(line.split()[1]) for line in STATUS.read_text("ascii").splitlines() if line.startswith("VmHWM"))
    print(f"{taken:7.2f}  {peak // 1024:7,}")


def main(sizes: list[int]) -> None:
    """Measure each number of rows without repeats, with five a sample and with two."""
    print("     rows  repeats   CPU s  peak MB", flush=True)
    for rows in sizes:
        for repeats in (1, 5, 2):
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "rows.parquet")
                words = [sys.executable, __file__, "--file", path, "--repeats", str(repeats)]
                subprocess.run([*words, "--write", str(rows)], check=True)  # noqa: S603 - this file itself
                print(f"{rows:9,}  {'plain' if repeats == 1 else repeats:>7}", end=" ", flush=True)
                subprocess.run(words, check=True)  # noqa: S603 - as above


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=[100_000])
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file is None:
        main(options.rows)
    elif options.write:
        write_rows(options.file, options.write, options.repeats)
    else:
        make_tables(options.file, options.repeats)
