// Parts that the course's controls are drawn from. Each returns { node, ... } and methods that change what it shows.

// element("p", { class: "lk-note", onclick: f }, "text", child): a DOM node. Properties starting with "on" listen.
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// The frame of a control. JupyterLab must leave the keys that are pressed inside it alone.
export function frame(label, ...children) {
  return element(
    "div",
    { class: "lk", role: "group", "aria-label": label, "data-lm-suppress-shortcuts": "true" },
    ...children,
  );
}

// What the reader types, kept in the trait `text` of the control's model.
export function textField(model, label, onChange) {
  const input = element("textarea", { class: "lk-text", rows: 3, spellcheck: "false", autocapitalize: "off" });
  const refresh = () => {
    if (input.value !== model.get("text")) input.value = model.get("text");
    onChange(input.value);
  };
  input.addEventListener("input", () => {
    model.set("text", input.value);
    model.save_changes();
  });
  model.on("change:text", refresh);
  return { node: element("label", { class: "lk-field" }, element("span", {}, label), input), refresh };
}

export const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// The text that some bytes spell, or null where they are only part of a character.
function textOf(bytes) {
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    return null;
  }
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(" ");

const VISIBLE = { " ": "·", "\n": "↵", "\t": "→" };

// A token as the reader sees it: its text with visible white space, or its bytes where they spell nothing visible.
export function tokenFace(bytes) {
  const text = textOf(bytes);
  const face = element("span", { class: "lk-face", dir: "auto" });
  if (text === null || /(?![ \n\t])[\p{C}\p{Z}]/u.test(text)) {
    face.classList.add("lk-bytes");
    face.append(hex(bytes));
    return face;
  }
  // An accent that stands alone needs something to sit on.
  for (const part of text.replace(/^\p{M}/u, "◌$&").split(/([ \n\t])/)) {
    if (part in VISIBLE) face.append(element("span", { class: "lk-space" }, VISIBLE[part]));
    else if (part) face.append(part);
  }
  return face;
}

// The same in words, for labels and sentences.
export function tokenName(bytes) {
  const text = textOf(bytes);
  return text === null ? `bytes ${hex(bytes)}` : JSON.stringify(text);
}

// A row of tokens of which one can be chosen: by click, or by arrow keys, Home and End. `onPeek` hears which token
// the mouse is over (null when none).
export function tokenStrip({ label, empty, onChoose, onPeek = () => {} }) {
  const node = element("div", {
    class: "lk-strip",
    role: "listbox",
    "aria-label": label,
    "aria-orientation": "horizontal",
  });
  let chips = [];
  let chosen = -1;

  function choose(index, focus = false) {
    chips[chosen]?.setAttribute("aria-selected", "false");
    chips[chosen]?.setAttribute("tabindex", "-1");
    chosen = index;
    chips[chosen]?.setAttribute("aria-selected", "true");
    chips[chosen]?.setAttribute("tabindex", "0");
    if (focus) chips[chosen].focus();
  }

  // The chip nearest above or below the chosen one.
  function neighbour(direction) {
    const from = chips[chosen];
    const beyond = chips.filter((chip) => (chip.offsetTop - from.offsetTop) * direction > 0);
    if (!beyond.length) return chosen;
    const middle = (chip) => chip.offsetLeft + chip.offsetWidth / 2;
    const row = (direction > 0 ? beyond[0] : beyond.at(-1)).offsetTop;
    const distance = (chip) => Math.abs(middle(chip) - middle(from));
    return chips.indexOf(
      beyond.filter((chip) => chip.offsetTop === row).reduce((a, b) => (distance(b) < distance(a) ? b : a)),
    );
  }

  node.addEventListener("keydown", (event) => {
    const moves = {
      ArrowLeft: () => Math.max(chosen - 1, 0),
      ArrowRight: () => Math.min(chosen + 1, chips.length - 1),
      ArrowUp: () => neighbour(-1),
      ArrowDown: () => neighbour(1),
      Home: () => 0,
      End: () => chips.length - 1,
    };
    if (!(event.key in moves) || chosen < 0) return;
    event.preventDefault();
    choose(moves[event.key](), true);
    onChoose(chosen);
  });
  node.addEventListener("click", (event) => {
    const index = chips.indexOf(event.target.closest(".lk-token"));
    if (index < 0) return;
    choose(index, true);
    onChoose(index);
  });
  node.addEventListener("mouseover", (event) => {
    const index = chips.indexOf(event.target.closest(".lk-token"));
    onPeek(index < 0 ? null : index);
  });
  node.addEventListener("mouseleave", () => onPeek(null));

  return {
    node,
    // tokens: [Uint8Array of bytes]; `select` is the index to choose.
    show(tokens, select) {
      const focused = node.contains(document.activeElement);
      chips = tokens.map((bytes) =>
        element(
          "div",
          { class: "lk-token", role: "option", tabindex: "-1", "aria-selected": "false" },
          tokenFace(bytes),
          element("span", { class: "lk-caption" }),
        ),
      );
      chosen = -1;
      node.replaceChildren(
        ...(chips.length
          ? chips
          : [element("div", { class: "lk-empty", role: "option", "aria-selected": "false" }, empty)]),
      );
      choose(Math.min(select, chips.length - 1), focused && chips.length > 0);
    },
    // describe(index) returns { caption, description, classes, heat }: the small line below, what screen readers add
    // to it, further classes, and how strongly to shade, from 0 to 1.
    mark(describe) {
      chips.forEach((chip, index) => {
        const { caption, description, classes = "", heat } = describe(index);
        chip.className = `lk-token ${classes}`;
        chip.lastChild.textContent = caption;
        chip.setAttribute("aria-description", description);
        if (heat !== undefined) chip.style.setProperty("--lk-shade", `${shade(heat) * 100}%`);
      });
    },
    // Scrolls the row, and nothing else, so that the token with this index is seen.
    reveal(index) {
      const { offsetTop: top, offsetHeight: height } = chips[index];
      if (top < node.scrollTop) node.scrollTop = top;
      else if (top + height > node.scrollTop + node.clientHeight) node.scrollTop = top + height - node.clientHeight;
    },
  };
}

// Weights from 0 to 1 as ink. The square root keeps small weights visible; the numbers beside it are exact.
const shade = (weight) => Math.sqrt(weight);

// A fixed number of labelled bars on a scale from 0 to 1.
export function probabilityBars(count) {
  const title = element("p", { class: "lk-title" });
  const list = element("ol", { class: "lk-bars" });
  return {
    node: element("section", {}, title, list),
    // rows: [{ bytes, note, value }]
    show(heading, rows) {
      title.replaceChildren(...heading);
      list.replaceChildren(
        ...Array.from({ length: count }, (_, i) => {
          if (!rows[i]) return element("li", { "aria-hidden": "true" });
          const { bytes, note, value } = rows[i];
          const bar = element(
            "span",
            { class: "lk-bar", "aria-hidden": "true" },
            element("span", { style: `width: ${value * 100}%` }),
          );
          const name = element(
            "span",
            { class: "lk-name" },
            tokenFace(bytes),
            note ? element("span", { class: "lk-note" }, note) : "",
          );
          return element("li", {}, name, bar, element("span", { class: "lk-number" }, value.toFixed(3)));
        }),
      );
    },
  };
}

// A square picture of a causal pattern (query x key, n x n), in the colour --lk-heat: a row for each query.
export function drawPattern(canvas, pattern, n) {
  const side = Math.round(canvas.clientWidth * devicePixelRatio) || 1;
  canvas.width = canvas.height = side;
  if (!n) return;
  const ink = canvas.getContext("2d");
  ink.fillStyle = getComputedStyle(canvas).getPropertyValue("--lk-heat");
  const cell = side / n;
  for (let query = 0; query < n; query++) {
    for (let key = 0; key <= query; key++) {
      const alpha = shade(pattern[query * n + key]);
      if (alpha < 0.02) continue;
      ink.globalAlpha = alpha;
      ink.fillRect(key * cell, query * cell, cell, cell);
    }
  }
}

// Calls `repaint` when the book or JupyterLab changes between light and dark.
export function onThemeChange(repaint, signal) {
  const observer = new MutationObserver(repaint);
  const options = { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light"] };
  observer.observe(document.documentElement, options);
  observer.observe(document.body, options);
  signal.addEventListener("abort", () => observer.disconnect());
}
