// Create: choose a model, describe the video, see the price, and watch what runs.
import { changedPrice, order as send, request, sentence } from "./api.js";
import { count, credits, priceText } from "./format.js";
import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { Alert, Empty, Failed, ImageField, Loading, Outcome, Progress, Status, Thumbnail } from "./parts.js";
import { declared, initial, Settings } from "./settings.js";
import { runs, useVideos } from "./videos.js";

/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./api.js").Video} Video */
/**
 * An image to begin or end with. One that was uploaded here has a project.
 * @typedef {{project_id?: string, image_url: string, preview: string}} Uploaded
 */

const REPEAT = "repeat";
const PRICE_AFTER_MS = 250;

/** Opens the form with the model, the prompt, the settings and the first image of a job. @param {Video} job */
export function repeat(job) {
  const { model_id, prompt, settings, image_url } = job;
  sessionStorage.setItem(REPEAT, JSON.stringify({ model_id, prompt, settings, image_url }));
  location.hash = "#/create";
}

/** @returns {{model_id?: string, prompt?: string, settings?: Record<string, unknown>, image_url?: string | null}} */
function repeated() {
  const stored = sessionStorage.getItem(REPEAT);
  sessionStorage.removeItem(REPEAT);
  return stored ? JSON.parse(stored) : {};
}

/** @param {{balance: {available: number} | null, refreshBalance: () => void}} props */
export function Create({ balance, refreshBalance }) {
  const [models, setModels] = useState(/** @type {Model[] | null} */ (null));
  const [problem, setProblem] = useState("");
  const feed = useVideos();
  const load = async () => {
    setProblem("");
    try {
      const catalog = await request("GET", "/v1/models");
      setModels(catalog.models.filter((/** @type {Model} */ one) => one.produces === "video"));
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  useEffect(() => void load(), []);
  const running = feed.videos.filter(runs).length;
  useEffect(() => refreshBalance(), [running]);

  return html`
    <h1>Create a video</h1>
    <div class="columns">
      <section aria-label="New video">
        ${problem
          ? html`<${Failed} problem=${problem} retry=${load} />`
          : models === null
            ? html`<${Loading} number=${4} kind="cards" />`
            : models.length === 0
              ? html`<${Empty} title="No model is on offer">Come back later.<//>`
              : html`<${Form} models=${models} balance=${balance} ordered=${feed.refresh} />`}
      </section>
      <${Recent} feed=${feed} />
    </div>`;
}

/** @param {{models: Model[], balance: {available: number} | null, ordered: () => Promise<void>}} props */
function Form({ models, balance, ordered }) {
  const start = useMemo(repeated, []);
  const first =
    models.find((one) => one.model_id === start.model_id) ??
    models.find((one) => one.image !== "required") ??
    models[0];
  const [modelId, setModelId] = useState(first?.model_id ?? "");
  const [prompt, setPrompt] = useState(start.prompt ?? "");
  const [values, setValues] = useState(() => (first ? kept(first, start.settings ?? {}) : {}));
  const [image, setImage] = useState(
    /** @type {Uploaded | null} */ (
      start.image_url ? { image_url: start.image_url, preview: start.image_url } : null
    ),
  );
  const [last, setLast] = useState(/** @type {Uploaded | null} */ (null));
  const [uploading, setUploading] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [news, setNews] = useState("");
  const cards = useRef(/** @type {HTMLElement | null} */ (null));
  const model = /** @type {Model} */ (models.find((one) => one.model_id === modelId));

  const choose = (/** @type {Model} */ one) => {
    setModelId(one.model_id);
    setValues(kept(one, values));
  };
  const order = {
    model_id: model.model_id,
    prompt,
    settings: values,
    ...(image && model.image !== "none" ? from(image) : {}),
    ...(last && model.last_image !== "none" ? { last_image_url: last.image_url } : {}),
  };
  const missing =
    (model.image === "required" && !image) || (model.last_image === "required" && !last);
  const price = useEstimate(missing ? null : { ...order, prompt: "x" }, balance?.available);
  const { estimate } = price;

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!prompt.trim()) return setProblem("Describe the video first.");
    if (missing) return setProblem("This model needs an image.");
    if (!estimate) {
      price.ask();
      return setProblem("The price is not known yet. Order when it is shown.");
    }
    setBusy(true);
    setProblem("");
    setNews("");
    try {
      await send("/v1/videos", order, estimate.credits);
      setNews("The video was ordered. You can order another one meanwhile.");
      await ordered().catch(() => {});
    } catch (error) {
      const changed = changedPrice(error);
      if (changed !== null) price.change(changed);
      setProblem(sentence(error));
    }
    setBusy(false);
  };
  // On a phone the cards are one row, which begins with the chosen one.
  useEffect(() => {
    const row = cards.current;
    const chosen = /** @type {HTMLElement | null | undefined} */ (row?.querySelector(".card:has(:checked)"));
    if (row && chosen) row.scrollLeft = chosen.offsetLeft - row.offsetLeft - 18;
  }, []);

  return html`
    <form onSubmit=${submit}>
      <div class="field">
        <label for="prompt">Describe the video</label>
        <textarea
          id="prompt"
          rows="4"
          value=${prompt}
          maxLength=${model.max_prompt_units}
          placeholder="A lighthouse at dawn; the camera rises slowly over the sea"
          onInput=${(/** @type {any} */ event) => setPrompt(event.target.value)}
        ></textarea>
        <small class="right">${count(prompt.length)} of ${count(model.max_prompt_units)}</small>
      </div>
      <fieldset class="plain">
        <legend>Model</legend>
        <div class="cards" ref=${cards}>
          ${models.map(
            (one) => html`<label class="card" key=${one.model_id}>
              <input
                type="radio"
                name="model"
                checked=${one.model_id === modelId}
                onChange=${() => choose(one)}
              />
              <span class="name">${one.name}</span>
              <span class="about">${one.description}</span>
              <span class="tags">
                ${priceText(one.price) && html`<span>${priceText(one.price)}</span>`}
                ${one.image === "required" && html`<span>needs an image</span>`}
                ${one.image === "optional" && html`<span>takes an image</span>`}
              </span>
            </label>`,
          )}
        </div>
      </fieldset>

      ${model.image !== "none" &&
      html`<${ImageField}
        label="First image"
        required=${model.image === "required"}
        preview=${image?.preview ?? ""}
        onUploaded=${setImage}
        onRemoved=${() => setImage(null)}
        onBusy=${setUploading}
      />`}
      ${model.last_image !== "none" &&
      html`<${ImageField}
        label="Last image"
        required=${model.last_image === "required"}
        preview=${last?.preview ?? ""}
        onUploaded=${setLast}
        onRemoved=${() => setLast(null)}
        onBusy=${setUploading}
      />`}
      ${Object.keys(model.presets).length > 0 &&
      html`<div class="field" role="group" aria-label="Presets">
        <span class="label">Presets</span>
        <div class="buttons">
          ${Object.entries(model.presets).map(
            ([name, preset]) => html`<button
              class="quiet"
              type="button"
              onClick=${() => setValues(kept(model, { ...values, ...preset }))}
            >
              ${name}
            </button>`,
          )}
        </div>
      </div>`}
      <${Settings} model=${model} values=${values} onChange=${setValues} />

      <div class="order">
        ${problem && html`<${Alert}>${problem}<//>`}
        <p class="news" role="status">${news}</p>
        <div class="price" aria-live="polite">
          <strong>
            ${estimate
              ? credits(estimate.credits)
              : price.failed
                ? "Price not known"
                : (missing && priceText(model.price)) || "…"}
          </strong>
          <small>
            ${price.failed ||
            (estimate && !estimate.affordable
              ? `You have ${credits(estimate.available)}: not enough.`
              : "Charged only if the video is made.")}
          </small>
        </div>
        <button
          type="submit"
          disabled=${busy || uploading || price.pending || estimate?.affordable === false}
        >
          ${busy ? "Ordering …" : "Create"}
        </button>
      </div>
    </form>`;
}

/** @param {Uploaded} image */
const from = (image) =>
  image.project_id ? { project_id: image.project_id } : { image_url: image.image_url };

/**
 * The values that a model knows and accepts, and its defaults for the others.
 * @param {Model} model
 * @param {Record<string, unknown>} values
 */
function kept(model, values) {
  const chosen = declared(model)
    .filter((one) => {
      const value = values[one.name];
      if (value === undefined || value === null) return false;
      return one.enum ? one.enum.includes(/** @type {any} */ (value)) : true;
    })
    .map((one) => [one.name, values[one.name]]);
  return { ...initial(model), ...Object.fromEntries(chosen) };
}

/** @typedef {{credits: number, available: number, affordable: boolean}} Estimate */

/**
 * The price of an order, asked for when it changes. The prompt does not change it. `failed` is why
 * there is none. `ask` asks again, and `change` replaces the price by another one in credits.
 * @param {Record<string, unknown> | null} order null while it is not complete
 * @param {number | undefined} available
 */
function useEstimate(order, available) {
  const [asked, setAsked] = useState(0);
  const text = JSON.stringify(order);
  const none = { text, estimate: /** @type {Estimate | null} */ (null), failed: "" };
  const [found, setFound] = useState(none);
  useEffect(() => {
    if (!order) return undefined;
    const leaving = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const options = { body: order, signal: leaving.signal };
        const estimate = await request("POST", "/v1/videos/estimate", options);
        setFound({ text, estimate, failed: "" });
      } catch (error) {
        if (!leaving.signal.aborted) setFound({ text, estimate: null, failed: sentence(error) });
      }
    }, PRICE_AFTER_MS);
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [text, available, asked]);
  // A price of other settings is not shown.
  const { estimate, failed } = found.text === text ? found : none;
  return {
    estimate,
    failed,
    pending: order !== null && !estimate && !failed,
    ask: () => {
      setFound(none);
      setAsked(asked + 1);
    },
    change: (/** @type {number} */ now) =>
      estimate &&
      setFound({
        text,
        estimate: { ...estimate, credits: now, affordable: now <= estimate.available },
        failed: "",
      }),
  };
}

const RECENT = 6;

/** @param {{feed: ReturnType<typeof useVideos>}} props */
function Recent({ feed }) {
  const shown = feed.videos.slice(0, Math.max(RECENT, feed.videos.filter(runs).length));
  return html`
    <section class="recent" aria-labelledby="recent">
      <h2 id="recent">Your newest videos</h2>
      ${feed.state === "failed" && html`<${Failed} problem=${feed.problem} retry=${feed.load} />`}
      ${feed.state === "loading" && html`<${Loading} number=${2} kind="rows" />`}
      ${feed.state === "ready" &&
      shown.length === 0 &&
      html`<${Empty} title="Nothing here yet">Your first video appears here as soon as you order it.<//>`}
      <ul class="rows">
        ${shown.map(
          (job) => html`<li key=${job.job_id}>
            <a class="row" href=${`#/library/${job.job_id}`}>
              <${Thumbnail} job=${job} />
              <div>
                <p class="prompt">${job.prompt}</p>
                <p class="about"><${Status} status=${job.status} /> ${job.model_name}</p>
                ${runs(job) && html`<${Progress} job=${job} />`}
                <${Outcome} job=${job} />
              </div>
            </a>
          </li>`,
        )}
      </ul>
    </section>`;
}
