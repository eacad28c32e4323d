// The distribution that the next token is drawn from, as solutions/generation.py computes it.

import { softmax } from "./gpt.js";

// From logits, with the temperature, the k likeliest (vocabulary size: all) and the share p. Returns
//   order: all ids, the likeliest first
//   before: what softmax makes of the logits alone, by id
//   probabilities: after temperature, top-k and top-p, by id; 0 where a token is cut
//   kept: how many tokens are left, the first ones of `order`
export function nextProbabilities(logits, { temperature = 1, k = logits.length, p = 1 } = {}) {
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const before = Float64Array.from(logits);
  softmax(before, 0, before.length);
  // In order of rank, as the sums of top-p need it.
  const ranked = Float64Array.from(order, (id) => logits[id] / temperature).subarray(0, Math.min(k, order.length));
  softmax(ranked, 0, ranked.length);
  let kept = ranked.length;
  if (p < 1) {
    let sum = 0;
    kept = 0;
    while (kept < ranked.length && sum < p) sum += ranked[kept++];
  }
  const total = ranked.subarray(0, kept).reduce((sum, value) => sum + value, 0);
  const probabilities = new Float64Array(logits.length);
  for (let rank = 0; rank < kept; rank++) probabilities[order[rank]] = ranked[rank] / total;
  return { order, before, probabilities, kept };
}

// A token drawn by its chance; `uniform` is a random number from 0 to 1.
export function drawToken({ order, probabilities, kept }, uniform = Math.random()) {
  let left = uniform;
  for (let rank = 0; rank < kept - 1; rank++) {
    left -= probabilities[order[rank]];
    if (left < 0) return order[rank];
  }
  return order[kept - 1];
}
