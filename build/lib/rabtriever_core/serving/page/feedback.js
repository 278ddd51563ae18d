"use strict";

/* Judging a document: stored by the service, and shown in every list that has it. */

function pairOf(id) {
  return JSON.stringify([asked.q, id]);
}

async function judge(id, relevant, release) {
  const pair = pairOf(id);
  const before = verdicts.get(pair);
  showVerdict(results, id, relevant, "Saving…");
  try {
    const said = await ask("v1/feedback", { query: asked.q, document_id: id, relevant, release });
    verdicts.set(pair, relevant);
    const verdict = relevant ? "it fits" : "it does not fit";
    showVerdict(results, id, relevant, said.stored ? `Saved: ${verdict}` : `Saved before: ${verdict}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    showVerdict(results, id, before, `Not saved: ${error.message}`);
    if (error.status === 401) refuse(error);
  }
}
