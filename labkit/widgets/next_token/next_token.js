// The control NextToken: the tokens that a trained model may write next, and what temperature, top-k and top-p leave.

import { counted, element, frame, textField, tokenFace } from "../parts.js";
import { openModel } from "../checkpoint.js";
import { drawToken, nextProbabilities } from "../probabilities.js";

const ROWS = 12;
const AT_ONCE = 20; // tokens that the second button draws
const RANKS = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 60, 100, 200, 400];

function render({ model, el, signal }) {
  const { context, vocab_size: size } = model.get("config");
  const ranks = [...RANKS.filter((rank) => rank < size), size];
  let gpt = null;
  let tokenizer = null;
  let ids = [];
  let logits = null; // of the token that follows
  let now = null; // their probabilities under the settings
  let shown = null; // the text that `ids` spell, if the page has written it
  let drawn = []; // how many ids there were before each draw
  let running = 0; // tokens that are still to be drawn
  let due = null;

  const status = element("p", { class: "lk-summary", role: "status" });
  const summary = element("p", { class: "lk-detail", "aria-live": "polite" });
  const list = element("ol", { class: "lk-bars lk-candidates" });
  const field = textField(model, "Type any text", () => (due ??= requestAnimationFrame(read)));

  const settings = element("div", { class: "lk-settings" });
  const temperature = slider("Temperature", { min: 0.1, max: 3, step: 0.1, value: 1 }, (value) => value.toFixed(1));
  const rank = slider("Top-k", { min: 0, max: ranks.length - 1, step: 1, value: ranks.length - 1 }, (value) =>
    ranks[value] === size ? "all" : counted(ranks[value], "token"),
  );
  const share = slider("Top-p", { min: 0.05, max: 1, step: 0.01, value: 1 }, (value) => value.toFixed(2));

  // A labelled slider, with what its value means beside it.
  function slider(name, range, describe) {
    const input = element("input", { type: "range", ...range });
    const output = element("span", { class: "lk-number", "aria-hidden": "true" }); // the slider says it too
    const tell = () => {
      const text = describe(Number(input.value));
      output.replaceChildren(text);
      input.setAttribute("aria-valuetext", text);
    };
    input.addEventListener("input", () => (tell(), cut()));
    tell();
    settings.append(element("label", { class: "lk-setting" }, element("span", {}, name), input, output));
    return { value: () => Number(input.value) };
  }

  const button = (text, onclick) => element("button", { type: "button", class: "lk-button", onclick }, text);
  const one = button("Draw a token", () => draw(1));
  const many = button(`Draw ${AT_ONCE}`, () => (running ? stop() : draw(AT_ONCE)));
  const back = button("Take back", undo);
  const buttons = [one, many, back];

  // The model reads the text as it is now, unless the page wrote it and knows its ids.
  function read() {
    due = null;
    if (!gpt) return;
    const text = model.get("text");
    if (text !== shown) {
      stop();
      ids = tokenizer.encode(text);
      drawn = [];
      shown = null;
    }
    const seen = ids.slice(-context);
    logits = seen.length ? gpt.forward(seen).logits.slice((seen.length - 1) * size) : null;
    status.replaceChildren(
      ids.length > context
        ? `The text has ${counted(ids.length, "token")}. The model reads the last ${context}.`
        : `${counted(ids.length, "token")}; the model reads up to ${context}.`,
    );
    cut();
  }

  // What the settings leave of the model's distribution.
  function cut() {
    now = logits && nextProbabilities(logits, { temperature: temperature.value(), k: ranks[rank.value()], p: share.value() });
    disable(one, !now);
    disable(many, !now);
    disable(back, !drawn.length);
    if (!now) {
      summary.replaceChildren(gpt ? "The model needs at least one token to continue from." : "");
      list.replaceChildren();
      return;
    }
    const mass = now.order.slice(0, now.kept).reduce((sum, id) => sum + now.before[id], 0);
    summary.replaceChildren(
      now.kept === size
        ? `All ${counted(size, "token")} can come next.`
        : `${counted(now.kept, "token")} of ${size.toLocaleString("en")} can come next; ` +
            `the model gives ${now.kept === 1 ? "it" : "them"} ${percent(mass)} of the probability.`,
    );
    list.replaceChildren(...now.order.slice(0, ROWS).map(row));
  }

  const percent = (value) => `${(100 * value).toFixed(value > 0.995 && value < 1 ? 1 : 0)}%`;

  // A bar for the chance, an outline for what the model says; a token that is cut is struck through.
  function row(id, place) {
    const cutOff = place >= now.kept;
    const [before, chance] = [now.before[id], now.probabilities[id]];
    const bar = element(
      "span",
      { class: "lk-bar", "aria-hidden": "true" },
      element("span", { style: `width: ${100 * chance}%` }),
      element("i", { style: `width: ${100 * before}%` }),
    );
    const name = element("span", { class: "lk-name" }, tokenFace(tokenizer.bytes(id)));
    const number = element("span", { class: "lk-number" }, cutOff ? "cut" : chance.toFixed(3));
    return element("li", cutOff ? { class: "lk-cut" } : {}, name, bar, number);
  }

  function disable(which, off) {
    which.setAttribute("aria-disabled", String(off)); // a disabled button would lose the keyboard's place
  }

  function draw(count) {
    if (!now || running) return;
    running = count;
    if (count > 1) many.replaceChildren("Stop");
    step();
  }

  function step() {
    if (!running || signal.aborted || !now) return stop();
    running -= 1;
    drawn.push(ids.length);
    ids = [...ids, drawToken(now)];
    tell();
    if (running) setTimeout(step, 30); // so that the page shows each token
    else stop();
  }

  function stop() {
    running = 0;
    many.replaceChildren(`Draw ${AT_ONCE}`);
  }

  function undo() {
    stop();
    if (!drawn.length) return;
    ids = ids.slice(0, drawn.pop());
    tell();
  }

  // Writes the text that the ids spell into the field. Bytes that are only part of a character show as such.
  function tell() {
    shown = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(ids.flatMap((id) => [...tokenizer.bytes(id)])));
    model.set("text", shown);
    model.save_changes();
    if (due) cancelAnimationFrame(due);
    read();
  }

  el.append(
    frame(
      "Choosing the next token",
      field.node,
      status,
      settings,
      element("div", { class: "lk-steps" }, ...buttons),
      summary,
      list,
      element(
        "p",
        { class: "lk-legend" },
        "Bar: the chance to be drawn. Line: what the model says by itself, before temperature and cuts.",
      ),
    ),
  );
  cut();
  field.refresh();
  openModel({ model, signal }, status, (itsTokenizer, itsGPT) => {
    tokenizer = itsTokenizer;
    gpt = itsGPT;
    read();
  });
}

export default { render };
