// Keeps the page up to date: shows times relative to now, and replaces the parts of the page that the server sends. The page can be
// used without this script.
"use strict";

const page = document.getElementById("page");
const live = document.getElementById("live");
let ahead = Date.parse(page.dataset.now) - Date.now(); // how far the server's clock is ahead of the browser's clock, in ms
let source, retry, waiting = {};

function inWords(seconds) {
	const s = Math.abs(Math.round(seconds));
	if (s < 90) return s + " s";
	if (s < 90 * 60) return Math.round(s / 60) + " min";
	if (s < 48 * 3600) return Math.round(s / 3600) + " h";
	return Math.round(s / 86400) + " d";
}

function showTimes() {
	const now = Date.now() + ahead;
	for (const t of document.querySelectorAll("time[datetime]")) {
		const seconds = (Date.parse(t.dateTime) - now) / 1000;
		const text = Math.abs(seconds) < 0.5 ? "now" : seconds > 0 ? "in " + inWords(seconds) : inWords(seconds) + " ago";
		if (t.textContent !== text) t.textContent = text;
		if (!t.title) t.title = new Date(t.dateTime).toLocaleString();
	}
}

// replace replaces an element by new HTML. It keeps the focus and the closed details elements.
function replace(old, html) {
	const template = document.createElement("template");
	template.innerHTML = html;
	const fresh = template.content.firstElementChild;
	if (!fresh) return;
	const closed = [...old.querySelectorAll("details")].map((d) => !d.open);
	fresh.querySelectorAll("details").forEach((d, i) => { if (closed[i]) d.open = false; });
	const focused = old.contains(document.activeElement) ? path(old, document.activeElement) : null;
	old.replaceWith(fresh);
	if (focused) follow(fresh, focused)?.focus({ preventScroll: true });
}

// path returns the indexes of child elements that lead from an element to one of its descendants. follow returns the element to which
// such indexes lead.
function path(from, to) {
	const steps = [];
	for (let e = to; e !== from; e = e.parentElement) steps.unshift([...e.parentElement.children].indexOf(e));
	return steps;
}

function follow(from, steps) { return steps.reduce((e, i) => e?.children[i], from); }

function selecting() { const s = getSelection(); return s && !s.isCollapsed; }

// showParts shows the parts that were received, unless text is selected: replacing it would end the selection.
function showParts() {
	if (selecting() || Object.keys(waiting).length === 0) return;
	const parts = waiting;
	waiting = {};
	const all = new Map([...document.querySelectorAll("[data-part]")].map((e) => [e.dataset.part, e]));
	for (const [name, html] of Object.entries(parts)) {
		const old = all.get(name);
		if (old) replace(old, html);
	}
	showTimes();
}

// load loads the whole page again and replaces its content.
async function load() {
	const answer = await fetch(page.dataset.page, { headers: { Accept: "text/html" } });
	if (!answer.ok) throw new Error(answer.statusText);
	const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
	const other = fresh.getElementById("page");
	const typed = document.activeElement?.matches("input[type=search]") ? document.activeElement : null;
	page.dataset.version = other.dataset.version;
	waiting = {};
	ahead = Date.parse(other.dataset.now) - Date.now();
	document.title = fresh.title;
	const search = typed && other.querySelector("input[type=search]");
	if (search) search.replaceWith(typed.cloneNode());
	const at = typed && [typed.value, typed.selectionStart];
	page.querySelector("main").replaceChildren(...other.querySelector("main").childNodes);
	page.querySelector("header").replaceWith(other.querySelector("header"));
	if (at) {
		const again = page.querySelector("input[type=search]");
		again.value = at[0];
		again.focus();
		again.setSelectionRange(at[1], at[1]);
	}
	showTimes();
}

function connect() {
	clearTimeout(retry);
	source?.close();
	source = new EventSource("/events?" + new URLSearchParams({ page: page.dataset.page, version: page.dataset.version }));
	source.onopen = () => { live.textContent = "Live: this page updates itself."; page.classList.remove("stale"); };
	source.onmessage = (event) => {
		const change = JSON.parse(event.data);
		if (change.reload) return again(1000);
		Object.assign(waiting, change.parts);
		showParts();
	};
	source.onerror = () => again(1000);
}

// tellStale shows that the page is not up to date.
function tellStale() {
	if (!page.classList.contains("stale")) live.textContent = "▲ The agent does not answer. This is the state of " + new Date().toLocaleTimeString() + ".";
	page.classList.add("stale");
}

// again loads the page and connects again, after a pause in ms.
function again(pause) {
	source?.close();
	clearTimeout(retry);
	retry = setTimeout(async () => {
		if (document.hidden || selecting()) return again(1000);
		try { await load(); connect(); } catch { tellStale(); again(5000); }
	}, pause);
}

document.addEventListener("visibilitychange", () => {
	if (document.hidden) { source?.close(); clearTimeout(retry); } else again(0);
});
document.addEventListener("keydown", (event) => {
	if (event.key !== "/" || event.target.matches("input")) return;
	event.preventDefault();
	document.querySelector("input[type=search]")?.focus();
});
showTimes();
setInterval(() => { showParts(); showTimes(); }, 1000);
connect();
