"""Splits for queries that have none: the same again at every import, whatever was added since."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rabtriever_core.errors import DatasetError

TRAIN, DEV, TEST = "train", "dev", "test"
_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("dev", "validation", "valid", "val", "development", "valid_seen"), DEV),
    **dict.fromkeys(("test", "testing", "valid_unseen"), TEST),
}
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Shares:
    """How many queries each split gets; they add up to 1."""

    train: float = 0.8
    dev: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Asked:
    """What splitting looks at of a query."""

    text: str
    """Normalised."""
    right: frozenset[str] = frozenset()
    """Ids of its right documents."""
    group: str = ""
    """Queries of one group stay together; empty for a group of its own."""
    time: datetime | float | None = None


def split_name(said: str) -> str:
    """Our name of a split that a source names.

    Raises:
        DatasetError: no file can have that name.
    """
    name = said.strip()
    name = _NAMES.get(name.casefold(), name)
    if not _FILE_NAME.fullmatch(name):
        raise DatasetError(
            f"{said!r} cannot name a split, which is a file in qrels/: use letters, digits, dots, "
            "dashes"
        )
    return name


def is_split_name(said: str) -> bool:
    """Whether a value is one of the usual names of splits."""
    return said.strip().casefold() in _NAMES


def split(queries: Sequence[Asked], shares: Shares, by: str = "query") -> list[str]:
    """The split of each query.

    Those of one unit go together: the queries of one text or group, or (`document`) all that are
    linked by documents that are right for both. A unit's place follows from a hash of what it is,
    so that queries which come later move none of those before. By time, the latest are the test
    split, those before them dev.

    Args:
        queries: to share out.
        shares: of all queries; 0 for a split that is not wanted.
        by: `query`, `document` or `time`.

    Raises:
        DatasetError: there are fewer units than splits.
    """
    units: dict[Hashable, list[int]] = defaultdict(list)
    for position, unit in enumerate(_linked(queries) if by == "document" else map(_own, queries)):
        units[unit].append(position)
    wanted = [name for name in (TRAIN, DEV, TEST) if getattr(shares, name) > 0]
    if len(units) < len(wanted):
        raise DatasetError(
            f"{len(queries)} queries fall into {len(units)} groups that stay together, which is "
            f"too few for {', '.join(wanted)}: import more of them, or split by something else"
        )
    found = [TRAIN] * len(queries)
    parts = _by_time(queries, units, shares) if by == "time" else _by_hash(units, shares)
    for name, unit in parts:
        for position in units[unit]:
            found[position] = name
    return found


def _own(query: Asked) -> Hashable:
    return ("group", query.group) if query.group else ("text", query.text)


def _by_hash(units: Iterable[Hashable], shares: Shares) -> list[tuple[str, Hashable]]:
    """Test and dev, from the front of the line in which hashes put the units; each at least one."""
    line = sorted((_place(unit), repr(unit), unit) for unit in units)
    places = [place for place, *_ in line]
    test = _count(sum(place < shares.test for place in places), shares.test)
    dev = _count(
        sum(place < shares.test + shares.dev for place in places) - test,
        shares.dev,
    )
    # What is left is for training, and it is never nothing.
    test, dev = min(test, len(line) - 1 - (shares.dev > 0)), min(dev, len(line) - 1 - test)
    names = [TEST] * test + [DEV] * dev + [TRAIN] * (len(line) - test - dev)
    return [(name, unit) for name, (_, _, unit) in zip(names, line, strict=True)]


def _count(number: int, share: float) -> int:
    return max(number, 1) if share > 0 else 0


def _place(unit: Hashable) -> float:
    digest = hashlib.sha256(repr(unit).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_time(
    queries: Sequence[Asked], units: dict[Hashable, list[int]], shares: Shares
) -> list[tuple[str, Hashable]]:
    """The latest first; units of one time stay together, each unit has its latest query's."""
    times = {unit: max(map(_time, (queries[p] for p in held))) for unit, held in units.items()}
    by_time: dict[float, list[Hashable]] = defaultdict(list)
    for unit, time in times.items():
        by_time[time].append(unit)
    targets = [(name, share) for name, share in ((TEST, shares.test), (DEV, shares.dev)) if share]
    if len(by_time) <= len(targets):
        raise DatasetError(
            f"there are {len(by_time)} times to split by, which is too few: split by query"
        )
    found: list[tuple[str, Hashable]] = []
    line = sorted(by_time, reverse=True)
    for position, (name, share) in enumerate(targets, start=1):
        taken = 0
        later = len(targets) - position + 1  # splits that want a time, too
        while len(line) > later and (not taken or taken < share * len(queries)):
            for unit in by_time[line.pop(0)]:
                found.append((name, unit))
                taken += len(units[unit])
    return found


def _time(query: Asked) -> float:
    assert query.time is not None, "rows without a time are left out before"  # noqa: S101
    return query.time.timestamp() if isinstance(query.time, datetime) else query.time


def _linked(queries: Sequence[Asked]) -> list[Hashable]:
    """For each query the name of all that it is linked with by texts and right documents."""
    above: dict[Hashable, Hashable] = {}

    def top(one: Hashable) -> Hashable:
        above.setdefault(one, one)
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for query in queries:
        for tie in (_own(query), *(("document", document) for document in sorted(query.right))):
            first, second = sorted((top(("text", query.text)), top(tie)), key=repr)
            above[second] = first
    return [top(("text", query.text)) for query in queries]
