// Purchases: those that wait because their product or user is unknown, and the packs.
import { request } from "../api.js";
import { count, moment } from "../format.js";
import { html, useState } from "../html.js";
import { Confirmed } from "../parts.js";
import { Facts, Field, Form, Id, More, Section, Shown, Table, useAction, usePages, useRead } from "./parts.js";

/** @typedef {import("../api.js").Schemas["PurchaseAnswer"]} Purchase */
/** @typedef {import("../api.js").Schemas["OwnedPacks"]} OwnedPacks */

export function Purchases() {
  const purchases = usePages("/v1/admin/purchases", "purchases");
  const packs = useRead("/v1/admin/packs");
  return html`
    <h1>Purchases</h1>
    <${Section} title="Waiting">
      <${Shown} read=${purchases}>
        ${(/** @type {Purchase[]} */ rows) =>
          rows.length === 0
            ? html`<p class="none">No purchase waits. What users have bought is in their journals.</p>`
            : rows.map((one) => html`<${Waiting} key=${one.purchase_id} purchase=${one} reload=${purchases.load} />`)}
      <//>
      <${More} pages=${purchases} />
    <//>
    <${Section} title="Packs">
      <${Shown} read=${packs}>
        ${(/** @type {OwnedPacks} */ found) => html`<${Table}
          label="Packs"
          heads=${["Product", "Name", "#Credits", "Kind", "Ids in stores"]}
          empty="There is no pack yet."
          rows=${found.packs.map(({ product_id, pack }) => [
            html`<${Id} id=${product_id} />`,
            pack.name,
            count(pack.credits),
            `${pack.kind}${pack.expires_after_days ? `, ${pack.expires_after_days} days` : ""}`,
            Object.entries(pack.store_ids ?? {}).map(([store, ids]) => `${store}: ${ids.join(", ")}`).join("; "),
          ])}
        />`}
      <//>
    <//>`;
}

/** @param {{purchase: Purchase, reload: () => Promise<void>}} props */
function Waiting({ purchase, reload }) {
  const [user, setUser] = useState(purchase.user_id ?? "");
  const [product, setProduct] = useState(purchase.product_id ?? "");
  const action = useAction();
  const id = purchase.purchase_id;
  const path = `/v1/admin/purchases/${encodeURIComponent(id)}`;
  const apply = () =>
    action.run(async () => {
      const body = { user_id: user.trim() || null, product_id: product.trim() || null };
      await request("POST", `${path}/apply`, { body });
      await reload();
    });
  return html`<article class="item">
    <${Facts}
      facts=${[
        ["Store", purchase.store],
        ["Why it waits", purchase.reason],
        ["Reported", moment(purchase.received_at)],
        ["Ends", moment(purchase.expires_at)],
        ["Payment", html`<${Id} id=${purchase.payment_id} />`],
      ]}
    />
    <${Form} submit=${apply} label=${`Purchase ${id}`}>
      <${Field} id=${`user-${id}`} label="User" value=${user} set=${setUser} required />
      <${Field} id=${`product-${id}`} label="Product" value=${product} set=${setProduct} required />
      <div class="buttons">
        <button type="submit" disabled=${action.busy}>Credit it</button>
        <${Confirmed}
          label="Dismiss"
          question="It is not credited. Dismiss it?"
          act=${() =>
            action.run(async () => {
              await request("POST", `${path}/dismiss`);
              await reload();
            })}
        />
      </div>
    <//>
    ${action.result}
  </article>`;
}
