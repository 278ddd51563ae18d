"""Why an artifact is not the wanted one."""

from typing import Any

import pytest

from rabtriever_core.workspace.identity import Identity, differences, flat

MADE = Identity(
    stage="teacher",
    version=1,
    config={
        "teacher": {"schedule": {"epochs": 1.5}, "start_share": [0, 0.5]},
        "backbone.lora": None,
    },
    parents={"validated_dataset": "1.dir", "backbone": "2.dir"},
    dataset="data",
)
DEFAULTS = {"teacher.schedule.epochs": 1.5, "teacher.later": 0.0}


def wanted(**changes: Any) -> Identity:
    return MADE.model_copy(update=changes)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"version": 3}, ["the stage's code is version 3 (was 1)"]),
        (
            {"config": {"teacher": {"schedule": {"epochs": 3}, "start_share": [0, 0.5]}}},
            ["teacher.schedule.epochs = 3 (was 1.5)"],
        ),
        # A setting of a later release: its default is what was done before.
        ({"config": MADE.config | {"teacher.later": 0.0}}, []),
        ({"config": MADE.config | {"teacher.later": 2}}, ["teacher.later = 2 (was 0.0)"]),
        # One that no longer shapes the result.
        ({"config": {"backbone.lora": None}}, []),
        (
            {"config": MADE.config | {"backbone.lora": {"rank": 4}}},
            ["backbone.lora is set (was null)"],
        ),
        ({"parents": {"validated_dataset": "1.dir", "backbone": "3.dir"}}, ["backbone changed"]),
        (
            {"parents": {"validated_dataset": "1.dir", "bi_encoder": "3.dir"}},
            ["bi_encoder is now an input"],
        ),
        ({"dataset": "other"}, ["the data set changed"]),
        (
            {"dataset": "other", "parents": {"validated_dataset": "9.dir", "backbone": "2.dir"}},
            ["validated_dataset changed"],
        ),
    ],
)
def test_reasons(changes: dict[str, Any], reasons: list[str]) -> None:
    assert differences(MADE, wanted(**changes), DEFAULTS) == reasons


def test_a_section_that_is_switched_off_is_one_reason() -> None:
    made = wanted(config={"backbone.lora": {"rank": 4, "alpha": 8}})
    now = wanted(config={"backbone.lora": None})
    assert differences(made, now, {}) == ["backbone.lora = null (was set)"]


def test_the_key_follows_from_everything() -> None:
    changes: list[dict[str, Any]] = [
        {"version": 2},
        {"config": {}},
        {"parents": {}},
        {"dataset": ""},
        {"stage": "x"},
    ]
    assert len({MADE.key, *(wanted(**change).key for change in changes)}) == 6


def test_an_empty_mapping_is_a_value() -> None:
    assert flat({"a": {"b": {}, "c": {"d": 1}}}) == {"a.b": {}, "a.c.d": 1}
