// The control AlmanacSearch: type a name, or any words, and see what the almanac's documents say.

import { counted, element, frame } from "../parts.js";

const FORMS = { statement: "stated", question: "asked", profile: "in profiles", list: "in lists" };
const BACKWARDS = {
  birthplace: "birthplace of",
  friend: "best friend of",
  capital: "capital of",
  river: "river of",
  country: "country of",
};
const FIRST_DOCUMENTS = 8;
const MORE_DOCUMENTS = 40;

// The world as Python's AlmanacSearch packed it.
//   entities: a Map from a name in small letters to { name, kind, rank (null: in no document), of }
//   facts: [{ subject, relation, object, forms: { statement, question, profile, list }, times }]
//   documents: [{ form, text, times }], each different text once
function unpackAlmanac({ names, relations, facts: rows, others }) {
  const entities = new Map();
  for (const [kind, [mentioned, unmentioned]] of Object.entries(names)) {
    const add = (name, rank) => entities.set(name.toLowerCase(), { name, kind, rank, of: mentioned.length });
    mentioned.forEach(add);
    unmentioned.forEach((name) => add(name, null));
  }
  const documents = [];
  const facts = rows.map(([subject, relation, object, stated = [], asked = [], profile = 0, list = 0]) => {
    const fill = (wording) => wording.replace("{s}", subject).replace("{o}", object);
    stated.forEach((times, wording) => {
      if (times) documents.push({ form: "statement", text: fill(relations[relation].statements[wording]), times });
    });
    asked.forEach((times, wording) => {
      const question = fill(relations[relation].questions[wording]);
      if (times) documents.push({ form: "question", text: `Q: ${question} A: ${object}.`, times });
    });
    const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
    const forms = { statement: sum(stated), question: sum(asked), profile, list };
    return { subject, relation, object, forms, times: sum(Object.values(forms)) };
  });
  for (const [form, text, times] of others) documents.push({ form, text, times });
  return { entities, facts, documents };
}

// The documents that hold these words, and how many they are with all their repeats. First comes the most repeated of
// each form, then the second of each, and so on.
function findDocuments(world, words) {
  const wanted = words.toLowerCase();
  const found = world.documents.filter(({ text }) => text.toLowerCase().includes(wanted));
  found.sort((a, b) => b.times - a.times || (a.text < b.text ? -1 : 1));
  const turns = {};
  const turn = new Map(found.map((document) => [document, (turns[document.form] = (turns[document.form] ?? 0) + 1)]));
  found.sort((a, b) => turn.get(a) - turn.get(b));
  return { found, total: found.reduce((sum, { times }) => sum + times, 0) };
}

function render({ model, el }) {
  const world = unpackAlmanac(model.get("world"));
  let shown = FIRST_DOCUMENTS;

  const input = element("input", {
    type: "search",
    class: "lk-text lk-search",
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    oninput: () => look(input.value),
  });
  const summary = element("p", { class: "lk-rule lk-found", role: "status" });
  const card = element("div", { class: "lk-entry" });
  const heading = element("p", { class: "lk-title" });
  const list = element("ul", { class: "lk-documents" });
  const more = element(
    "button",
    { type: "button", class: "lk-button", onclick: () => ((shown += MORE_DOCUMENTS), drawDocuments()) },
    "Show more",
  );

  function look(text) {
    model.set("text", text);
    model.save_changes();
  }

  // A button for each kind of thing worth looking up; each press takes the next one.
  const people = [...world.entities.values()].filter(({ kind }) => kind === "person");
  const known = people.filter(({ rank }) => rank !== null);
  const subjects = (test) => [...new Set(world.facts.filter(test).map(({ subject }) => subject))];
  const mentioned = ({ subject }) => world.entities.get(subject.toLowerCase()).rank !== null;
  const suggestions = [
    ["Often spoken of", known.map(({ name }) => name)],
    ["Rarely", known.map(({ name }) => name).reverse()],
    ["Never", people.filter(({ rank }) => rank === null).map(({ name }) => name)],
    ["A city", [...world.entities.values()].filter(({ kind }) => kind === "city").map(({ name }) => name)],
    ["A true thing never said", subjects((fact) => !fact.times && mentioned(fact))],
  ].filter(([, names]) => names.length);
  const row = element(
    "div",
    { class: "lk-suggestions" },
    ...suggestions.map(([label, names]) => {
      let next = 0;
      const take = () => look(names[next++ % names.length]);
      return element("button", { type: "button", class: "lk-button", onclick: take }, label);
    }),
  );

  function draw() {
    const text = model.get("text");
    if (input.value !== text) input.value = text;
    shown = FIRST_DOCUMENTS;
    const words = text.trim();
    const entity = world.entities.get(words.toLowerCase());
    const { total } = findDocuments(world, words);
    if (!words) summary.replaceChildren("Type a name, or any words, and they are looked up in every document.");
    else if (entity) tellEntity(entity, total);
    else tellWords(words, total);
    drawCard(entity);
    drawDocuments();
  }

  function tellEntity({ name, kind, rank, of }, total) {
    const place = rank === null ? "occurs in no document" : `number ${rank + 1} of ${of}, in ${counted(total, "document")}`;
    summary.replaceChildren(element("strong", {}, name), `: a ${kind}, ${place}.`);
  }

  function tellWords(words, total) {
    const begun = [...world.entities.values()].filter(({ name }) =>
      name.toLowerCase().startsWith(words.toLowerCase()),
    );
    const nowhere = begun.length ? "In no document." : "In no document: it was never said, and nothing here is called so.";
    summary.replaceChildren(total ? `In ${counted(total, "document")}.` : nowhere);
    if (begun.length) {
      summary.append(" Names that begin so: ", ...begun.slice(0, 6).flatMap(({ name }) => [link(name), " "]));
    }
  }

  function link(name, silent = false) {
    if (!world.entities.has(name.toLowerCase())) return element("span", {}, name);
    const described = silent ? `${name} (never said)` : name;
    return element(
      "button",
      { type: "button", class: `lk-link ${silent ? "lk-silent" : ""}`, "aria-label": described, onclick: () => look(name) },
      name,
    );
  }

  // What is true of an entity, said or not.
  function drawCard(entity) {
    card.replaceChildren();
    if (!entity) return;
    const rows = [];
    for (const { subject, relation, object, forms, times } of world.facts) {
      if (subject !== entity.name) continue;
      const parts = Object.entries(FORMS).filter(([form]) => forms[form]);
      const note = times
        ? `said ${counted(times, "time")}: ${parts.map(([form, word]) => `${forms[form].toLocaleString("en")} ${word}`).join(", ")}`
        : "true, but never said";
      rows.push([relation, [link(object)], note]);
    }
    const backwards = {};
    for (const fact of world.facts) {
      if (fact.object === entity.name && fact.relation in BACKWARDS) (backwards[fact.relation] ??= []).push(fact);
    }
    for (const [relation, facts] of Object.entries(backwards)) {
      const silent = facts.some(({ times }) => !times);
      const links = facts.flatMap(({ subject, times }) => [link(subject, !times), " "]);
      rows.push([BACKWARDS[relation], links, silent ? "dashed: true, but never said" : ""]);
    }
    card.append(
      element(
        "table",
        { class: "lk-known" },
        element(
          "tbody",
          {},
          ...rows.map(([name, answer, note]) =>
            element(
              "tr",
              {},
              element("th", { scope: "row" }, name),
              element("td", {}, ...answer),
              element("td", { class: "lk-note" }, note),
            ),
          ),
        ),
      ),
    );
  }

  function drawDocuments() {
    const words = model.get("text").trim();
    const { found } = words ? findDocuments(world, words) : { found: [] };
    heading.replaceChildren(...(found.length ? [counted(found.length, "different document")] : []));
    list.replaceChildren(
      ...found.slice(0, shown).map(({ form, text, times }) =>
        element(
          "li",
          {},
          element("span", { class: "lk-times" }, `${times.toLocaleString("en")} ×`),
          element("span", {}, ...marked(text, words), " ", element("span", { class: "lk-note" }, form)),
        ),
      ),
    );
    more.hidden = found.length <= shown;
  }

  function marked(text, words) {
    const parts = [];
    let from = 0;
    for (let at; (at = text.toLowerCase().indexOf(words.toLowerCase(), from)) >= 0; from = at + words.length) {
      parts.push(text.slice(from, at), element("mark", {}, text.slice(at, at + words.length)));
    }
    return [...parts, text.slice(from)];
  }

  el.append(
    frame(
      "The almanac",
      element("label", { class: "lk-field" }, element("span", {}, "Look up a name, or any words"), input),
      row,
      summary,
      card,
      heading,
      list,
      more,
    ),
  );
  model.on("change:text", draw);
  draw();
}

export default { render };
