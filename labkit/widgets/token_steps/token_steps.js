// The control TokenSteps: type any text and step through the merges that build its tokens.

import { makeTokenizer, mergeSteps } from "../tokenizer.js";
import { counted, element, frame, hex, textField, tokenFace, tokenName, tokenStrip } from "../parts.js";

const MOST_PIECES = 400; // drawn; counts are always those of the whole text
const HUES = 6;

function render({ model, el, signal }) {
  const tokenizer = makeTokenizer(model.get("merges"));
  let steps = mergeSteps(tokenizer, "");
  let count = 0; // merges applied
  let pieces = []; // the ids shown, in order
  let reading = null; // the index that the mouse is over
  let chosen = 0;
  let timer = null;

  const summary = element("p", { class: "lk-summary lk-counts" });
  const rule = element("p", { class: "lk-rule" });
  const detail = element("p", { class: "lk-detail" });
  const slider = element("input", {
    type: "range",
    min: 0,
    "aria-label": "Merges applied",
    oninput: () => go(Number(slider.value)),
  });
  const button = (label, text, move) =>
    element("button", { type: "button", class: "lk-button", "aria-label": label, title: label, onclick: move }, text);
  const back = button("One merge back", "←", () => go(count - 1));
  const forth = button("One merge on", "→", () => go(count + 1));
  const play = element(
    "button",
    { type: "button", class: "lk-button lk-play", onclick: () => (timer ? stop() : start()) },
    "Play",
  );
  const strip = tokenStrip({
    label: "Pieces of the text",
    empty: "Type something, and its pieces appear here.",
    onChoose: (index) => ((chosen = index), tell()),
    onPeek: (index) => ((reading = index), tell()),
  });
  const field = textField(model, "Type any text", (text) => {
    stop();
    steps = mergeSteps(tokenizer, text);
    summarise(text);
    chosen = 0;
    reserve();
    draw(steps.ranks.length);
  });

  function summarise(text) {
    const tokens = steps.after(steps.ranks.length).flat().length;
    const bytes = new TextEncoder().encode(text).length;
    const rate = tokens ? `${(bytes / tokens).toFixed(2)} bytes a token` : "";
    summary.replaceChildren(
      ...[counted(tokens, "token"), counted([...text].length, "character"), counted(bytes, "byte"), rate]
        .filter(Boolean)
        .map((line) => element("span", {}, line)),
    );
  }

  // Merging makes the row of pieces shorter. Keep the room that the bytes need, so that stepping moves nothing below.
  function reserve() {
    strip.node.style.minHeight = "";
    draw(0);
    strip.node.style.minHeight = `${strip.node.offsetHeight}px`;
  }

  function go(target) {
    stop();
    draw(target);
  }

  function draw(target) {
    count = Math.max(0, Math.min(target, steps.ranks.length));
    slider.max = steps.ranks.length;
    slider.value = count;
    slider.setAttribute("aria-valuetext", `${count} of ${steps.ranks.length} merges`);
    slider.disabled = !steps.ranks.length;
    // Not `disabled`: that would take the focus away from who steps by keyboard.
    back.setAttribute("aria-disabled", String(count === 0));
    forth.setAttribute("aria-disabled", String(count === steps.ranks.length));
    play.disabled = !steps.ranks.length;

    const next = count < steps.ranks.length ? tokenizer.rule(steps.ranks[count]) : null;
    const last = count > 0 ? 256 + steps.ranks[count - 1] : null;
    const chunks = steps.after(count);
    const marks = [];
    let places = 0;
    chunks.forEach((ids, chunk) => {
      const mark = (id, ...more) =>
        marks.push({ id, classes: [`lk-hue-${chunk % HUES}`, ...(id === last ? ["lk-new"] : []), ...more] });
      for (let i = 0; i < ids.length; i++) {
        if (next && ids[i] === next.left && ids[i + 1] === next.right) {
          mark(ids[i], "lk-left");
          mark(ids[++i], "lk-right");
          places++;
        } else mark(ids[i]);
      }
    });
    const drawn = marks.slice(0, MOST_PIECES);
    pieces = drawn.map((mark) => mark.id);
    chosen = Math.min(chosen, Math.max(0, pieces.length - 1));
    strip.show(pieces.map(tokenizer.bytes), chosen);
    strip.mark((i) => ({
      caption: String(drawn[i].id),
      description: `${tokenName(tokenizer.bytes(drawn[i].id))}, id ${drawn[i].id}`,
      classes: drawn[i].classes.join(" "),
    }));
    const soon = drawn.findIndex((mark) => mark.classes.includes("lk-left"));
    if (soon >= 0) strip.reveal(soon);
    explain(next, places, marks.length);
    tell();
  }

  const chip = (id) => element("span", { class: "lk-token lk-inline" }, tokenFace(tokenizer.bytes(id)));

  function explain(next, places, total) {
    const done =
      `${count} of ${counted(steps.ranks.length, "merge")} done, ${counted(total, "piece")}` +
      (total > MOST_PIECES ? ` (the first ${MOST_PIECES} are drawn)` : "") +
      ". ";
    rule.replaceChildren(done);
    if (next) {
      rule.append(
        "Next, ",
        element("code", {}, `merges[${next.made - 256}]`),
        ` makes id ${next.made} in ${counted(places, "place")}:`,
        element("span", { class: "lk-sum" }, chip(next.left), " + ", chip(next.right), " → ", chip(next.made)),
      );
    } else if (total) rule.append("No merge joins any two neighbours now: these are the tokens.");
  }

  // What is known about the piece under the mouse, or the chosen one.
  function tell() {
    const id = pieces[reading] ?? pieces[chosen];
    if (id === undefined) return detail.replaceChildren();
    const bytes = tokenizer.bytes(id);
    detail.replaceChildren(
      chip(id),
      ` id ${id}, ${counted(bytes.length, "byte")}: `,
      element("code", {}, hex(bytes)),
      ", ",
    );
    if (id < 256) return detail.append("in the alphabet from the start.");
    const { left, right } = tokenizer.rule(id - 256);
    detail.append(
      "made by ",
      element("code", {}, `merges[${id - 256}]`),
      " from ",
      chip(left),
      " + ",
      chip(right),
      ".",
    );
  }

  function start() {
    if (count === steps.ranks.length) draw(0);
    play.textContent = "Pause";
    rule.setAttribute("aria-live", "off"); // nobody can listen as fast as this plays
    const pause = Math.max(120, Math.min(700, 9000 / steps.ranks.length));
    timer = setInterval(() => {
      draw(count + 1);
      if (count === steps.ranks.length) stop();
    }, pause);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    rule.setAttribute("aria-live", "polite");
  }

  el.append(
    frame(
      "Tokenizer, step by step",
      field.node,
      summary,
      element("div", { class: "lk-steps" }, back, slider, forth, play),
      rule,
      strip.node,
      detail,
    ),
  );

  // The row's height depends on the width it gets, which is known once the control stands in the page.
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (strip.node.clientWidth === width) return;
    width = strip.node.clientWidth;
    const at = count;
    reserve();
    draw(at);
  });
  field.refresh();
  observer.observe(strip.node);
  signal.addEventListener("abort", () => {
    stop();
    observer.disconnect();
  });
}

export default { render };
