"""A retriever in a process forked from its own: an error, and never a query that hangs."""

import os
import select
from collections.abc import Callable

from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.retriever import Retriever
from tests.core.releases.conftest import Make


def in_a_child(work: Callable[[], object]) -> str:
    """What a forked process says of it, within ten seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], 10)
    if not ready:
        os.kill(child, 9)
    os.waitpid(child, 0)
    with os.fdopen(reading) as file:
        return file.read() if ready else "hung"


def test_an_open_one_says_so_in_a_child_and_goes_on_in_its_own_process(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    with Retriever.open(workspace) as retriever:
        before = [hit.document_id for hit in retriever.search("tell 7", 2)]
        uses: list[Callable[[], object]] = [
            lambda: retriever.search("tell 7", 2),
            lambda: retriever.search_batch(["tell 7"]),
            lambda: retriever.embed(["tell 7"]),
            lambda: retriever.rerank("tell 7", ["d7"]),
            lambda: retriever.answer_as("0001-abcdef", []),
            lambda: retriever.held().__enter__(),
            lambda: retriever.release,
            retriever.refresh,
        ]
        for use in uses:
            said = in_a_child(use)
            assert said.startswith("IndexUnavailableError: this retriever was opened in another")
            assert f"({os.getpid()})" in said
            assert "after the fork" in said
        assert in_a_child(retriever.close) == "None"
        # Held by a thread that the child does not have.
        with retriever._following._swap:
            assert "after the fork" in in_a_child(retriever.refresh)
        assert [hit.document_id for hit in retriever.search("tell 7", 2)] == before


def test_one_that_was_only_made_is_opened_by_whoever_asks_first(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    retriever = Retriever(workspace)
    assert in_a_child(lambda: retriever.search("tell 7", 1)[0].document_id) == "d7"
    assert retriever.search("tell 7", 1)[0].document_id == "d7"
