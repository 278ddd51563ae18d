"""The prompt's templates: ready ones by name, or the settings' own text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rabtriever_core.config import PromptConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.prompt import Prompt, PromptSpec

DOCUMENT_TOKEN, QUERY_TOKEN, ANSWER_TOKEN = "<|document|>", "<|query|>", "<|answer|>"
TRUE_TOKEN, FALSE_TOKEN = "<|T|>", "<|F|>"
SPECIAL_TOKENS = (
    "<|pad|>", DOCUMENT_TOKEN, QUERY_TOKEN, ANSWER_TOKEN, TRUE_TOKEN, FALSE_TOKEN
)  # fmt: skip
COMPACT = f"{DOCUMENT_TOKEN}{{document}}{QUERY_TOKEN}{{query}}{ANSWER_TOKEN}"
QWEN3_RERANKER = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
"""As the models of that name were trained (github.com/QwenLM/Qwen3-Embedding)."""


@dataclass(frozen=True)
class Template:
    """A prompt's text with its places {document} and {query}, and maybe {instruction}."""

    text: str
    answers: tuple[str, str]
    frame: str | None = None
    """What a chat template puts before the text."""
    joined: bool = True
    """Whether the white space beside a text is tokenized with it, as it is where a whole prompt is
    tokenized at once."""


def make_prompt(tokenizer: Any, config: PromptConfig) -> Prompt:
    r"""Build the prompt for a tokenizer.

    The tokens are those of the whole text tokenized at once, if words are cut at white space and
    line ends as byte-level tokenizers do (Qwen, Llama 3); so margins of `qwen3-reranker` are
    logit_yes − logit_no as that family publishes it. Texts differ from what is published in three
    ways: their white space is collapsed, special tokens in them are read as the characters they
    are, and each is cut at a length of its own.

    Raises:
        ModelError: T or F is not a single token of this tokenizer, or both are the same token.
    """
    template = _template(tokenizer, config)
    head, first, between, second, tail = re.split(
        r"\{(document|query)\}", template.text, maxsplit=2
    )
    after, between = _leading(between)
    start = template.frame
    if start is None:
        # A text that is read alone comes after the same lines.
        lines = head.rstrip().rfind("\n") + 1
        start, head = head[:lines], head[lines:]
    spaces = {first: ("", ""), second: ("", "")}
    if template.joined:
        (head, before), (between, later) = _trailing(head), _trailing(between)
        last, tail = _leading(tail)
        spaces = {first: (before, after), second: (later, last)}

    def ids(text: str) -> tuple[int, ...]:
        filled = text.replace("{instruction}", config.instruction)
        return tuple(tokenizer(filled, add_special_tokens=False)["input_ids"]) if filled else ()

    bos = tokenizer.bos_token_id
    opening = ids(start)
    if bos is not None and not template.frame and opening[:1] != (bos,):
        opening = (bos, *opening)
    prefixes = {first: ids(head), second: ids(between)}
    suffix = spaces["document"][1] if template.joined else after
    # After `Answer:` a space comes first; after a line break, or as a chat's reply, none.
    bare = template.frame is not None or tail[-1:].isspace()
    true_id, false_id = _answer_ids(tokenizer, *template.answers, ("", " ") if bare else (" ", ""))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    spec = PromptSpec(
        start=opening,
        document_prefix=prefixes["document"],
        document_suffix=ids(suffix),
        query_prefix=prefixes["query"],
        answer_suffix=ids(tail),
        true_id=true_id,
        false_id=false_id,
        pad_id=0 if pad is None else pad,
        max_document_tokens=config.max_document_tokens,
        max_query_tokens=config.max_query_tokens,
        document_first=first == "document",
        document_space=spaces["document"],
        query_space=spaces["query"],
    )
    prompt = Prompt(spec, tokenizer)
    _make_special(tokenizer, prompt.template_ids)
    return prompt


def _template(tokenizer: Any, config: PromptConfig) -> Template:
    """The template that is set.

    Raises:
        ModelError: the tokenizer lacks what it needs.
    """
    name = _resolved(config.template, tokenizer)
    answers = (config.true_answer, config.false_answer)
    if name == "compact":
        _require_tokens(tokenizer, name, SPECIAL_TOKENS[1:])
        return Template(COMPACT, (TRUE_TOKEN, FALSE_TOKEN), joined=False)
    if name == "qwen3-reranker":
        _require_tokens(tokenizer, name, ("<|im_start|>", "<|im_end|>"))
        return Template(QWEN3_RERANKER, ("yes", "no"))
    if name not in ("paper", "chat"):
        return Template(name, answers)
    question = config.question.format(true=answers[0], false=answers[1])
    text = f"Document: {{document}}\nQuery: {{query}}\n{question}"
    if name == "paper":
        return Template(f"{text}\nAnswer:", answers, joined=False)
    before, after = _chat_frame(tokenizer, config.instruction)
    return Template(text + after, answers, before, joined=False)


def _leading(text: str) -> tuple[str, str]:
    """(White space at the start, the rest)."""
    rest = text.lstrip()
    return text[: len(text) - len(rest)], rest


def _trailing(text: str) -> tuple[str, str]:
    """(The rest, white space at the end)."""
    rest = text.rstrip()
    return rest, text[len(rest) :]


def _make_special(tokenizer: Any, template_ids: frozenset[int]) -> None:
    """Make special what the template's markers are: only those are split where a text holds them.

    Some are added to a tokenizer without being special, such as `<think>`.
    """
    from tokenizers import AddedToken

    added = tokenizer.added_tokens_decoder
    plain = [str(added[id_]) for id_ in template_ids & added.keys() if not added[id_].special]
    tokens = [AddedToken(text, special=True, normalized=False) for text in sorted(plain)]
    if tokens:
        tokenizer.add_tokens(tokens, special_tokens=True)


def _resolved(template: str, tokenizer: Any) -> str:
    """The template that `auto` stands for.

    Raises:
        ModelError: `chat` is asked of a tokenizer that has no chat template.
    """
    has_chat = bool(tokenizer.chat_template)
    if template == "chat" and not has_chat:
        raise ModelError(
            "prompt.template is `chat`, but the backbone's tokenizer has no chat template: set it "
            "to `paper`, or take an instruction-tuned backbone"
        )
    if template != "auto":
        return template
    if has_chat:
        return "chat"
    return "compact" if set(SPECIAL_TOKENS) <= tokenizer.get_vocab().keys() else "paper"


def _chat_frame(tokenizer: Any, instruction: str) -> tuple[str, str]:
    """What the chat template puts before and after the user's message.

    Raises:
        ModelError: the template does not pass the message on as it is.
    """
    message = "the user's message"
    chat = [{"role": "user", "content": message}]
    if instruction:
        chat.insert(0, {"role": "system", "content": instruction})
    try:
        # Templates of reasoning models open a <think> block unless told not to; others ignore it.
        text = tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    except Exception as error:
        # Templates raise jinja errors of their own, for instance when they know no system role.
        raise ModelError(
            f"the backbone's chat template refuses the prompt ({error}): set prompt.instruction to "
            "an empty text, or prompt.template to `paper`"
        ) from error
    before, found, after = text.partition(message)
    if not found or message in after:
        raise ModelError(
            "the backbone's chat template changes the user's message: set prompt.template to "
            "`paper`"
        )
    return before, after


def _answer_ids(tokenizer: Any, true: str, false: str, spaces: tuple[str, ...]) -> tuple[int, int]:
    """Ids of the two answers, with a leading space where that makes them single tokens."""
    found: dict[str, list[str]] = {}
    for space in spaces:
        texts = [space + true, space + false]
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        if all(len(answer) == 1 for answer in ids):
            if ids[0] == ids[1]:
                raise ModelError(
                    f"answers {true!r} and {false!r} are the same token {ids[0][0]}: set "
                    "prompt.true_answer and prompt.false_answer apart"
                )
            return ids[0][0], ids[1][0]
        found |= {
            text: tokenizer.convert_ids_to_tokens(answer)
            for text, answer in zip(texts, ids, strict=True)
        }
    raise ModelError(
        f"the answers are not single tokens of this backbone: {found}; set prompt.true_answer and "
        "prompt.false_answer to words that are (for instance 'Yes' and 'No', in quotes: bare ones "
        "are true and false in YAML)"
    )


def _require_tokens(tokenizer: Any, template: str, tokens: Sequence[str]) -> None:
    for token in tokens:
        if len(tokenizer(token, add_special_tokens=False)["input_ids"]) != 1:
            raise ModelError(
                f"the {template} prompt needs the special token {token}, which this tokenizer "
                "lacks: set prompt.template to `paper`"
            )
