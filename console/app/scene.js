// One scene of a storyboard: its images, prompts and model, its video, and its orders.
import { order, request } from "./api.js";
import { charged, failure } from "./format.js";
import { html, useEffect, useState } from "./html.js";
import { Confirmed, ImageField, Priced, Progress, Status } from "./parts.js";
import { runs } from "./videos.js";

/** @typedef {import("./api.js").Scene} Scene */
/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./api.js").Schemas["Catalog"]} Catalog */
/** @typedef {"frames" | "image"} Way */

/** @type {[Way, string][]} */
const WAYS = [
  ["frames", "Two images"],
  ["image", "From a prompt"],
];

/** Whether a scene can become a clip between two images. @param {Scene} scene */
export const betweenImages = (scene) =>
  Boolean(scene.visual_prompt && scene.first_frame && scene.last_frame);

/** Whether a scene can become a video that begins with one image. @param {Scene} scene */
const fromImage = (scene) => Boolean(scene.visual_prompt && (scene.image_url || scene.image_prompt));

/**
 * @param {{scene: Scene, number: number, catalog: Catalog | null, disabled: boolean,
 *   change: (changes: object) => Promise<boolean>, uploading: (busy: boolean) => void,
 *   remove: () => Promise<boolean>,
 *   ordered: () => Promise<void>}} props
 */
export function SceneCard({ scene, number, catalog, disabled, change, uploading, remove, ordered }) {
  const [prompt, setPrompt] = useState(scene.visual_prompt ?? "");
  const [imagePrompt, setImagePrompt] = useState(scene.image_prompt ?? "");
  const [duration, setDuration] = useState(String(scene.duration));
  const [way, setWay] = useState(
    /** @type {Way} */ (!scene.first_frame && !scene.last_frame && fromImage(scene) ? "image" : "frames"),
  );
  const [imageModel, setImageModel] = useState("");
  const [newImage, setNewImage] = useState(false);
  const rendering = Boolean(scene.job_id) && runs(scene);
  const id = (/** @type {string} */ name) => `${name}-${scene.scene_id}`;
  const ended = scene.job_id && (scene.status === "failed" || scene.status === "cancelled");
  const complete = way === "frames" ? betweenImages(scene) : fromImage(scene);

  const body =
    way === "frames"
      ? { scene_ids: [scene.scene_id], force: true }
      : {
          ...(scene.model_id ? { model_id: scene.model_id } : {}),
          ...(imageModel ? { image_model_id: imageModel } : {}),
          ...(newImage ? { new_image: true } : {}),
        };
  const path =
    way === "frames" ? `/v1/projects/${scene.project_id}/clips` : `/v1/scenes/${scene.scene_id}/video`;
  const videos = (catalog?.models ?? []).filter((one) => one.produces === "video" && suits(one, way));
  const images = (catalog?.models ?? []).filter((one) => one.produces === "image");

  return html`
    <li class="scene" aria-label=${`Scene ${number}`}>
      <header>
        <h2>Scene ${number}</h2>
        ${scene.job_id && html`<${Status} status=${scene.status} />`}
      </header>
      <fieldset class="field">
        <legend class="unseen">What the video is made from</legend>
        <div class="choices">
          ${WAYS.map(
            ([value, label]) => html`<label>
              <input
                type="radio"
                name=${id("way")}
                checked=${value === way}
                onChange=${() => setWay(value)}
              /><span>${label}</span>
            </label>`,
          )}
        </div>
      </fieldset>
      ${way === "frames"
        ? html`<div class="frames">
            <${ImageField}
              label="First image"
              required=${true}
              preview=${scene.first_frame ?? ""}
              onUploaded=${(/** @type {any} */ made) => change({ first_frame: made.image_url })}
              onRemoved=${() => change({ first_frame: null })}
              onBusy=${uploading}
            />
            <${ImageField}
              label="Last image"
              required=${true}
              preview=${scene.last_frame ?? ""}
              onUploaded=${(/** @type {any} */ made) => change({ last_frame: made.image_url })}
              onRemoved=${() => change({ last_frame: null })}
              onBusy=${uploading}
            />
          </div>`
        : html`<div class="field">
              <label for=${id("image")}>What the image shows</label>
              <textarea
                id=${id("image")}
                rows="2"
                maxlength="5000"
                disabled=${rendering}
                value=${imagePrompt}
                onInput=${(/** @type {any} */ event) => setImagePrompt(event.target.value)}
                onChange=${() => change({ image_prompt: imagePrompt.trim() || null })}
              ></textarea>
            </div>
            ${scene.image_url &&
            html`<div class="field made">
              <img src=${scene.image_url} alt=${`Image of scene ${number}`} />
              <label class="switch">
                <input
                  type="checkbox"
                  checked=${newImage}
                  disabled=${rendering || !scene.image_prompt}
                  onChange=${(/** @type {any} */ event) => setNewImage(event.target.checked)}
                />
                Make a new image
              </label>
            </div>`}
            ${(!scene.image_url || newImage) &&
            html`<${ModelChoice}
              id=${id("image-model")}
              label="Model of the image"
              models=${images}
              standard=${catalog?.defaults.scene_image_model}
              value=${imageModel}
              disabled=${rendering}
              choose=${setImageModel}
            />`}`}
      <div class="words">
        <div class="field">
          <label for=${id("prompt")}>What happens</label>
          <textarea
            id=${id("prompt")}
            rows="3"
            maxlength="5000"
            disabled=${rendering}
            value=${prompt}
            onInput=${(/** @type {any} */ event) => setPrompt(event.target.value)}
            onChange=${() => change({ visual_prompt: prompt.trim() || null })}
          ></textarea>
        </div>
        <div class="field short">
          <label for=${id("seconds")}>Seconds</label>
          <input
            id=${id("seconds")}
            type="number"
            min="1"
            max="600"
            disabled=${rendering}
            value=${duration}
            onInput=${(/** @type {any} */ event) => setDuration(event.target.value)}
            onChange=${() => Number(duration) >= 1 && change({ duration: Number(duration) })}
          />
        </div>
      </div>
      <${ModelChoice}
        id=${id("model")}
        label="Model of the video"
        models=${videos}
        standard=${way === "frames" ? catalog?.defaults.clip_model : catalog?.defaults.scene_video_model}
        value=${scene.model_id ?? ""}
        disabled=${rendering}
        choose=${(/** @type {string} */ chosen) => change({ model_id: chosen || null })}
      />
      ${scene.video_url &&
      html`<video
        controls
        playsinline
        preload="metadata"
        src=${scene.video_url}
        poster=${scene.thumbnail_url ?? ""}
        aria-label=${`Clip of scene ${number}`}
      ></video>`}
      ${rendering && html`<${Progress} job=${scene} />`}
      ${ended &&
      html`<p class="outcome">
        ${scene.status === "failed" ? failure(scene.error_code) : "You cancelled it."}${" "}
        <${Charge} key=${scene.job_id} jobId=${scene.job_id} />
      </p>`}
      <div class="buttons">
        <${Priced}
          key=${JSON.stringify([body, scene.duration, scene.model_id])}
          label=${scene.video_url || ended ? "Render again" : "Render"}
          disabled=${disabled || rendering || !complete}
          ask=${() => request("POST", `${path}/estimate`, { body })}
          order=${async (/** @type {number} */ expected) => {
            await order(path, body, expected);
            setNewImage(false);
            await ordered();
          }}
        />
        <${Confirmed} label="Delete scene" question="Delete this scene?" act=${remove} />
      </div>
    </li>`;
}

/** Whether a model can make a scene's video in this way. @param {Model} model @param {Way} way */
const suits = (model, way) =>
  model.image !== "none" && (way === "frames" ? model.last_image !== "none" : model.last_image !== "required");

/**
 * @param {{id: string, label: string, models: Model[], standard: string | undefined, value: string,
 *   disabled: boolean, choose: (modelId: string) => unknown}} props
 */
function ModelChoice({ id, label, models, standard, value, disabled, choose }) {
  const known = models.some((one) => one.model_id === value);
  const usual = models.find((one) => one.model_id === standard)?.name;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <select
      id=${id}
      value=${value}
      disabled=${disabled}
      onChange=${(/** @type {any} */ event) => choose(event.target.value)}
    >
      <option value="">${usual ? `Default: ${usual}` : "Default"}</option>
      ${value && !known && html`<option value=${value}>${value}</option>`}
      ${models.map((one) => html`<option value=${one.model_id}>${one.name}</option>`)}
    </select>
  </div>`;
}

/** What a job without a video has cost, which a scene does not contain. @param {{jobId: string}} props */
function Charge({ jobId }) {
  const [text, setText] = useState("");
  useEffect(() => {
    request("GET", `/v1/videos/${jobId}`).then(
      (job) => setText(charged(job)),
      () => {},
    );
  }, []);
  return html`<strong>${text}</strong>`;
}
