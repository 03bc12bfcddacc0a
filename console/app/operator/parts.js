// What several pages of the operator use: reads with their states, tables, facts, ids and forms.
import { request, sentence } from "../api.js";
import { html, useCallback, useEffect, useState } from "../html.js";
import { Alert, Failed, Loading } from "../parts.js";

/** @typedef {import("../html.js").Children} Children */

/**
 * @template T
 * @typedef {{data: T | null, problem: string, load: () => Promise<void>}} Read
 */

/**
 * What a path answers, read again when the path changes, or with `load`.
 * @param {string} path
 * @returns {Read<any>}
 */
export function useRead(path) {
  const none = { path, data: null, problem: "" };
  const [found, setFound] = useState(none);
  const [asked, setAsked] = useState(0);
  const load = useCallback(async () => setAsked((number) => number + 1), []);
  useEffect(() => {
    const leaving = new AbortController();
    request("GET", path, { signal: leaving.signal }).then(
      (data) => setFound({ path, data, problem: "" }),
      (error) => leaving.signal.aborted || setFound({ path, data: null, problem: sentence(error) }),
    );
    return () => leaving.abort();
  }, [path, asked]);
  const { data, problem } = found.path === path ? found : none;
  return { data, problem, load };
}

/**
 * A list that is read page by page. `member` is the list's name in the answer.
 * @param {string} path
 * @param {string} member
 * @returns {Read<any[]> & {pages: number, more: (() => Promise<void>) | null}} `pages`: after the first
 */
export function usePages(path, member) {
  const first = useRead(path);
  const [rest, setRest] = useState({ of: first.data, rows: /** @type {any[]} */ ([]), pages: 0, cursor: null, problem: "" });
  const known =
    rest.of === first.data ? rest : { of: first.data, rows: [], pages: 0, cursor: cursorOf(first.data), problem: "" };
  const more = async () => {
    try {
      const from = encodeURIComponent(known.cursor ?? "");
      const page = await request("GET", `${path}${path.includes("?") ? "&" : "?"}cursor=${from}`);
      const rows = [...known.rows, ...page[member]];
      setRest({ ...known, rows, pages: known.pages + 1, cursor: cursorOf(page), problem: "" });
    } catch (error) {
      setRest({ ...known, problem: sentence(error) });
    }
  };
  return {
    data: first.data && [...first.data[member], ...known.rows],
    problem: first.problem || known.problem,
    load: first.load,
    pages: known.pages,
    more: known.cursor ? more : null,
  };
}

/** @param {any} page */
const cursorOf = (page) => page?.next_cursor ?? page?.cursor ?? null;

/**
 * What was read, or its state: `children` gets the data.
 * @param {{read: Read<any>, kind?: string, children: (data: any) => any}} props
 */
export const Shown = ({ read, kind = "rows", children }) =>
  read.data !== null
    ? html`${read.problem && html`<${Alert}>${read.problem}<//>`}${children(read.data)}`
    : read.problem
      ? html`<${Failed} problem=${read.problem} retry=${read.load} />`
      : html`<${Loading} number=${3} kind=${kind} />`;

/**
 * A table, which is a list of cards on a phone. A head that begins with # is of a column of numbers.
 * @param {{label: string, heads: string[], rows: any[][], empty: string}} props
 */
export function Table({ label, heads, rows, empty }) {
  if (rows.length === 0) return html`<p class="none">${empty}</p>`;
  const names = heads.map((head) => head.replace("#", ""));
  const kinds = heads.map((head) => (head.startsWith("#") ? "number" : ""));
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table class="cards-on-phone">
      <thead>
        <tr>${names.map((name, index) => html`<th scope="col" class=${kinds[index]}>${name}</th>`)}</tr>
      </thead>
      <tbody>
        ${rows.map(
          (cells) => html`<tr>
            ${cells.map((cell, index) => html`<td class=${kinds[index]} data-head=${names[index]}><div>${cell}</div></td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** @param {{pages: ReturnType<typeof usePages>}} props */
export function More({ pages }) {
  const [busy, setBusy] = useState(false);
  if (!pages.more) return null;
  const load = async () => {
    setBusy(true);
    await pages.more?.();
    setBusy(false);
  };
  return html`<div class="more">
    <button class="quiet" type="button" disabled=${busy} onClick=${load}>${busy ? "Loading …" : "Show more"}</button>
  </div>`;
}

/** Names and values; those without a value are left out. @param {{facts: [string, any][]}} props */
export const Facts = ({ facts }) => html`
  <dl class="facts">
    ${facts
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;

/** @param {{title: string, children?: Children}} props */
export const Section = ({ title, children }) => html`
  <section class="panel" aria-label=${title}>
    <h2>${title}</h2>
    ${children}
  </section>`;

/** The address of an operator's page. @param {string} page @param {string} [id] */
export const address = (page, id) => `#/operator/${page}${id ? `/${encodeURIComponent(id)}` : ""}`;

/** An id, as a link if it has a page. @param {{id: string | null, page?: string}} props */
export const Id = ({ id, page }) =>
  id ? (page ? html`<a class="id" href=${address(page, id)}>${id}</a>` : html`<span class="id">${id}</span>`) : "";

/**
 * A field with its label.
 * @param {{id: string, label: string, value: any, set: (value: string) => void, type?: string,
 *   options?: string[], placeholder?: string, required?: boolean, wide?: boolean}} props `options`: with
 *   them it is a list to choose from
 */
export const Field = ({ id, label, value, set, type = "text", options, placeholder, required, wide }) => html`
  <div class=${`field ${wide ? "wide" : ""}`}>
    <label for=${id}>${label}</label>
    ${options
      ? html`<select id=${id} value=${value} onChange=${(/** @type {any} */ event) => set(event.target.value)}>
          ${options.map((one) => html`<option value=${one}>${one || "any"}</option>`)}
        </select>`
      : html`<input
          id=${id}
          type=${type}
          value=${value}
          placeholder=${placeholder}
          required=${required}
          autocomplete="off"
          onInput=${(/** @type {any} */ event) => set(event.target.value)}
        />`}
  </div>`;

/**
 * One action at a time, with its result in a sentence.
 * @returns {{busy: boolean, run: (action: () => Promise<string | void>) => Promise<void>, result: any}}
 *   `result` is to be shown; `action` returns what was done
 */
export function useAction() {
  const [busy, setBusy] = useState(false);
  const [news, setNews] = useState("");
  const [problem, setProblem] = useState("");
  const run = async (/** @type {() => Promise<string | void>} */ action) => {
    setBusy(true);
    setNews("");
    setProblem("");
    try {
      setNews((await action()) || "");
    } catch (error) {
      setProblem(sentence(error));
    }
    setBusy(false);
  };
  return {
    busy,
    run,
    result: html`<p class="news" role="status">${news}</p>${problem && html`<${Alert}>${problem}<//>`}`,
  };
}

/** A form that does not leave the page. @param {{submit: () => unknown, label: string, children?: Children}} props */
export const Form = ({ submit, label, children }) => html`
  <form
    class="fields"
    aria-label=${label}
    onSubmit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      void submit();
    }}
  >
    ${children}
  </form>`;
