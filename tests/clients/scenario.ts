// What an app does, with a client that openapi-typescript generated into schema.ts: credits, an
// estimate, an order, polls until the video is there, the download, the journal, and a replay.
// Arguments: one JSON object. Output: one JSON object with what was seen.
import { writeFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.ts";

type Given = {
  api: string;
  admin: string;
  token: string;
  user: string;
  model: string;
  prompt: string;
  key: string;
  file: string;
};
const given: Given = JSON.parse(process.argv[2] ?? "");

const client = (token: string) =>
  createClient<paths>({ baseUrl: given.api, headers: { Authorization: `Bearer ${token}` } });
const shop = client(given.admin);
const app = client(given.token);

function present<T>(data: T | undefined, error: unknown): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

const order: components["schemas"]["GenerationRequest"] = {
  model_id: given.model,
  prompt: given.prompt,
};
const params = { header: { "idempotency-key": given.key } };

const refused = await app.POST("/v1/videos", { params, body: order });
const refusal = refused.error;
const refusalCode = refusal && "code" in refusal ? refusal.code : "none";

const grant = await shop.POST("/v1/admin/grants", {
  body: { user_id: given.user, amount: 100, reference: given.key },
});
const granted = present(grant.data, grant.error);

const priced = await app.POST("/v1/videos/estimate", { body: order });
const estimate = present(priced.data, priced.error);

const accept = await app.POST("/v1/videos", { params, body: order });
const accepted = present(accept.data, accept.error);

async function ended(): Promise<components["schemas"]["Video"]> {
  for (;;) {
    const read = await app.GET("/v1/videos/{job_id}", {
      params: { path: { job_id: accepted.job_id } },
    });
    const video = present(read.data, read.error);
    if (["completed", "failed", "cancelled"].includes(video.status)) return video;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
const video = await ended();
if (video.video_url) {
  const file = await fetch(video.video_url);
  writeFileSync(given.file, Buffer.from(await file.arrayBuffer()));
}

const list = await app.GET("/v1/credits/entries");
const journal = present(list.data, list.error);

const again = await app.POST("/v1/videos", { params, body: order });
const replay = present(again.data, again.error);

console.log(
  JSON.stringify({
    refusal: [refused.response.status, refusalCode],
    granted: granted.available,
    estimate: estimate.credits,
    used: accepted.credits_used,
    job_id: accepted.job_id,
    status: video.status,
    created_at: video.created_at,
    kinds: journal.entries.map((entry) => entry.kind),
    replayed: replay.job_id,
    replay_header: again.response.headers.get("X-Idempotent-Replay"),
  }),
);
