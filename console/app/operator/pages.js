// The operator's pages: their navigation, and the search for any id.
import { html, useEffect, useState } from "../html.js";
import { Audit } from "./audit.js";
import { Job } from "./job.js";
import { Jobs } from "./jobs.js";
import { Model, Models } from "./models.js";
import { Overview } from "./overview.js";
import { address } from "./parts.js";
import { Providers } from "./providers.js";
import { Purchases } from "./purchases.js";
import { User, Users } from "./users.js";
import { Webhook, Webhooks } from "./webhooks.js";

/** The pages: the path, the name, the component, and that of one thing. @type {[string, string, any, any?][]} */
const PAGES = [
  ["overview", "Overview", Overview],
  ["jobs", "Jobs", Jobs, Job],
  ["users", "Users", Users, User],
  ["models", "Models", Models, Model],
  ["purchases", "Purchases", Purchases],
  ["webhooks", "Webhooks", Webhooks, Webhook],
  ["providers", "Providers", Providers],
  ["audit", "Audit", Audit],
];

/** The page, the id and the query in the address: `#/operator/jobs/5f2c…`, `#/operator/jobs?q=5f2c…`. */
function place() {
  const [path = "", query = ""] = location.hash.split("?");
  const [, , page = "", id = ""] = path.split("/");
  return { page: page || "overview", id: decodeURIComponent(id), query };
}

export function Pages() {
  const at = place();
  const [path, name, List, One] = PAGES.find(([one]) => one === at.page) ?? PAGES[0] ?? ["", "", null];
  const [sought, setSought] = useState("");
  useEffect(() => {
    document.title = `${name} · Clipmint`;
    document.getElementById("main")?.focus();
    scrollTo(0, 0);
  }, [path, at.id]);
  useEffect(() => {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("operator.css", import.meta.url).href;
    document.head.append(style);
  }, []);
  const find = (/** @type {Event} */ event) => {
    event.preventDefault();
    const id = sought.trim();
    if (id) location.hash = `${address("jobs")}?q=${encodeURIComponent(id)}`;
    setSought("");
  };
  return html`
    <div class="operator">
      <div class="operator-bar">
        <nav aria-label="Operator pages">
          ${PAGES.map(
            ([one, label]) => html`<a href=${address(one)} aria-current=${one === path ? "page" : undefined}>${label}</a>`,
          )}
        </nav>
        <form role="search" onSubmit=${find}>
          <label class="unseen" for="sought">Find any id</label>
          <input
            id="sought"
            type="search"
            placeholder="Any id: job, task, user …"
            value=${sought}
            onInput=${(/** @type {any} */ event) => setSought(event.target.value)}
          />
        </form>
      </div>
      ${at.id && One ? html`<${One} key=${at.id} id=${at.id} />` : html`<${List} key=${path} query=${at.query} />`}
    </div>`;
}
