"""Text that can be stored: what a shell hands over may hold bytes that are no UTF-8."""

from typing import Annotated

from pydantic import BeforeValidator


def encodable(text: str) -> str:
    r"""The text, lone surrogates (Python's stand-ins for such bytes) spelt out as `\udcff`."""
    return text.encode(errors="backslashreplace").decode()


def _encodable(value: object) -> object:
    return encodable(value) if isinstance(value, str) else value


Encodable = Annotated[str, BeforeValidator(_encodable)]
"""A text from outside, in a model that is written to a file: what is written can be read back."""
