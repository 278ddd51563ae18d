"""The gates by name, apart from what evaluating them takes."""

GATES = {
    "not_worse": "The student's MRR@10 is no worse than the served release's on the same queries, "
    "to gates.max_loss and gates.significance.",
    "teacher_above_floor": "The teacher's MRR@10 on dev reaches gates.teacher_mrr.",
    "student_near_teacher": "The student's over the teacher's reaches gates.student_share.",
    "exact_in_index": "Index and model agree on the top ten, to gates.top10_agreement.",
    "fast_enough": "The 95th percentile of a query's time is within gates.max_p95_ms.",
    "small_enough": "The collection's vectors are within gates.max_bytes.",
    "team_canaries": "The queries of canaries.jsonl find what they must and nothing they must not.",
    "not_rolled_back": "Nobody went back from a release that answers as this one does.",
}
"""Name → what it asks, in the order they are shown."""
