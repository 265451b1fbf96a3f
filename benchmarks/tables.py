"""Tables from the benchmarks' JSON files, and into docs/benchmarks.md.

    python -m benchmarks.ranking --json var/benchmarks/ranking.json
    python -m benchmarks.tables var/benchmarks/*.json                             to look at
    python -m benchmarks.tables var/benchmarks/*.json --write docs/benchmarks.md  into the page

The table of NAME.json goes between the page's lines `<!-- NAME: begin -->` and `<!-- NAME: end -->`;
the rest of the page is left as it is. So two runs of one benchmark are two files, each with its place:
training.json and training-cuda.json. A file that the page has no place for changes nothing at all.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


class TableError(Exception):
    """A sentence for who asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="FILE", help="what --json wrote")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put them into this page")
    given = parser.parse_args(arguments)
    try:
        tables = {file.stem: table_of(file) for file in given.results}
        if given.write:
            put(given.write, tables)
    except TableError as error:
        print(error, file=sys.stderr)
        return 1
    if not given.write:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in tables.items()))
    return 0


def table_of(file: Path) -> str:
    """The rows of one file as a table in Markdown, and under it where they were taken."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"{file} is not a benchmark's JSON: {error}.") from None
    whole = found if isinstance(found, dict) else {"rows": found}
    rows = whole.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "measure" in row for row in rows):
        raise TableError(f'{file} has no "rows" with a "measure" each.')
    return "\n\n".join(filter(None, [as_table(rows), taken(whole)]))


def as_table(rows: Sequence[Row]) -> str:
    """Measure, ours and, as far as any row has them: peer, its figure, ratio, goal, whether it was met."""
    peers = {row["peer"] for row in rows if row.get("theirs") is not None and row.get("peer")}
    # One peer is the name of its column; several are told apart in a column of their own.
    alone = peers.pop() if len(peers) == 1 else None
    columns = {"measure": [_cell(row["measure"]) for row in rows], "ours": [_ours(row) for row in rows]}
    if peers:
        columns["peer"] = [_cell(row.get("peer") if row.get("theirs") is not None else "") for row in rows]
    columns[alone or "theirs"] = [_figure(row.get("theirs"), row.get("unit", "")) for row in rows]
    columns["ratio"] = [_figure(row.get("ratio")) for row in rows]
    columns["goal"] = [_goal(row.get("goal")) for row in rows]
    columns["met"] = [{True: "met", False: "**missed**"}.get(row.get("met"), "") for row in rows]
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    lines = [list(columns), ["---" if name in ("measure", "peer") else "---:" for name in columns]]
    lines += [list(cells) for cells in zip(*columns.values(), strict=True)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def taken(whole: Mapping[str, Any]) -> str:
    """One sentence: command, day, machine; empty where the file does not say."""
    if "command" not in whole:
        return ""
    machine = whole.get("machine", {})
    device = f", {machine['gpu']}" if machine.get("gpu") else ""
    return (
        f"`{whole['command']}`, taken {whole['taken']}: {machine['cores']} cores "
        f"({machine['processor']}){device}, Python {machine['python']}, "
        f"{machine['load']} processes running when it began."
    )


def put(page: Path, tables: Mapping[str, str]) -> None:
    """Replace what stands between each table's marks. All or nothing."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, found_begin, rest = text.partition(begin)
        _old, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise TableError(
                f"{page} has no place for {name}: write {begin} and {end} on lines of their own."
            )
        text = f"{before}{begin}\n{table}\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def _ours(row: Row) -> str:
    figure = _figure(row.get("ours"), row.get("unit", ""))
    if row.get("low") is None and row.get("high") is None:
        return figure
    return f"{figure} [{_figure(row.get('low'))}, {_figure(row.get('high'))}]"


def _goal(goal: Any) -> str:
    return _cell(goal) if isinstance(goal, str) else _figure(goal)


def _figure(value: Any, unit: str = "") -> str:
    """Three figures of a number below 1,000, whole numbers above; words as they are."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _cell(value)
    size = abs(value)
    if isinstance(value, int) or size >= 1000:
        shown = f"{value:,.0f}"
    elif size and size < 0.001:
        shown = f"{value:.1e}"
    else:
        shown = f"{value:.3g}"
    return f"{shown} {_cell(unit)}".rstrip()


def _cell(text: Any) -> str:
    """No line ends a cell early."""
    return " ".join(str(text).replace("|", "\\|").split())


if __name__ == "__main__":
    sys.exit(main())
