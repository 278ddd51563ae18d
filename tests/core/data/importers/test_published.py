"""The layouts of ESConv, PsyQA, SayCan, ALFRED, MS MARCO and mteb, with texts of our own."""

import json
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.data.importers.assembly import assemble
from rabtriever_core.data.importers.columns import Said
from rabtriever_core.data.importers.examples import Source
from rabtriever_core.data.importers.sources import read_source
from rabtriever_core.errors import DatasetError


def read(path: Path, **options: Any) -> Source:
    return read_source(str(path), Said(), **options)


def pairs(source: Source) -> list[tuple[str, str]]:
    return [
        (e.query, d.text) for e in source.examples for d, _ in e.judged if not isinstance(d, str)
    ]


def turn(speaker: str, content: str, **annotation: str) -> dict[str, Any]:
    return {"speaker": speaker, "annotation": annotation, "content": content}


def test_esconv(tmp_path: Path) -> None:
    dialog = [
        turn("supporter", "Hello there\n", strategy="Question"),
        turn("seeker", "I failed  again.\n", feedback="5"),
        turn("supporter", "That hurts.", strategy="Reflection of feelings"),
        turn("supporter", "Me too, once.", strategy="Self-disclosure"),
    ]
    rows = [{"emotion_type": "sadness", "situation": "exam", "dialog": dialog}, {"dialog": [{}]}]
    (tmp_path / "ESConv.json").write_text(json.dumps(rows), encoding="utf-8")
    source = read(tmp_path / "ESConv.json")
    opening = "Supporter [Question]: Hello there\nSeeker: I failed again."
    assert pairs(source) == [
        (opening, "Reflection of feelings"),
        (f"{opening}\nSupporter [Reflection of feelings]: That hurts.", "Self-disclosure"),
    ]
    assert [one.place for one in source.left_out] == [
        "ESConv.json, entry 1, turn 1",
        "ESConv.json, entry 2",
    ]


def test_psyqa(tmp_path: Path) -> None:
    labels = [
        {"start": 0, "end": 5, "type": "Approval and Reassurance"},
        {"start": 5, "end": 9, "type": "Direct Guidance"},
    ]
    answers = [
        {"answer_text": "抱抱你呀。早点睡。", "has_label": True, "labels_sequence": labels},
        {"answer_text": "没事。", "has_label": False, "labels_sequence": None},
    ]
    row = {
        "question": "睡不着怎么办？",
        "description": "想太多",
        "keywords": "睡眠",
        "answers": answers,
        "questionID": 1,
    }
    (tmp_path / "PsyQA_full.json").write_text(json.dumps([row], ensure_ascii=False), "utf-8")
    source = read(tmp_path / "PsyQA_full.json")
    assert pairs(source) == [
        ("睡不着怎么办？\n想太多", "Approval and Reassurance"),
        ("睡不着怎么办？\n想太多\n抱抱你呀。", "Direct Guidance"),
    ]
    assert source.left_out[0].reason == "its strategies are not annotated"


def test_saycan(tmp_path: Path) -> None:
    path = tmp_path / "saycan_plan_v0_l.tsv"
    path.write_text(
        "INPUT\tOUTPUT\nBring me an apple.\t1. find an apple, 2. bring it to you, 3. done.\n",
        encoding="utf-8",
    )
    source = read(path)
    assert pairs(source) == [
        ("Goal: Bring me an apple. Done so far: nothing yet.", "find an apple"),
        ("Goal: Bring me an apple. Done so far: 1. find an apple.", "bring it to you"),
        ("Goal: Bring me an apple. Done so far: 1. find an apple; 2. bring it to you.", "done"),
    ]
    assert {example.group for example in source.examples} == {"Bring me an apple."}


def trajectory(goal: str) -> dict[str, Any]:
    def step(action: str, *args: str, **planned: Any) -> dict[str, Any]:
        return {
            "discrete_action": {"action": action, "args": list(args)},
            "planner_action": planned,
        }

    return {
        "turk_annotations": {"anns": [{"task_desc": goal, "high_descs": ["walk"]}]},
        "pddl_params": {"toggle_target": "DeskLamp"},
        "plan": {
            "high_pddl": [
                step("GotoLocation", "desk"),
                step("PickupObject", "alarmclock", coordinateObjectId=["AlarmClock", [1, 2]]),
                step("PutObject", "alarmclock", "desk"),
                step("ToggleObject", "desklamp"),
                step("NoOp"),
            ]
        },
    }


def test_alfred(tmp_path: Path) -> None:
    for split, goal in {
        "train": "See the clock",
        "valid_seen": "Look",
        "valid_unseen": "Put it",
    }.items():
        folder = tmp_path / split / "look_at_obj" / "trial_1"
        folder.mkdir(parents=True)
        (folder / "traj_data.json").write_text(json.dumps(trajectory(goal)), encoding="utf-8")
    (tmp_path / "tests_seen" / "x").mkdir(parents=True)
    (tmp_path / "tests_seen" / "x" / "traj_data.json").write_text("{}", encoding="utf-8")
    source = read(tmp_path)
    assert [document for query, document in pairs(source) if "See" in query] == [
        "Go to the desk.",
        "Pick up the alarm clock.",
        "Put the alarm clock in or on the desk.",
        "Switch the desk lamp on or off.",
    ]
    assert "Done so far: 1. Go to the desk; 2. Pick up the alarm clock." in pairs(source)[2][0]
    assert [one.place for one in source.left_out] == ["tests_seen/x/traj_data.json"]
    found = assemble(source, "alfred")
    assert {s: len(q) for s, q in found.dataset.qrels.items()} == {"train": 4, "dev": 4, "test": 4}
    assert len(found.dataset.documents) == 4
    (tmp_path / "train" / "look_at_obj" / "trial_1" / "traj_data.json").write_text("[]", "utf-8")
    with pytest.raises(DatasetError, match=r"trial_1/traj_data.json: expected an object, got \[\]"):
        read(tmp_path)


def test_msmarco(tmp_path: Path) -> None:
    files = {
        "collection.tsv": '0\tA "quoted text\n1\tSecond\n2\n',
        "queries.train.tsv": "10\twho\n11\twhat\n12\tnever judged\n",
        "queries.dev.small.tsv": "20\twhere\n",
        "qrels.train.tsv": "10\t0\t0\t1\n11\t0\t9\t1\n11\t0\t1\t1\n",
        "qrels.dev.tsv": "20\t0\t0\t1\n21\t0\t0\t1\n",
        "qrels.dev.small.tsv": "20\t0\t1\t1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    source = read(tmp_path)
    assert [d.text for _, d in source.documents] == ['A "quoted text', "Second"]
    assert [(e.query_id, e.split, e.judged) for e in source.examples] == [
        ("20", "dev", (("1", 1),)),
        ("10", "train", (("0", 1),)),
        ("11", "train", (("1", 1),)),
    ]
    assert [(one.place, one.reason) for one in source.left_out] == [
        ("collection.tsv, line 3", "a line is an id, a tab and a text"),
        ("qrels.train.tsv, line 2", "there is no document of the id '9'"),
    ]
    assert "qrels.dev.tsv is not used: there is a small version of it" in source.notes
    assert "1 queries have no judgement and are not used" in source.notes


DOCUMENTS = [{"_id": f"d{n}", "title": "", "text": f"text {n}"} for n in range(3)]
QUERIES = [{"_id": f"q{n}", "text": f"query {n}"} for n in range(5)]
TRAIN = [{"query-id": f"q{n}", "corpus-id": f"d{n % 3}", "score": 1} for n in range(4)]
TEST = [{"query-id": "q4", "corpus-id": "d0", "score": 2}]


def test_mteb_from_disk_and_like_the_hub(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    saved, local = tmp_path / "saved", tmp_path / "local"
    tables = {
        "corpus": {"corpus": DOCUMENTS},
        "queries": {"queries": QUERIES},
        "qrels": {"train": TRAIN, "test": TEST},
    }
    configs = []
    for name, splits in tables.items():
        made = {split: datasets.Dataset.from_list(rows) for split, rows in splits.items()}
        datasets.DatasetDict(made).save_to_disk(str(saved / name))
        (local / name).mkdir(parents=True)
        for split, rows in splits.items():
            text = "\n".join(map(json.dumps, rows))
            (local / name / f"{split}.jsonl").write_text(text, encoding="utf-8")
        files = "".join(f"  - split: {s}\n    path: {name}/{s}.jsonl\n" for s in splits)
        configs.append(f"- config_name: {name}\n  data_files:\n{files}")
    (local / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n", encoding="utf-8")
    for folder in (saved, local):
        source = read(folder)
        assert [d.id for _, d in source.documents] == ["d0", "d1", "d2"]
        assert [(e.query_id, e.split, e.judged) for e in source.examples][3:] == [
            ("q3", "train", (("d0", 1),)),
            ("q4", "test", (("d0", 2),)),
        ]


def test_saved_pairs_keep_their_splits(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"anchor": f"a{n}", "positive": f"p{n}", "negative": "n"} for n in range(5)]
    made = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows), "validation": datasets.Dataset.from_list(rows)}
    )
    made.save_to_disk(str(tmp_path / "set"))
    source = read(tmp_path / "set")
    assert [e.split for e in source.examples] == ["train"] * 5 + ["validation"] * 5
    assert source.examples[0].place == "set (train), row 1"


def test_a_configuration_has_to_be_chosen(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    rows = "\n".join(json.dumps({"question": f"q{n}", "answer": "a"}) for n in range(3))
    files = ""
    for name in ("short", "long"):
        (tmp_path / f"{name}.jsonl").write_text(rows, encoding="utf-8")
        files += f"- config_name: {name}\n  data_files: {name}.jsonl\n"
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{files}---\n", encoding="utf-8")
    for options in ({}, {"subset": "other"}):
        with pytest.raises(
            DatasetError, match=r"configurations .*short.*: choose one with --subset"
        ):
            read(tmp_path, **options)
    assert len(read(tmp_path, subset="long").examples) == 3


def test_classes_of_inference_are_no_labels(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["entailment", "neutral"])
    features = datasets.Features(
        {
            "sentence1": datasets.Value("string"),
            "sentence2": datasets.Value("string"),
            "label": names,
        }
    )
    rows = [{"sentence1": "a", "sentence2": "b", "label": 0}]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(DatasetError, match="entailment, neutral, which are no grades of relevance"):
        read(tmp_path / "set")


def test_a_folder_that_is_nothing(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="cannot be loaded"):
        read(tmp_path / "empty")
