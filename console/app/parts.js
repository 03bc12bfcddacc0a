// Small components that several pages use.
import { html, useEffect, useRef, useState } from "./html.js";
import { changedPrice, imageProblem, sentence, upload } from "./api.js";
import { charged, count, credits, failure } from "./format.js";
import { runs } from "./videos.js";

/** @typedef {import("./api.js").Video} Video */
/** @typedef {import("./html.js").Children} Children */

/** @type {Record<string, string>} */
const STATUS = {
  pending: "Waiting",
  processing: "In progress",
  completed: "Ready",
  failed: "Failed",
  cancelled: "Cancelled",
};

/** @param {{status: string}} props */
export const Status = ({ status }) =>
  html`<span class=${`status ${status}`}>${STATUS[status] ?? status}</span>`;

/** @param {{job: {progress: number, current_step?: string | null}}} props */
export const Progress = ({ job }) => html`
  <div class="progress">
    <progress max="100" value=${job.progress} aria-label="Progress"></progress>
    <span>${job.current_step ?? "Waiting"} · ${job.progress} %</span>
  </div>`;

/** Why a job has no video, and what it has cost. @param {{job: Video}} props */
export const Outcome = ({ job }) =>
  job.status === "failed" || job.status === "cancelled"
    ? html`<p class="outcome">
        ${job.status === "failed" ? failure(job.error_code) : "You cancelled it."}${" "}
        <strong>${charged(job)}</strong>
      </p>`
    : null;

/** A message that a screen reader reads when it appears. @param {{children?: Children}} props */
export const Alert = ({ children }) => html`<p class="alert" role="alert">${children}</p>`;

/** @param {{title: string, children?: Children, action?: Children}} props */
export const Empty = ({ title, children, action }) => html`
  <div class="empty">
    <svg viewBox="0 0 48 48" aria-hidden="true">
      <rect x="5" y="9" width="38" height="30" rx="6" /><path d="M20 18v12l10-6z" />
    </svg>
    <h2>${title}</h2>
    <p>${children}</p>
    ${action}
  </div>`;

/** @param {{problem: string, retry: () => void}} props */
export const Failed = ({ problem, retry }) => html`
  <div class="empty" role="alert">
    <h2>This could not be loaded</h2>
    <p>${problem}</p>
    <button type="button" onClick=${retry}>Try again</button>
  </div>`;

/** Grey places of what is loaded. @param {{number: number, kind: string}} props */
export const Loading = ({ number, kind }) => html`
  <div class=${kind} role="status">
    <span class="unseen">Loading …</span>
    ${Array.from({ length: number }, () => html`<div class="ghost" aria-hidden="true"></div>`)}
  </div>`;

/**
 * A place for one image: by button, by drag and drop or by pasting a file.
 * @param {{label: string, required?: boolean, preview: string,
 *   onUploaded: (image: {project_id: string, image_url: string, preview: string}) => void,
 *   onRemoved: () => void, onBusy?: (busy: boolean) => void}} props
 */
export function ImageField({ label, required, preview, onUploaded, onRemoved, onBusy }) {
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));

  const take = async (/** @type {File | null | undefined} */ file) => {
    if (!file) return;
    const wrong = imageProblem(file);
    setProblem(wrong);
    if (wrong) return;
    setBusy(true);
    onBusy?.(true);
    try {
      const made = await upload(file);
      onUploaded({ ...made, preview: URL.createObjectURL(file) });
    } catch (error) {
      setProblem(sentence(error));
    }
    setBusy(false);
    onBusy?.(false);
    if (input.current) input.current.value = "";
  };

  return html`
    <div class="field">
      <span class="label">${label}${required ? "" : html` <small>optional</small>`}</span>
      <div
        class=${`drop ${over ? "over" : ""}`}
        onDragOver=${(/** @type {DragEvent} */ event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave=${() => setOver(false)}
        onDrop=${(/** @type {DragEvent} */ event) => {
          event.preventDefault();
          setOver(false);
          void take(event.dataTransfer?.files[0]);
        }}
      >
        ${preview && html`<img src=${preview} alt=${`${label}: preview`} />`}
        <div>
          <label class="button quiet">
            ${busy ? "Uploading …" : preview ? "Change" : "Choose an image"}
            <input
              class="unseen"
              type="file"
              ref=${input}
              accept="image/png,image/jpeg,image/webp"
              aria-label=${label}
              disabled=${busy}
              onChange=${(/** @type {any} */ event) => void take(event.target.files[0])}
            />
          </label>
          ${preview && !busy
            ? html`<button class="quiet" type="button" onClick=${onRemoved}>Remove</button>`
            : html`<small>or drop it here: PNG, JPEG or WebP, up to 20 MB</small>`}
        </div>
      </div>
      ${problem && html`<${Alert}>${problem}<//>`}
    </div>`;
}

/**
 * A modal dialog. Escape and a click beside it close it; the browser keeps the focus inside.
 * @param {{title: string, onClose: () => void, children?: Children}} props
 */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return html`
    <dialog
      ref=${dialog}
      aria-label=${title}
      onClose=${onClose}
      onClick=${(/** @type {any} */ event) =>
        event.target === dialog.current && dialog.current?.close()}
    >
      <div class="inside">
        <header>
          <h2>${title}</h2>
          <button class="quiet" type="button" aria-label="Close" onClick=${() => dialog.current?.close()}>
            <svg class="cross" viewBox="0 0 24 24" aria-hidden="true"><path d="M6 6l12 12M18 6L6 18" /></svg>
          </button>
        </header>
        ${children}
      </div>
    </dialog>`;
}

/**
 * A button that asks once more before it acts.
 * @param {{label: string, question: string, act: () => Promise<unknown>}} props
 */
export function Confirmed({ label, question, act }) {
  const [asked, setAsked] = useState(false);
  const [busy, setBusy] = useState(false);
  if (!asked)
    return html`<button class="quiet danger" type="button" onClick=${() => setAsked(true)}>${label}</button>`;
  return html`
    <span class="confirm" role="group" aria-label=${question}>
      <span>${question}</span>
      <button
        class="danger"
        type="button"
        disabled=${busy}
        ref=${focus}
        onClick=${async () => {
          setBusy(true);
          await act();
          setBusy(false);
          setAsked(false);
        }}
      >
        ${label}
      </button>
      <button class="quiet" type="button" onClick=${() => setAsked(false)}>No</button>
    </span>`;
}

/**
 * A button that asks for the price, shows it, and orders for that price after another click. If the
 * price has changed meanwhile, nothing is ordered, and the new price is shown.
 * @param {{label: string, disabled?: boolean,
 *   ask: () => Promise<{credits: number, available: number, affordable: boolean, cached?: boolean}>,
 *   order: (expected: number) => Promise<unknown>}} props
 */
export function Priced({ label, disabled = false, ask, order }) {
  const [price, setPrice] = useState(/** @type {number | null} */ (null));
  const [cached, setCached] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const run = async (/** @type {() => Promise<unknown>} */ action) => {
    setBusy(true);
    setProblem("");
    try {
      await action();
    } catch (error) {
      const changed = changedPrice(error);
      if (changed !== null) setPrice(changed);
      setProblem(sentence(error));
    }
    setBusy(false);
  };
  const first = () =>
    run(async () => {
      const found = await ask();
      setCached(Boolean(found.cached));
      if (found.affordable) setPrice(found.credits);
      else setProblem(`This costs ${credits(found.credits)}. You have ${count(found.available)}.`);
    });
  const second = (/** @type {number} */ expected) =>
    run(async () => {
      await order(expected);
      setPrice(null);
    });
  return html`
    ${price === null
      ? html`<button class="quiet" type="button" disabled=${disabled || busy} onClick=${first}>${label}</button>`
      : html`<span class="confirm" role="group" aria-label=${label}>
          <button type="button" disabled=${disabled || busy} ref=${focus} onClick=${() => second(price)}>
            ${label} · ${credits(price)}
          </button>
          <button class="quiet" type="button" disabled=${busy} onClick=${() => setPrice(null)}>No</button>
          ${cached && html`<small>You have an identical video: you would get its file again.</small>`}
        </span>`}
    ${problem && html`<${Alert}>${problem}<//>`}`;
}

/** @param {HTMLElement | null} element */
const focus = (element) => element?.focus();

/**
 * A thumbnail, or what stands in its place.
 * @param {{job: {status: string, thumbnail_url: string | null, image_url?: string | null}}} props
 */
export const Thumbnail = ({ job }) =>
  job.thumbnail_url
    ? html`<img class="thumbnail" src=${job.thumbnail_url} alt="" loading="lazy" />`
    : html`<div class=${`thumbnail none ${runs(job) ? "making" : ""}`} aria-hidden="true">
        <svg viewBox="0 0 48 48"><rect x="5" y="9" width="38" height="30" rx="6" /><path d="M20 18v12l10-6z" /></svg>
      </div>`;
