"""The authored text of the demo: needs, circumstances and the sentences that voice them."""

from __future__ import annotations

import hashlib
import itertools
import string
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

import yaml

WORLD_FILES = ("emotional_support.yaml", "household_robot.yaml")
POOLS = ("train", "dev", "test")

_DEV_SHARE = 0.09
_TEST_SHARE = 0.19
_FILLINGS_PER_FRAME = 8


@dataclass(frozen=True)
class Part:
    """One need or one circumstance: what a document says about it and how people voice it."""

    key: str
    title: str
    texts: tuple[str, ...]
    frames: tuple[str, ...]
    new_frames: tuple[str, ...]
    slots: dict[str, list[str]]
    unseen: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def pools(self) -> dict[str, list[str]]:
        """The sentences of train, dev and test; every sentence is in exactly one of them.

        `new_frames` are test wording as a whole. Frames with several fillings lend some of them
        to dev and test; which ones depends only on the text of the sentences.
        """
        fillings = [self._fill(frame) for frame in self.frames]
        lendable = sorted(
            (text for texts in fillings if len(texts) > 2 for text in texts), key=_digest
        )
        unheard = [text for frame in self.new_frames for text in self._fill(frame)]
        total = sum(map(len, fillings)) + len(unheard)
        dev_end = round(_DEV_SHARE * total)
        test_end = dev_end + max(round(_TEST_SHARE * total) - len(unheard), 2)
        dev, test = lendable[:dev_end], lendable[dev_end:test_end]
        lent = {*dev, *test}
        train = [text for texts in fillings for text in texts if text not in lent]
        return {"train": train, "dev": dev, "test": [*test, *unheard]}

    def _fill(self, frame: str) -> list[str]:
        """Return the frame's sentences, a fixed handful where the slots allow very many."""
        names = dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(frame) if name)
        combinations = itertools.product(*(self.slots[name] for name in names))
        filled = [
            frame.format(**dict(zip(names, fillers, strict=True))) for fillers in combinations
        ]
        sentences = [text[0].upper() + text[1:] for text in filled]
        return sorted(sentences, key=_digest)[:_FILLINGS_PER_FRAME]


@dataclass(frozen=True)
class World:
    """A grid of needs and circumstances; each cell has one right document."""

    name: str
    openers: tuple[str, ...]
    needs: tuple[Part, ...]
    circumstances: tuple[Part, ...]

    def cells(self) -> list[tuple[Part, Part]]:
        """Return every (need, circumstance) pair in document order."""
        return list(itertools.product(self.needs, self.circumstances))


def load_worlds() -> list[World]:
    """Read the authored worlds that ship with the package."""
    package = files(__package__ or "rabtriever_core.data.demo")
    return [_world(yaml.safe_load((package / name).read_text("utf-8"))) for name in WORLD_FILES]


def pool_of(need: Part, circumstance: Part) -> str:
    """Return the only pool whose queries may combine these two: train, dev or test."""
    return next(
        (pool for pool in ("dev", "test") if circumstance.key in need.unseen[pool]), "train"
    )


def _world(raw: dict[str, Any]) -> World:
    return World(
        name=raw["world"],
        openers=tuple(raw["openers"]),
        needs=tuple(map(_part, raw["needs"])),
        circumstances=tuple(map(_part, raw["circumstances"])),
    )


def _part(raw: dict[str, Any]) -> Part:
    return Part(
        key=raw["key"],
        title=raw["title"],
        texts=tuple(raw["texts"]),
        frames=tuple(raw["frames"]),
        new_frames=tuple(raw["new_frames"]),
        slots=raw["slots"],
        unseen={pool: tuple(raw.get(f"unseen_in_{pool}", ())) for pool in ("dev", "test")},
    )


def _digest(text: str) -> bytes:
    """Order sentences arbitrarily, yet alike on every machine and Python."""
    return hashlib.sha256(text.encode()).digest()
