"use strict";
/* What pages do beyond being read: sort, filter and copy tables, unfold what a link leads to. No page needs it to be read. */
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const text = cell => (cell.dataset.sort ?? cell.innerText).trim();

const rowsOf = table => all("tbody tr", table);

function compared(one, other) {
  const [a, b] = [one, other].map(each => parseFloat(each.replace(",", "")));
  return isNaN(a) || isNaN(b) ? one.localeCompare(other) : a - b;
}

function sort(head) {
  const table = head.closest("table"), place = [...head.parentNode.children].indexOf(head);
  const up = head.getAttribute("aria-sort") !== "ascending";
  const sorted = rowsOf(table).sort((a, b) => compared(text(a.children[place]), text(b.children[place])) * (up ? 1 : -1));
  all("th[aria-sort]", table).forEach(each => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...sorted);
}

function makeSortable(head) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => sort(head));
}

function filter(input) {
  const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const counted = input.dataset.filters.split(",")[0];
  let shown = 0;
  for (const target of all(input.dataset.filters)) {
    const own = target.textContent.toLowerCase();
    target.hidden = !wanted.every(word => own.includes(word));
    shown += !target.hidden && target.matches(counted) ? 1 : 0;
  }
  const said = document.getElementById(input.getAttribute("aria-describedby"));
  if (said) said.textContent = wanted.length ? `${shown} shown` : "";
}

async function copy(button) {
  const table = document.getElementById(button.dataset.copies);
  const lines = all("tr", table).filter(row => !row.hidden)
    .map(row => [...row.cells].map(cell => cell.innerText.replace(/\s+/g, " ").trim()).join("\t"));
  const area = document.createElement("textarea");
  area.value = lines.join("\n");
  try {
    await navigator.clipboard.writeText(area.value);
  } catch {
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
}

function unfoldTarget() {
  const name = decodeURIComponent(location.hash.slice(1));
  const target = name && document.getElementById(name);
  for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  if (target) target.scrollIntoView();
}

/* A matrix takes two runs or more. */
function pick(form) {
  const boxes = all("input[type=checkbox]", form), button = form.querySelector("button[type=submit]");
  const count = () => {
    const ticked = boxes.filter(box => box.checked).length;
    if (button) button.disabled = ticked < 2;
  };
  form.addEventListener("change", count);
  count();
}

all("th[data-sorts]").forEach(makeSortable);
all("input[data-filters]").forEach(input => {
  input.closest(".tools").hidden = false;
  input.addEventListener("input", () => filter(input));
});
all("button[data-copies]").forEach(button => {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
});
all("button[data-unfolds]").forEach(button => {
  button.hidden = false;
  button.addEventListener("click", () => all(button.dataset.unfolds).forEach(each => { each.open = true; }));
});
all("form.pick").forEach(pick);
addEventListener("hashchange", unfoldTarget);
addEventListener("beforeprint", () => all("details[data-prints]").forEach(each => { each.open = true; }));
unfoldTarget();
