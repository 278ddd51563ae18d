"""Losses: formulas over tensors, without models or sampling."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

LossAtStep = Callable[[int], dict[str, Tensor]]
"""Step number → named parts of the loss; their sum is minimized."""


def info_nce(
    e_q: Tensor, e_d: Tensor, relevant: Tensor, counted: Tensor, temperature: float
) -> Tensor:
    """Contrastive loss on cosine similarities, every relevant document counted as positive.

    −mean log( Σ_{d relevant} exp(cos/τ) / Σ_{d counted} exp(cos/τ) ).

    Args:
        e_q: query states [n, h].
        e_d: document states [m, h].
        relevant: boolean [n, m], at least one per row.
        counted: boolean [n, m], which pairs are relevant or negatives (`Examples.counted`).
        temperature: τ.
    """
    scores = cosine_matrix(e_q, e_d) / temperature
    return listwise(scores.masked_fill(~counted, float("-inf")), relevant)


def cosine_matrix(e_q: Tensor, e_d: Tensor) -> Tensor:
    """Cosine of every query [n, h] with every document [m, h]: [n, m]."""
    return F.normalize(e_q, dim=-1) @ F.normalize(e_d, dim=-1).T


def listwise(scores: Tensor, relevant: Tensor) -> Tensor:
    """Softmax cross-entropy over a query's candidates: scores and relevant [n, m]."""
    positive = scores.masked_fill(~relevant, float("-inf")).logsumexp(dim=-1)
    return (scores.logsumexp(dim=-1) - positive).mean()


def answer_cross_entropy(margins: Tensor, relevant: Tensor) -> Tensor:
    """Cross-entropy of the answer T / F given the margin, positives and negatives weighted alike.

    The two-token softmax of logit_T, logit_F is σ(margin). A step has one positive among many
    negatives; equal weight keeps σ(margin) from collapsing to the base rate.

    Args:
        margins: any shape.
        relevant: boolean, of that shape.
    """
    loss = F.binary_cross_entropy_with_logits(margins, relevant.float(), reduction="none")
    kinds = [kind for kind in (relevant, ~relevant) if kind.any()]
    return torch.stack([loss[kind].mean() for kind in kinds]).mean()


def dpo_answer(margins: Tensor, reference: Tensor, relevant: Tensor, beta: float) -> Tensor:
    """DPO on the answer token: −log σ(±β (margin − reference margin)), + for relevant pairs.

    log π(T) − log π(F) is the margin, since the answers' softmax shares its normalizer: the pair
    (chosen T, rejected F) of a relevant document, and the reverse of an irrelevant one. Both kinds
    weigh alike, as in `answer_cross_entropy`.

    Args:
        margins: of the trained model [p].
        reference: of the frozen reference [p].
        relevant: boolean [p].
        beta: inverse temperature of the implicit reward.
    """
    return answer_cross_entropy(beta * (margins - reference), relevant)


def supervised(margins: Tensor, relevant: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """(answer cross-entropy, list-wise cross-entropy) over the candidates that may be negatives.

    A document that is relevant to no training query could only be a negative: the model would
    learn to reject it whatever the query, and not find it when its query comes. One that a query's
    rankings leave out (its own, excluded ones) is neither right nor wrong.

    Args:
        margins: [n, k].
        relevant: boolean [n, k].
        counted: boolean [n, k], which candidates these are not.
    """
    answer = answer_cross_entropy(margins[counted], relevant[counted])
    return answer, listwise(margins.masked_fill(~counted, float("-inf")), relevant)


def centred_mse(scores: Tensor, targets: Tensor) -> Tensor:
    """MSE after each query's mean is taken off both: [n, k] each (MarginMSE over all pairs)."""
    centred = scores - scores.mean(dim=-1, keepdim=True)
    return F.mse_loss(centred, targets - targets.mean(dim=-1, keepdim=True))


def kl_binary(a: Tensor, b: Tensor) -> Tensor:
    """KL(P_a ‖ P_b) between the T / F distributions of two margins; any shape, mean.

    Reverse KL has the student's margins first, forward KL the teacher's.
    """
    p = torch.sigmoid(a)
    true_part = p * (F.logsigmoid(a) - F.logsigmoid(b))
    false_part = (1 - p) * (F.logsigmoid(-a) - F.logsigmoid(-b))
    return (true_part + false_part).mean()


def reverse_kl_listwise(student: Tensor, teacher: Tensor) -> Tensor:
    """KL between softmaxes over candidates, student's first: [n, k] each, mean over queries."""
    log_student = F.log_softmax(student, dim=-1)
    log_teacher = F.log_softmax(teacher, dim=-1)
    return (log_student.exp() * (log_student - log_teacher)).sum(dim=-1).mean()


def margin_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """MSE of the differences to the positive, which is the first column: [n, k] each.

    MarginMSE (arXiv 2010.02666), equal to sentence-transformers' MarginMSELoss.
    """
    return F.mse_loss(student[:, :1] - student[:, 1:], teacher[:, :1] - teacher[:, 1:])


def forward_kl_listwise(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """τ² · KL(P_T ‖ P_stu) between softmaxes over candidates, τ dividing both: [n, k] each.

    Mean over queries (arXiv 2010.11386), equal to sentence-transformers' DistillKLDivLoss.
    """
    log_student = F.log_softmax(student / temperature, dim=-1)
    probabilities = F.softmax(teacher / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_student, probabilities, reduction="batchmean")
