// Audit: what operators did, who, when and why.
import { moment } from "../format.js";
import { html } from "../html.js";
import { Id, More, Shown, Table, usePages } from "./parts.js";

/** @typedef {import("../api.js").Schemas["AuditedAction"]} Action */

/** What was done, by its route. @type {Record<string, string>} */
const NAMES = {
  "POST /v1/admin/jobs/{job_id}/cancel": "Cancelled a job",
  "POST /v1/admin/jobs/{job_id}/settle": "Settled a job again",
  "POST /v1/admin/jobs/{job_id}/refetch": "Fetched a file again",
  "POST /v1/admin/grants": "Granted credits",
  "POST /v1/admin/clawbacks": "Took credits back",
  "POST /v1/admin/adjustments": "Corrected credits",
  "PUT /v1/admin/models/{model_id}": "Changed a model",
  "DELETE /v1/admin/models/{model_id}": "Deleted a model",
  "PUT /v1/admin/packs/{product_id}": "Changed a pack",
  "DELETE /v1/admin/packs/{product_id}": "Deleted a pack",
  "POST /v1/admin/purchases/{purchase_id}/apply": "Credited a purchase",
  "POST /v1/admin/purchases/{purchase_id}/dismiss": "Dismissed a purchase",
  "POST /v1/admin/webhooks": "Added a webhook",
  "PATCH /v1/admin/webhooks/{webhook_id}": "Changed a webhook",
  "DELETE /v1/admin/webhooks/{webhook_id}": "Deleted a webhook",
  "POST /v1/admin/webhooks/{webhook_id}/rotate": "Replaced a webhook's secret",
  "POST /v1/admin/webhooks/{webhook_id}/test": "Tested a webhook",
};

/** The thing in the path, or the user in the request. @param {{path: string, details: Record<string, any>}} props */
function About({ path, details }) {
  const [, , , page = "", id = ""] = path.split("/");
  if (details.user_id) return html`<${Id} id=${details.user_id} page="users" />`;
  return html`<${Id}
    id=${decodeURIComponent(id) || details.url || ""}
    page=${["jobs", "models", "webhooks"].includes(page) && id ? page : undefined}
  />`;
}

export function Audit() {
  const entries = usePages("/v1/admin/audit?limit=50", "actions");
  return html`
    <h1>Audit</h1>
    <${Shown} read=${entries}>
      ${(/** @type {Action[]} */ rows) => html`<${Table}
        label="Audit"
        heads=${["When", "Who", "What", "About", "Why", "State"]}
        empty="No operator has done anything yet."
        rows=${rows.map((one) => [
          moment(one.at),
          html`<${Id} id=${one.by} />`,
          NAMES[one.what] ?? html`<span class="id">${one.what}</span>`,
          html`<${About} path=${one.about} details=${one.details} />`,
          one.reason,
          one.state === "done" ? "done" : `${one.state} ${one.result ?? ""}`,
        ])}
      />`}
    <//>
    <${More} pages=${entries} />`;
}
