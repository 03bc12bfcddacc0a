// Models: all entries of the catalog; one entry with a form, its check, and its earlier versions.
import { request } from "../api.js";
import { count, credits, moment, priceText, settingValue } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { Confirmed } from "../parts.js";
import { address, Field, Form, Id, Section, Shown, Table, useAction, useRead } from "./parts.js";

/** @typedef {import("../api.js").Schemas["OwnedModels"]} OwnedModels */
/** @typedef {import("../api.js").Schemas["OwnedModel"]} OwnedModel */
/** @typedef {import("../api.js").Schemas["CheckedModel"]} Checked */

export function Models() {
  const read = useRead("/v1/admin/models");
  const [id, setId] = useState("");
  return html`
    <h1>Models</h1>
    <${Shown} read=${read}>
      ${(/** @type {OwnedModels} */ { models }) => html`<${Table}
        label="Models"
        heads=${["Name", "Id", "Makes", "Price", "Providers", "On offer"]}
        empty="There is no model yet."
        rows=${models.map(({ model_id, offered, model }) => [
          html`<a href=${address("models", model_id)}>${model.name}</a>`,
          html`<${Id} id=${model_id} />`,
          model.produces ?? "video",
          priceText(model.price) || "by its rates",
          model.routes.map((one) => one.provider).join(", "),
          offered ? html`<span class="status completed">yes</span>` : html`<span class="status">no</span>`,
        ])}
      />`}
    <//>
    <${Form} submit=${() => id.trim() && (location.hash = address("models", id.trim()))} label="New model">
      <${Field} id="new-model" label="Id of a new model" value=${id} set=${setId} placeholder="lower case, such as my-model-1" required />
      <div class="buttons"><button class="quiet" type="submit">Write a new model</button></div>
    <//>`;
}

/** @param {string} id */
const BLANK = (id) => ({
  model_id: id,
  name: id,
  available: false,
  price: { kind: "fixed", credits: 10 },
  routes: [{ provider: "fal", endpoint: "owner/model" }],
});

/** @param {any} value */
const written = (value) => JSON.stringify(value, null, 2);

/** @param {{id: string}} props */
export function Model({ id }) {
  const [owned, setOwned] = useState(/** @type {OwnedModel | null} */ (null));
  const [text, setText] = useState("");
  const [checked, setChecked] = useState(/** @type {{text: string, found: Checked} | null} */ (null));
  const action = useAction();
  const path = `/v1/admin/models/${encodeURIComponent(id)}`;
  const read = async () => {
    try {
      const found = await request("GET", path);
      setOwned(found);
      setText(written(found.model));
    } catch (/** @type {any} */ error) {
      if (error.status !== 404) throw error;
      setOwned(null);
      setText(written(BLANK(id)));
    }
  };
  useEffect(() => void action.run(read), []);
  /** @type {any} */
  let draft = null;
  try {
    draft = JSON.parse(text);
  } catch {}
  const valid = draft !== null && typeof draft === "object";
  const set = (/** @type {object} */ changes) => setText(written({ ...draft, ...changes }));
  const check = () =>
    action.run(async () => {
      if (!valid) return "This is not valid JSON yet.";
      const found = await request("POST", `${path}/check`, { body: draft });
      setChecked({ text, found });
      return found.problems.length ? "" : "The check found nothing wrong.";
    });
  const save = () =>
    action.run(async () => {
      await request("PUT", path, { body: draft });
      await read();
      return "Saved. Users have it within a minute.";
    });
  const fresh = checked?.text === text ? checked.found : null;
  const price = draft?.price;
  const amount = price?.kind === "fixed" ? "credits" : price?.kind === "per_second" ? "credits_per_second" : "";
  return html`
    <p class="back"><a href=${address("models")}>All models</a></p>
    <h1>${owned ? owned.model.name : "New model"} <span class="id">${id}</span></h1>
    ${action.result}
    ${text &&
    html`<div class="halves">
      <${Section} title="Entry">
        ${valid &&
        html`<${Form} submit=${check} label="Model">
          <${Field} id="name" label="Name" value=${draft.name ?? ""} set=${(/** @type {string} */ name) => set({ name })} />
          ${amount &&
          html`<${Field}
            id="price"
            label=${amount === "credits" ? "Price, in credits" : "Price, in credits per second"}
            type="number"
            value=${price[amount]}
            set=${(/** @type {string} */ value) => set({ price: { ...price, [amount]: Number(value) } })}
          />`}
          <${Field}
            id="description"
            label="Description"
            value=${draft.description ?? ""}
            set=${(/** @type {string} */ description) => set({ description })}
            wide
          />
          <label class="switch wide">
            <input
              type="checkbox"
              checked=${draft.available ?? true}
              onChange=${(/** @type {any} */ event) => set({ available: event.target.checked })}
            />
            Users can order it
          </label>
        <//>`}
        <div class="field">
          <label for="json">All of it, as JSON</label>
          <textarea
            id="json"
            class="code"
            rows="18"
            spellcheck=${false}
            aria-invalid=${!valid}
            value=${text}
            onInput=${(/** @type {any} */ event) => setText(event.target.value)}
          ></textarea>
        </div>
        <div class="buttons">
          <button type="button" disabled=${action.busy} onClick=${check}>Check</button>
          <button class="quiet" type="button" disabled=${action.busy || !fresh || fresh.problems.length > 0} onClick=${save}>
            Save
          </button>
          ${owned &&
          html`<${Confirmed}
            label="Delete"
            question="Users cannot order it any more. Delete it?"
            act=${() =>
              action.run(async () => {
                await request("DELETE", path);
                location.hash = address("models");
              })}
          />`}
          ${!fresh && html`<small>It can be saved after a check without problems.</small>`}
        </div>
      <//>
      <${Section} title="Check">
        ${fresh ? html`<${Check} found=${fresh} />` : html`<p class="none">Nothing is sent to a provider by a check.</p>`}
      <//>
    </div>`}
    ${owned &&
    html`<${Section} title="Versions">
      <${Table}
        label="Versions"
        heads=${["#Version", "When", "By", ""]}
        empty=""
        rows=${[owned, ...owned.history].map((one, index) => [
          count(one.version),
          moment(one.changed_at),
          one.changed_by ?? "a deployment",
          index === 0
            ? "now"
            : html`<button class="quiet small" type="button" onClick=${() => setText(written(one.model))}>
                Write it into the form
              </button>`,
        ])}
      />
    <//>`}`;
}

/** @param {{found: Checked}} props */
const Check = ({ found }) => html`
  ${found.problems.length > 0 &&
  html`<ul class="alert" role="alert">${found.problems.map((one) => html`<li>${one}</li>`)}</ul>`}
  ${found.orders.map(
    (order) => html`<details>
      <summary>
        ${order.name} <span>${credits(order.credits)}</span>
      </summary>
      <p class="about">
        ${Object.entries(order.settings)
          .filter(([, value]) => value !== null)
          .map(([name, value]) => settingValue(name, value))
          .join(" · ")}
      </p>
      ${order.requests.map(
        (one) => html`<p class="about">${one.provider} ${one.endpoint} ${one.problem ?? ""}</p>
          ${one.body && html`<pre tabindex="0">${written(one.body)}</pre>`}`,
      )}
    </details>`,
  )}`;
