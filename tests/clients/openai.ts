// The official openai package for Node makes, downloads, lists and deletes a video. Its one argument
// is JSON: base_url, api_key, model, prompt, file.

import { writeFileSync } from "node:fs";
import OpenAI from "openai";

const given = JSON.parse(process.argv[2]!);
// Everything but address and key is as the package comes.
const client = new OpenAI({ baseURL: given.base_url, apiKey: given.api_key });

const created = await client.videos.create({ model: given.model, prompt: given.prompt });
let video = created;
while (video.status === "queued" || video.status === "in_progress") {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  video = await client.videos.retrieve(created.id);
}
const content = await client.videos.downloadContent(video.id);
writeFileSync(given.file, Buffer.from(await content.arrayBuffer()));
const ids: string[] = [];
for await (const listed of client.videos.list({ limit: 1 })) ids.push(listed.id);
const deleted = await client.videos.delete(video.id);
let refusal: unknown = null;
try {
  await client.videos.create({ model: "no-such", prompt: given.prompt });
} catch (error) {
  if (error instanceof OpenAI.NotFoundError) refusal = [error.status, error.code, error.param];
}
console.log(JSON.stringify({ id: video.id, status: video.status, ids, deleted, refusal }));
