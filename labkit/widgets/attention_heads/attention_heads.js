// The control AttentionHeads: type any text and see what each head of a trained model attends to.

import { softmax } from "../gpt.js";
import {
  counted,
  drawPattern,
  element,
  frame,
  onThemeChange,
  probabilityBars,
  textField,
  tokenFace,
  tokenName,
  tokenStrip,
} from "../parts.js";
import { openModel } from "../checkpoint.js";

const BARS = 6;

function render({ model, el, signal }) {
  const { n_layer: layers, n_head: heads, context } = model.get("config");
  let gpt = null;
  let tokenizer = null;
  let ids = [];
  let result = null; // of the forward pass over ids
  let layer = 0;
  let head = 0;
  let chosen = 0; // the query token
  let peeked = null; // the one the mouse is over
  let due = null;

  const status = element("p", { class: "lk-summary", role: "status" });
  const grid = headGrid();
  const title = element("p", { class: "lk-title" });
  const strip = tokenStrip({
    label: "Tokens: choose the one that attends",
    empty: "Type something, and its tokens appear here.",
    onChoose: (index) => ((chosen = index), tell()),
    onPeek: (index) => ((peeked = index), tell()),
  });
  const attended = probabilityBars(BARS);
  const predicted = probabilityBars(BARS);
  const field = textField(model, "Type any text", () => (due ??= requestAnimationFrame(read)));

  // The small pictures of all heads, a row for each layer. One is chosen: by click or by arrow keys.
  function headGrid() {
    const node = element("div", {
      class: "lk-heads",
      role: "radiogroup",
      "aria-label": "Layers and heads",
      style: `--lk-columns: ${heads}`,
    });
    const cells = [];
    node.append(
      element("span"),
      ...Array.from({ length: heads }, (_, h) => element("span", { class: "lk-axis" }, `head ${h}`)),
    );
    for (let l = 0; l < layers; l++) {
      node.append(element("span", { class: "lk-axis" }, `layer ${l}`));
      for (let h = 0; h < heads; h++) {
        const cell = element(
          "div",
          { class: "lk-head", role: "radio", "aria-label": `Layer ${l}, head ${h}`, onclick: () => choose(l, h) },
          element("canvas"),
        );
        cells.push(cell);
        node.append(cell);
      }
    }
    node.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move) return;
      event.preventDefault();
      choose((layer + move[0] + layers) % layers, (head + move[1] + heads) % heads);
      cells[layer * heads + head].focus();
    });
    return { node, cells };
  }

  function choose(l, h) {
    layer = l;
    head = h;
    grid.cells.forEach((cell, i) => {
      const here = i === layer * heads + head;
      cell.setAttribute("aria-checked", String(here));
      cell.setAttribute("tabindex", here ? "0" : "-1");
    });
    tell();
  }

  // Runs the model on the text as it is now.
  function read() {
    due = null;
    if (!gpt) return;
    const all = tokenizer.encode(model.get("text"));
    ids = all.slice(-context);
    result = gpt.forward(ids);
    status.replaceChildren(
      all.length > context
        ? `The text has ${counted(all.length, "token")}. ` +
            `The model reads ${context} at a time: these are the last ${context}.`
        : `${counted(all.length, "token")}; the model reads up to ${context}.`,
    );
    chosen = Math.max(0, ids.length - 1);
    peeked = null;
    strip.show(ids.map(tokenizer.bytes), chosen);
    paint();
    tell();
  }

  function paint() {
    if (!result) return;
    grid.cells.forEach((cell, i) =>
      drawPattern(cell.firstChild, result.attention[Math.floor(i / heads)][i % heads], ids.length),
    );
  }

  // One head, one query: the weights on the tokens, the largest of them, and what the model expects next.
  function tell() {
    title.replaceChildren(
      `Layer ${layer}, head ${head}`,
      element("span", { class: "lk-note" }, "choose the token that attends"),
    );
    const n = ids.length;
    if (!result || !n) {
      attended.show(["Attends to"], []);
      predicted.show(["Expects next"], []);
      return;
    }
    const query = peeked ?? chosen;
    const weights = result.attention[layer][head].subarray(query * n, query * n + query + 1);
    strip.mark((i) => ({
      caption: i > query ? "" : weights[i].toFixed(3).replace(/^0/, ""),
      description:
        tokenName(tokenizer.bytes(ids[i])) + (i > query ? ", comes later" : `, weight ${weights[i].toFixed(3)}`),
      classes: i === query ? "lk-query" : i > query ? "lk-later" : "",
      heat: i > query ? 0 : weights[i],
    }));
    const face = () => tokenFace(tokenizer.bytes(ids[query]));
    attended.show(
      [face(), " attends to"],
      largest(weights, BARS).map((i) => ({
        bytes: tokenizer.bytes(ids[i]),
        note: i === query ? "itself" : `${query - i} back`,
        value: weights[i],
      })),
    );
    const probabilities = result.logits.slice(query * tokenizer.size, (query + 1) * tokenizer.size);
    softmax(probabilities, 0, probabilities.length);
    predicted.show(
      ["After ", face(), " the model expects"],
      largest(probabilities, BARS).map((id) => ({
        bytes: tokenizer.bytes(id),
        value: probabilities[id],
      })),
    );
  }

  const largest = (values, count) =>
    Array.from(values.keys())
      .sort((a, b) => values[b] - values[a])
      .slice(0, count);

  el.append(
    frame(
      "Attention, head by head",
      field.node,
      status,
      element(
        "div",
        { class: "lk-attention" },
        element(
          "div",
          { class: "lk-overview" },
          grid.node,
          element(
            "p",
            { class: "lk-legend" },
            "Rows: the token that attends; columns: the token it attends to. Weight 0 ",
            element("span", { class: "lk-ramp" }),
            " 1",
          ),
        ),
        element("div", { class: "lk-large lk-heated" }, title, strip.node),
      ),
      element("div", { class: "lk-lists" }, attended.node, predicted.node),
    ),
  );
  choose(0, 0);
  field.refresh();
  onThemeChange(paint, signal);
  const observer = new ResizeObserver(paint);
  observer.observe(grid.node);
  signal.addEventListener("abort", () => observer.disconnect());
  openModel({ model, signal }, status, (itsTokenizer, itsGPT) => {
    tokenizer = itsTokenizer;
    gpt = itsGPT;
    read();
  });
}

export default { render };
