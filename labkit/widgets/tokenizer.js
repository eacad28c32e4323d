// GPT-2's byte-level BPE: text to token ids, with a record of every merge on the way.
// Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.2.

// Unicode's White_Space, which Python's `regex` means by \s. JavaScript's own \s adds U+FEFF and lacks U+0085.
const SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const PRE_TOKEN = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`,
  "gu",
);

// The stretches of text that merges never cross.
function preTokenize(text) {
  return text.match(PRE_TOKEN) ?? [];
}

// The 256 bytes in the order of their ids. GPT-2 writes each byte as a printable character: itself where it is
// printable, else the next character from U+0100 on. Ids follow those characters' code points.
function bytesInIdOrder() {
  const printable = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [...bytes.filter(printable), ...bytes.filter((byte) => !printable(byte))];
}

// A tokenizer of one vocabulary: the 256 bytes, then one token for each merge. `merges` is flat, in order of age:
// left id, right id, left id, right id ...
export function makeTokenizer(merges) {
  const byteOfId = bytesInIdOrder();
  const idOfByte = new Uint16Array(256);
  byteOfId.forEach((byte, id) => (idOfByte[byte] = id));
  const size = 256 + merges.length / 2;
  const bytesOfId = byteOfId.map((byte) => Uint8Array.of(byte));
  const rankOfPair = new Map();
  for (let rank = 0; rank < merges.length / 2; rank++) {
    const [left, right] = [merges[2 * rank], merges[2 * rank + 1]];
    rankOfPair.set(left * size + right, rank);
    bytesOfId.push(Uint8Array.of(...bytesOfId[left], ...bytesOfId[right]));
  }
  const utf8 = new TextEncoder();
  const histories = new Map();

  // How one pre-token came to be: its ids as bytes, then its ids after each merge that applies, the oldest first.
  // A merge makes only pairs that are younger than itself, so the ranks rise. Returns [{ rank, ids }, ...]; the
  // bytes have rank -1.
  function history(chunk) {
    const known = histories.get(chunk);
    if (known) return known;
    // Half of a surrogate pair has no bytes of its own: it is encoded as U+FFFD.
    let ids = Array.from(utf8.encode(chunk), (byte) => idOfByte[byte]);
    const steps = [{ rank: -1, ids }];
    for (;;) {
      let rank = Infinity;
      for (let i = 1; i < ids.length; i++) {
        rank = Math.min(rank, rankOfPair.get(ids[i - 1] * size + ids[i]) ?? Infinity);
      }
      if (rank === Infinity) break;
      ids = joinPair(ids, merges[2 * rank], merges[2 * rank + 1], 256 + rank);
      steps.push({ rank, ids });
    }
    if (histories.size > 20000) histories.clear(); // a page that stays open for days must not grow for ever
    histories.set(chunk, steps);
    return steps;
  }

  return {
    size,
    history,
    encode: (text) => preTokenize(text).flatMap((chunk) => history(chunk).at(-1).ids),
    bytes: (id) => bytesOfId[id],
    // The pair that a merge joins, and the token it makes.
    rule: (rank) => ({ left: merges[2 * rank], right: merges[2 * rank + 1], made: 256 + rank }),
  };
}

function joinPair(ids, left, right, made) {
  const joined = [];
  for (let i = 0; i < ids.length; i++) {
    const here = ids[i] === left && ids[i + 1] === right;
    joined.push(here ? made : ids[i]);
    if (here) i++;
  }
  return joined;
}

// The merges that build the tokens of a whole text, in order of age. Each is applied everywhere at once, as its
// rank says: the order among chunks makes no difference, since no merge crosses them.
export function mergeSteps(tokenizer, text) {
  const chunks = preTokenize(text).map((chunk) => tokenizer.history(chunk));
  const ranks = [...new Set(chunks.flatMap((steps) => steps.slice(1).map((step) => step.rank)))];
  ranks.sort((a, b) => a - b);
  return {
    ranks,
    // The ids of each pre-token after the first `count` of these merges.
    after(count) {
      const newest = count > 0 ? ranks[count - 1] : -1;
      return chunks.map((steps) => steps.findLast((step) => step.rank <= newest).ids);
    },
  };
}
