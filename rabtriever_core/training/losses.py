"""Losses: shapes and formulas only; no model, no sampling."""

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(e_q: Tensor, e_d: Tensor, relevant: Tensor, temperature: float) -> Tensor:
    """Contrastive loss on cosine similarities, every relevant document counted as positive.

    −mean log( Σ_{d relevant} exp(cos/τ) / Σ_d exp(cos/τ) ).

    Args:
        e_q: query states [n, h].
        e_d: document states [m, h].
        relevant: boolean [n, m], at least one per row.
        temperature: τ.
    """
    return listwise(cosine_matrix(e_q, e_d) / temperature, relevant)


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
    """
    loss = F.binary_cross_entropy_with_logits(margins, relevant.float(), reduction="none")
    return torch.stack([loss[kind].mean() for kind in (relevant, ~relevant) if kind.any()]).mean()


def supervised(margins: Tensor, relevant: Tensor, judged: Tensor) -> tuple[Tensor, Tensor]:
    """(answer cross-entropy, list-wise cross-entropy) over the judged candidates alone.

    A document that is relevant to no training query could only ever be a negative: the model
    would learn to reject it whatever the query, and never find it once its query comes.

    Args:
        margins: [n, k].
        relevant: boolean [n, k].
        judged: boolean [n, k], the document is relevant to some training query.
    """
    answer = answer_cross_entropy(margins[judged], relevant[judged])
    return answer, listwise(margins.masked_fill(~judged, float("-inf")), relevant)


def centred_mse(scores: Tensor, targets: Tensor) -> Tensor:
    """MSE after each query's mean is taken off both: [n, k] each (MarginMSE over all pairs)."""
    centred = scores - scores.mean(dim=-1, keepdim=True)
    return F.mse_loss(centred, targets - targets.mean(dim=-1, keepdim=True))


def reverse_kl_binary(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(P_stu ‖ P_T) between the T / F distributions of two margins; any shape, mean."""
    p = torch.sigmoid(student)
    true_part = p * (F.logsigmoid(student) - F.logsigmoid(teacher))
    false_part = (1 - p) * (F.logsigmoid(-student) - F.logsigmoid(-teacher))
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
