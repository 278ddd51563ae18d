"""Arrays beside the checkpoints: made once, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.training.stored import Arrays, stored_arrays

ARRAYS: Arrays = {"rows": np.arange(6).reshape(2, 3), "none": np.zeros((0,), dtype=np.int64)}


def test_made_once_and_read_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "new" / "round.safetensors"
    first = stored_arrays(path, lambda: ARRAYS)
    again = stored_arrays(path, lambda: pytest.fail("made again"))
    for found in (first, again):
        assert set(found) == set(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    assert [file.name for file in path.parent.iterdir()] == ["round.safetensors"]


def test_a_run_killed_while_it_writes_leaves_nothing_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "round.safetensors"

    def torn(_: Arrays, file: Path, **__: object) -> None:
        file.write_bytes(b"half a fi")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rabtriever_core.training.stored.save_file", torn)
        with pytest.raises(KeyboardInterrupt):
            stored_arrays(path, lambda: ARRAYS)
    assert not path.exists()
    np.testing.assert_array_equal(stored_arrays(path, lambda: ARRAYS)["rows"], ARRAYS["rows"])
