// Lists the assignments and submits them. What it shows comes from course/api/assignments (see handlers.py).

const { base, xsrf } = document.documentElement.dataset;
const list = document.getElementById("assignments");
const error = document.getElementById("error");
const cards = new Map();
// Waiting for a mark, the page looks again by itself; the server does not take that for the student's own activity.
const SECONDS_BETWEEN_LOOKS = 10;
const UNREACHABLE =
  "Your server does not answer. Nothing is lost: load this page again in a moment, and log in again if you are asked to.";

/** What the server says to a request; an Error with a sentence where it refuses or does not answer. */
async function ask(path, options = {}) {
  let answer, said;
  try {
    answer = await fetch(`${base}course/api/${path}`, { ...options, headers: { "X-XSRFToken": xsrf } });
    said = await answer.json();
  } catch {
    throw new Error(UNREACHABLE);
  }
  if (!answer.ok) throw new Error(said.error ?? UNREACHABLE);
  return said;
}

function show(element, text) {
  element.hidden = !text;
  element.textContent = text;
}

function card(name) {
  if (!cards.has(name)) {
    const item = document.getElementById("assignment").content.cloneNode(true).querySelector("li");
    item.id = `assignment-${name}`;
    item.querySelector(".submit").addEventListener("click", () => submit(name));
    cards.set(name, item);
    list.append(item);
  }
  return cards.get(name);
}

function update(it) {
  const item = card(it.name);
  const part = (name) => item.querySelector(`.${name}`);
  const fetched = it.saved !== null;
  item.querySelector("h2").textContent = it.title;
  part("state").textContent = it.state;
  part("state").dataset.state = it.state;
  const facts = [it.points !== null && `${it.points} points`, it.minutes && `about ${it.minutes} minutes`];
  part("size").textContent = facts.filter(Boolean).join(" · ");
  show(part("due"), it.due ? ` · due ${it.due.text}` : "");
  part("due").classList.toggle("past", it.is_past_due && !it.submitted);
  show(part("mark"), it.mark ? `${it.mark.earned} of ${it.mark.points} points` : "");
  part("notes").replaceChildren(
    ...it.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })),
  );
  part("notes").hidden = it.notes.length === 0;

  const open = part("open");
  open.textContent = fetched ? "Open" : "Fetch and open";
  open.href = `${base}course/open/${encodeURIComponent(it.name)}`;
  const button = part("submit");
  button.hidden = !fetched;
  button.textContent = it.submitted ? "Submit again" : "Submit";
  const feedback = part("feedback");
  feedback.hidden = !it.mark;
  if (it.mark) feedback.href = base + it.mark.feedback;
  const chapter = part("chapter");
  chapter.hidden = !it.chapter;
  if (it.chapter) {
    chapter.href = it.chapter.address;
    chapter.textContent = `Chapter: ${it.chapter.title}`;
  }
  for (const action of ["open", "submit", "feedback"]) {
    part(action).classList.toggle("next", it.next === action);
    part(action).setAttribute("aria-label", `${part(action).textContent}: ${it.title}`);
  }
}

async function submit(name) {
  const button = card(name).querySelector(".submit");
  const said = card(name).querySelector(".said");
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true"; // a button that is disabled in earnest would lose the focus
  said.textContent = "Submitting …";
  said.classList.remove("failed");
  try {
    const done = await ask(`submit/${encodeURIComponent(name)}`, { method: "POST" });
    update(done.assignment);
    said.textContent = done.message;
  } catch (problem) {
    said.textContent = problem.message;
    said.classList.add("failed");
  } finally {
    button.ariaDisabled = null;
  }
  lookAgain();
}

let waiting = null;

async function look(query = "") {
  clearTimeout(waiting);
  try {
    const { title, assignments } = await ask(`assignments${query}`);
    document.getElementById("course").textContent = title;
    assignments.forEach(update);
    for (const [name, item] of cards) {
      if (!assignments.some((it) => it.name === name)) {
        item.remove();
        cards.delete(name);
      }
    }
    document.getElementById("extensions").hidden = !assignments.some((it) => it.due);
    const none = assignments.length === 0;
    show(document.getElementById("waiting"), none ? "No assignment has been released yet. Look here again later." : "");
    if (error.dataset.from === "look") show(error, "");
  } catch (problem) {
    show(document.getElementById("waiting"), "");
    show(error, problem.message);
    error.dataset.from = "look";
  }
  lookAgain();
}

function lookAgain() {
  clearTimeout(waiting);
  const states = [...list.querySelectorAll(".state")].map((state) => state.dataset.state);
  if (states.includes("submitted") && !document.hidden) {
    waiting = setTimeout(look, 1000 * SECONDS_BETWEEN_LOOKS, "?no_track_activity=1");
  }
}

document.addEventListener("visibilitychange", () => document.hidden || look());
// Back from the notebook, the browser may show the page as it was left.
addEventListener("pageshow", (event) => event.persisted && look());
look();
