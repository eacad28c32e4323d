// The control Surprise: type any text and see how many bits each token costs a trained model.

import { counted, element, frame, probabilityBars, textField, tokenFace, tokenName, tokenStrip } from "../parts.js";
import { openModel } from "../checkpoint.js";

const MOST_TOKENS = 400; // read at once, so that typing stays quick
const HOTTEST = 16; // bits at which the heat ends
const EXPECTED = 6;

// What each token of a text costs. Reads the token `start` and then windows whose last half begins the next one, as
// solutions/language_model.py does. Returns [{ bits, rank, likeliest: [{ id, probability }] }, ...].
function surprises(gpt, ids, start) {
  const { context, vocab_size: size } = gpt.config;
  const text = [start, ...ids].slice(0, ids.length);
  const found = [];
  for (let first = 0, done = 0; done < text.length; ) {
    const end = Math.min(first + context, text.length);
    const { logits } = gpt.forward(text.slice(first, end));
    for (; done < end; done++) {
      const row = logits.slice((done - first) * size, (done - first + 1) * size);
      found.push(judged(row, ids[done]));
    }
    first = end + 1 - Math.floor(context / 2);
  }
  return found;
}

function judged(logits, id) {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  const probability = (i) => Math.exp(logits[i] - largest) / total;
  let rank = 1;
  logits.forEach((logit, i) => (rank += logit > logits[id] || (logit === logits[id] && i < id)));
  const likeliest = Array.from(logits.keys())
    .sort((a, b) => logits[b] - logits[a])
    .slice(0, EXPECTED)
    .map((i) => ({ id: i, probability: probability(i) }));
  return { bits: (largest + Math.log(total) - logits[id]) / Math.LN2, rank, likeliest };
}

// The bytes that gzip's method makes of some bytes, or null where the browser has none.
async function deflated(bytes) {
  if (!("CompressionStream" in globalThis)) return null;
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return (await new Response(stream).arrayBuffer()).byteLength;
}

function render({ model, el, signal }) {
  let gpt = null;
  let tokenizer = null;
  let start = 0;
  let ids = [];
  let costs = [];
  let chosen = 0;
  let peeked = null;
  let due = null;
  let asked = 0; // how often gzip was, so that a late answer is known for one

  const status = element("p", { class: "lk-summary", role: "status" });
  const strip = tokenStrip({
    label: "Tokens, shaded by surprise",
    empty: "Type something, and its tokens appear here.",
    onChoose: (index) => ((chosen = index), tell()),
    onPeek: (index) => ((peeked = index), tell()),
  });
  const detail = element("p", { class: "lk-detail" });
  const expected = probabilityBars(EXPECTED);
  const sizes = sizeBars();
  const field = textField(model, "Type any text", () => (due ??= requestAnimationFrame(read)));

  function read() {
    due = null;
    if (!gpt) return;
    const all = tokenizer.encode(model.get("text"));
    ids = all.slice(0, MOST_TOKENS);
    costs = surprises(gpt, ids, start);
    chosen = Math.max(0, costs.length - 1);
    if (costs.length) chosen = costs.reduce((most, cost, i) => (cost.bits > costs[most].bits ? i : most), 0);
    peeked = null;
    summarise(all.length);
    strip.show(ids.map(tokenizer.bytes), chosen);
    strip.mark((i) => ({
      caption: costs[i].bits.toFixed(1),
      description: `${tokenName(tokenizer.bytes(ids[i]))}, ${costs[i].bits.toFixed(1)} bits`,
      // Squared, since the strip shades by the square root.
      heat: Math.min(1, costs[i].bits / HOTTEST) ** 2,
    }));
    tell();
  }

  async function summarise(count) {
    const bits = costs.reduce((sum, cost) => sum + cost.bits, 0);
    const bytes = Uint8Array.from(ids.flatMap((id) => [...tokenizer.bytes(id)]));
    const many = count > MOST_TOKENS ? ` of ${count.toLocaleString("en")}; the first ${MOST_TOKENS} are read` : "";
    const numbers = ids.length
      ? [
          `${bits.toFixed(1)} bits`,
          `${(bits / bytes.length).toFixed(2)} bits per byte`,
          `perplexity ${(2 ** (bits / ids.length)).toFixed(1)} a token`,
        ]
      : [];
    status.replaceChildren(
      ...[counted(ids.length, "token") + many, counted(bytes.length, "byte"), ...numbers].map((line) =>
        element("span", {}, line),
      ),
    );
    const turn = ++asked;
    const rows = [
      ["as it is", 8 * bytes.length],
      ["this model", bits],
    ];
    sizes.show(rows, bytes.length);
    const packed = await deflated(bytes);
    if (turn !== asked || packed === null) return;
    rows.splice(1, 0, ["gzip's method", 8 * packed]);
    sizes.show(rows, bytes.length);
  }

  // What was expected where the chosen token, or the one under the mouse, stands.
  function tell() {
    const index = peeked ?? chosen;
    const cost = costs[index];
    if (!cost) {
      detail.replaceChildren();
      return expected.show(["The model expects"], []);
    }
    const chance = 2 ** -cost.bits;
    detail.replaceChildren(
      element("span", { class: "lk-token lk-inline" }, tokenFace(tokenizer.bytes(ids[index]))),
      ` came: probability ${chance < 0.0005 ? chance.toExponential(0) : chance.toFixed(3)}, ` +
        `${cost.bits.toFixed(2)} bits, guess number ${cost.rank.toLocaleString("en")} of ${tokenizer.size.toLocaleString("en")}.`,
    );
    expected.show(
      index ? ["After ", tokenFace(tokenizer.bytes(ids[index - 1])), " the model expects"] : ["At the start the model expects"],
      cost.likeliest.map(({ id, probability }) => ({
        bytes: tokenizer.bytes(id),
        note: id === ids[index] ? "came" : "",
        value: probability,
      })),
    );
  }

  el.append(
    frame(
      "Surprise, token by token",
      field.node,
      status,
      element(
        "div",
        { class: "lk-surprise lk-heated" },
        strip.node,
        element(
          "p",
          { class: "lk-legend" },
          "The number below a token is its surprise in bits. 0 ",
          element("span", { class: "lk-ramp lk-even" }),
          ` ${HOTTEST} and more`,
        ),
      ),
      detail,
      element("div", { class: "lk-lists" }, expected.node, sizes.node),
    ),
  );
  expected.show(["The model expects"], []);
  sizes.show([], 0);
  field.refresh();
  openModel({ model, signal }, status, (itsTokenizer, itsGPT) => {
    tokenizer = itsTokenizer;
    gpt = itsGPT;
    start = tokenizer.encode("\n").at(-1);
    status.classList.add("lk-counts");
    read();
  });
}

// The text's size as one file or another, as bars on a scale to 8 bits per byte.
function sizeBars() {
  const list = element("ol", { class: "lk-bars" });
  const title = element("p", { class: "lk-title" }, "Bits per byte, coded by");
  return {
    node: element("section", {}, title, list),
    // rows: [[name, bits], ...]
    show(rows, bytes) {
      list.replaceChildren(
        ...Array.from({ length: 3 }, (_, i) => {
          if (!rows[i] || !bytes) return element("li", { "aria-hidden": "true" });
          const [name, bits] = rows[i];
          const rate = bits / bytes;
          const bar = element("span", { style: `width: ${Math.min(100, (rate / 8) * 100)}%` });
          return element(
            "li",
            {},
            element("span", { class: "lk-name" }, name),
            element("span", { class: "lk-bar", "aria-hidden": "true" }, bar),
            element("span", { class: "lk-number" }, rate.toFixed(2)),
          );
        }),
      );
    },
  };
}

export default { render };
