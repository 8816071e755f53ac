"use strict";
const SHOWN = 20; // rows of a ranking
const find = (id) => document.getElementById(id);
const lines = (id) => find(id).value.split("\n").map((text) => text.trim()).filter(Boolean);
const plain = (text) => text.toLowerCase().split(/\s+/).join(" ").trim();
const short = (text) => [...text].slice(0, Number(document.body.dataset.characters)).join("");
let context = [], given = new Set(), asked = null;

// Texts become text nodes only, never markup.
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function toggle(text, act) {
  const button = element("button", { type: "button" }, text);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => act(button));
  return button;
}

function press(parent, pressed) {
  for (const button of parent.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button === pressed));
  }
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const token = find("token")?.value;
  if (/[^\x20-\x7e]/.test(token ?? "")) throw new Error("the token has characters that no token has");
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) })
    .catch(() => { throw new Error("the service does not answer"); });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `status ${response.status}`);
  return answer;
}

// One request at a time: its answer is shown before the next is sent.
async function attempt(work) {
  disable(true);
  find("problem").textContent = "";
  try {
    await work();
  } catch (error) {
    find("problem").textContent = `Error: ${error.message}`;
  }
  disable(false);
}

function disable(disabled) {
  document.querySelectorAll("#say button, #rows button, #restart")
    .forEach((button) => { button.disabled = disabled; });
}

function utter(who, text, note) {
  const item = element("li", { className: who }, text);
  if (note) item.append(element("small", {}, note));
  find("talk").append(item);
  item.scrollIntoView({ block: "nearest" });
}

async function say() {
  const line = find("line").value.trim();
  if (!line) return;
  const turn = {
    context: [...context, line].slice(-Number(document.body.dataset.utterances)),
    persona: lines("persona"),
  };
  const { ranking } = document.body.dataset.pool
    ? await post("reply", { ...turn, top_k: Math.min(SHOWN + given.size, Number(document.body.dataset.candidates)) })
    : await post("rank", { ...turn, candidates: lines("candidates") });
  if (ranking.length === 0) throw new Error("the pool has no reply left");
  const answer = ranking.find((row) => !given.has(plain(row.candidate))) ?? ranking[0];
  asked = turn;
  context = [...turn.context, short(answer.candidate)];
  given.add(plain(answer.candidate));
  utter("you", line);
  utter("bot", answer.candidate, answer.fits === false ? nothingFits(ranking) : "");
  find("line").value = "";
  show(ranking, answer);
  await explain(answer.candidate);
}

function nothingFits(ranking) {
  return `nothing ${ranking[0].fits ? "else " : ""}fits; this is the nearest`;
}

function show(ranking, answer) {
  const calibrated = "fits" in ranking[0];
  document.querySelector("th.fits").hidden = !calibrated;
  find("rows").replaceChildren(...ranking.filter((row, place) => place < SHOWN || row === answer).map((row) => {
    const reply = toggle(row.candidate, (button) => {
      press(find("rows"), button);
      attempt(() => explain(row.candidate));
    });
    const made = element("tr", {},
      element("td", {}, String(row.rank)),
      element("td", {}, row.probability.toFixed(4)),
      element("td", { hidden: !calibrated }, row.fits ? "yes" : "no"),
      element("td", {}, reply));
    reply.setAttribute("aria-pressed", String(row === answer));
    return made;
  }));
  find("ranking").hidden = false;
}

async function explain(candidate) {
  find("why").hidden = true;
  const found = await post("explain", { ...asked, candidate: short(candidate) });
  const maps = [["Conversation", found.context], ["Persona", found.persona]]
    .filter(([, map]) => map);
  find("why").hidden = maps.length === 0;
  if (maps.length === 0) return;
  const words = maps[0][1].rows;
  const all = toggle("all words", (button) => choose(button, null));
  const choose = (button, row) => {
    press(find("words"), button);
    find("maps").replaceChildren(...maps.map(([title, map]) => shade(title, map, row)));
  };
  find("words").replaceChildren(
    all, ...words.map((word, row) => toggle(word, (button) => choose(button, row))));
  choose(all, null);
}

function shade(title, map, row) {
  const mean = (column) =>
    map.weights.reduce((sum, weights) => sum + weights[column], 0) / map.weights.length;
  const values = row === null ? map.weights[0].map((_, column) => mean(column)) : map.weights[row];
  const largest = Math.max(...values) || 1;
  let column = 0;
  const block = element("div", {}, element("h3", {}, title));
  for (const group of map.groups) {
    const line = element("p");
    for (const word of group) {
      const value = values[column++];
      const shown = element("span", { title: value.toFixed(3) }, word);
      shown.style.setProperty("--w", value / largest);
      line.append(shown, " ");
    }
    block.append(line);
  }
  return block;
}

find("say").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(say).then(() => find("line").focus());
});
find("restart").addEventListener("click", () => {
  [context, given] = [[], new Set()];
  find("talk").replaceChildren();
  find("problem").textContent = "";
  find("ranking").hidden = find("why").hidden = true;
  find("line").focus();
});
