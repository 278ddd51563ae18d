"""The prompt's templates: compact, the paper's, and the backbone's own chat template."""

from collections.abc import Sequence
from typing import Any

from rabtriever_core.config import PromptConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.prompt import Prompt, PromptSpec

DOCUMENT_TOKEN, QUERY_TOKEN, ANSWER_TOKEN = "<|document|>", "<|query|>", "<|answer|>"
TRUE_TOKEN, FALSE_TOKEN = "<|T|>", "<|F|>"
SPECIAL_TOKENS = (
    "<|pad|>", DOCUMENT_TOKEN, QUERY_TOKEN, ANSWER_TOKEN, TRUE_TOKEN, FALSE_TOKEN
)  # fmt: skip


def make_prompt(tokenizer: Any, config: PromptConfig) -> Prompt:
    """Build the prompt for a tokenizer.

    Raises:
        ModelError: T or F is not a single token of this tokenizer, or both are the same token.
    """
    template = _resolved(config.template, tokenizer)
    start_text = ""
    if template == "compact":
        answers = (TRUE_TOKEN, FALSE_TOKEN)
        _require_tokens(tokenizer, SPECIAL_TOKENS[1:])
        parts = {
            "document_prefix": DOCUMENT_TOKEN,
            "document_suffix": "",
            "query_prefix": QUERY_TOKEN,
            "answer_suffix": ANSWER_TOKEN,
        }
    else:
        answers = (config.true_answer, config.false_answer)
        question = config.question.format(true=answers[0], false=answers[1])
        parts = {
            "document_prefix": "Document: ",
            "document_suffix": "\n",
            "query_prefix": "Query: ",
            "answer_suffix": f"\n{question}",
        }
        if template == "chat":
            start_text, end_text = _chat_frame(tokenizer, config.instruction)
            parts["answer_suffix"] += end_text
        else:
            parts["answer_suffix"] += "\nAnswer:"
    # After `Answer:` a space comes first; a chat's reply starts without one.
    spaces = ("", " ") if template == "chat" else (" ", "")
    true_id, false_id = _answer_ids(tokenizer, *answers, spaces)
    ids = {
        name: tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()
        for name, text in parts.items()
    }
    start: tuple[int, ...] = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)
    if start_text:
        start = tuple(tokenizer(start_text, add_special_tokens=False)["input_ids"])
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    spec = PromptSpec(
        start=start,
        document_prefix=ids["document_prefix"],
        document_suffix=ids["document_suffix"],
        query_prefix=ids["query_prefix"],
        answer_suffix=ids["answer_suffix"],
        true_id=true_id,
        false_id=false_id,
        pad_id=0 if pad is None else pad,
        max_document_tokens=config.max_document_tokens,
        max_query_tokens=config.max_query_tokens,
    )
    return Prompt(spec, tokenizer)


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


def _require_tokens(tokenizer: Any, tokens: Sequence[str]) -> None:
    for token in tokens:
        if len(tokenizer(token, add_special_tokens=False)["input_ids"]) != 1:
            raise ModelError(
                f"the compact prompt needs the special token {token}, which this tokenizer lacks: "
                "set prompt.template to `paper`"
            )
