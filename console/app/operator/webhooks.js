// Webhooks: the owner's endpoints for events, and the deliveries to each.
import { request } from "../api.js";
import { count, moment } from "../format.js";
import { html, useState } from "../html.js";
import { Confirmed, Status } from "../parts.js";
import {
  address, Facts, Field, Form, Id, More, Section, Shown, Table, useAction, usePages, useRead,
} from "./parts.js";

/** @typedef {import("../api.js").Schemas["Webhook"]} Endpoint */
/** @typedef {import("../api.js").Schemas["WebhookList"]} EndpointList */
/** @typedef {import("../api.js").Schemas["WebhookDelivery"]} Delivery */

/** @type {Record<string, string>} */
const DISABLED = { owner: "switched off", gone: "it answered 410", failing: "it failed for five days" };

/** @param {Endpoint} one */
const state = (one) =>
  one.enabled
    ? one.failing_since
      ? `failing since ${moment(one.failing_since)}`
      : "on"
    : `off: ${DISABLED[one.disabled_reason ?? ""] ?? one.disabled_reason ?? ""}`;

/** A secret, which is shown once. @param {{secret: string}} props */
const Secret = ({ secret }) =>
  secret &&
  html`<div class="news" role="status">
    <p>Its secret, which is not shown again:</p>
    <code class="id">${secret}</code>
  </div>`;

export function Webhooks() {
  const read = useRead("/v1/admin/webhooks");
  const [url, setUrl] = useState("");
  const [description, setDescription] = useState("");
  const [secret, setSecret] = useState("");
  const action = useAction();
  const add = () =>
    action.run(async () => {
      const body = { url: url.trim(), ...(description.trim() ? { description: description.trim() } : {}) };
      const made = await request("POST", "/v1/admin/webhooks", { body });
      setSecret(made.secret);
      setUrl("");
      setDescription("");
      await read.load();
    });
  return html`
    <h1>Webhooks</h1>
    <${Shown} read=${read}>
      ${(/** @type {EndpointList} */ { webhooks }) => html`<${Table}
        label="Webhooks"
        heads=${["URL", "Events", "State", "Added"]}
        empty="No endpoint yet. Your systems learn of nothing until they ask."
        rows=${webhooks.map((one) => [
          html`<a class="id" href=${address("webhooks", one.webhook_id)}>${one.url}</a> <small>${one.description}</small>`,
          one.types.join(", ") || "all",
          html`<span class=${`status ${one.enabled && !one.failing_since ? "completed" : "failed"}`}>${state(one)}</span>`,
          moment(one.created_at),
        ])}
      />`}
    <//>
    <${Section} title="Add a webhook">
      <${Form} submit=${add} label="Add a webhook">
        <${Field} id="url" label="URL" value=${url} set=${setUrl} placeholder="https://…" required wide />
        <${Field} id="about" label="Description" value=${description} set=${setDescription} wide />
        <div class="buttons"><button type="submit" disabled=${action.busy}>Add</button></div>
      <//>
      ${action.result}
      <${Secret} secret=${secret} />
    <//>`;
}

/** @param {{id: string}} props */
export function Webhook({ id }) {
  const path = `/v1/admin/webhooks/${encodeURIComponent(id)}`;
  const read = useRead(path);
  const deliveries = usePages(`${path}/deliveries?limit=25`, "deliveries");
  const [secret, setSecret] = useState("");
  const action = useAction();
  const test = () =>
    action.run(async () => {
      await request("POST", `${path}/test`);
      await deliveries.load();
      return "A test was sent. The deliveries show its result.";
    });
  const rotate = () =>
    action.run(async () => {
      const made = await request("POST", `${path}/rotate`);
      setSecret(made.secret);
      return `The secret before signs until ${moment(made.previous_valid_until)}.`;
    });
  const enable = (/** @type {boolean} */ enabled) =>
    action.run(async () => {
      await request("PATCH", path, { body: { enabled } });
      await read.load();
    });
  const remove = () =>
    action.run(async () => {
      await request("DELETE", path);
      location.hash = address("webhooks");
    });
  const again = (/** @type {Delivery} */ one) =>
    action.run(async () => {
      await request("POST", `${path}/deliveries/${encodeURIComponent(one.delivery_id)}/redeliver`);
      await deliveries.load();
      return "It is delivered again.";
    });
  return html`
    <p class="back"><a href=${address("webhooks")}>All webhooks</a></p>
    <h1>Webhook</h1>
    <${Shown} read=${read}>
      ${(/** @type {Endpoint} */ one) => html`<${Section} title="Endpoint">
        <${Facts}
          facts=${[
            ["URL", html`<span class="id">${one.url}</span>`],
            ["Description", one.description],
            ["Events", one.types.join(", ") || "all"],
            ["State", state(one)],
            ["Added", moment(one.created_at)],
          ]}
        />
        <div class="buttons">
          <button type="button" disabled=${action.busy} onClick=${test}>Send a test</button>
          <button class="quiet" type="button" disabled=${action.busy} onClick=${() => enable(!one.enabled)}>
            ${one.enabled ? "Switch off" : "Switch on"}
          </button>
          <${Confirmed} label="Replace the secret" question="The one before signs for one more day. Replace it?" act=${rotate} />
          <${Confirmed} label="Delete" question="What is queued is dropped. Delete it?" act=${remove} />
        </div>
        ${action.result}
        <${Secret} secret=${secret} />
      <//>`}
    <//>
    <${Section} title="Deliveries">
      <${Shown} read=${deliveries}>
        ${(/** @type {Delivery[]} */ rows) => html`<${Table}
          label="Deliveries"
          heads=${["Event", "Type", "State", "Attempts", ""]}
          empty="Nothing was delivered in the last 30 days."
          rows=${rows.map((one) => [
            html`${moment(one.created_at)} <${Id} id=${one.event_id} />`,
            one.type,
            html`<${Status} status=${one.status} />`,
            html`<ul>
              ${one.attempts.map(
                (each) => html`<li>${moment(each.at)}: ${each.status ?? each.reason}, ${count(each.milliseconds)} ms</li>`,
              )}
            </ul>`,
            html`<button class="quiet small" type="button" disabled=${action.busy} onClick=${() => again(one)}>
              Deliver again<span class="unseen"> ${one.type} of ${moment(one.created_at)}</span>
            </button>`,
          ])}
        />`}
      <//>
      <${More} pages=${deliveries} />
    <//>`;
}
