// Requests to the public API, with the retries that it asks for.
import { apiUrl, renew, token } from "./session.js";

/** @typedef {import("clipmint-api").components["schemas"]} Schemas */
/** @typedef {Schemas["Video"]} Video */
/** @typedef {Schemas["CatalogEntry"]} Model */
/** @typedef {Schemas["JournalEntry"]} Entry */
/** @typedef {Schemas["ProjectAnswer"]} Project */
/** @typedef {Schemas["ProjectSummary"]} ProjectSummary */
/** @typedef {Schemas["SceneAnswer"]} Scene */

const ATTEMPTS = 4;
const LONGEST_WAIT_SECONDS = 20;
const MOST_IMAGE_BYTES = 20_000_000;
const IMAGE_TYPES = ["image/png", "image/jpeg", "image/webp"];

/** A request that failed. `message` is a sentence for the user. */
export class Problem extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 if there was no answer
   * @param {string} code
   */
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @type {Record<string, string>} */
const SENTENCES = {
  INSUFFICIENT_CREDITS: "You do not have enough credits for this.",
  TOO_MANY_OPEN_JOBS: "Too many videos are running. Wait until one has ended.",
};

/**
 * Sends a request and returns the answer's body. Raises `Problem`.
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, key?: string, signal?: AbortSignal}} [options] `key`: of an order, the
 *   same for each try, so that it is paid once
 * @returns {Promise<any>}
 */
export async function request(method, path, { body, key, signal } = {}) {
  const repeatable = method !== "POST" || key !== undefined;
  let renewed = false;
  for (let attempt = 1; ; attempt += 1) {
    /** @type {Response} */
    let answer;
    try {
      answer = await fetch(apiUrl() + path, {
        method,
        headers: {
          Authorization: `Bearer ${token()}`,
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...(key ? { "Idempotency-Key": key } : {}),
        },
        body: body === undefined ? null : JSON.stringify(body),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      if (repeatable && attempt < ATTEMPTS) {
        await seconds(attempt);
        continue;
      }
      throw new Problem("There is no connection. Check it and try again.", 0, "NO_CONNECTION");
    }
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    if (answer.status === 401) {
      if (!renewed && (await renew())) {
        renewed = true;
        continue;
      }
      throw new Problem("You are signed out.", 401, "SIGNED_OUT");
    }
    const wait = Number(answer.headers.get("Retry-After"));
    const busy = [409, 429, 503].includes(answer.status) && wait > 0;
    if (busy && repeatable && attempt < ATTEMPTS && wait <= LONGEST_WAIT_SECONDS) {
      await seconds(wait);
      continue;
    }
    throw await problemOf(answer);
  }
}

/**
 * Whether an order was certainly refused. Without that, its next try needs the same key.
 * @param {unknown} error
 */
export const answered = (error) =>
  error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 401;

/** @param {Response} answer */
async function problemOf(answer) {
  const body = await answer.json().catch(() => ({}));
  const code = typeof body.code === "string" ? body.code : "";
  const sentence = answer.status < 500 && typeof body.error === "string" ? body.error : "";
  const message = SENTENCES[code] || sentence || "Something went wrong. Try again in a moment.";
  return new Problem(message, answer.status, code);
}

/** @param {number} number */
const seconds = (number) => new Promise((resolve) => setTimeout(resolve, number * 1000));

/**
 * The sentence to show for whatever was raised.
 * @param {unknown} error
 */
export const sentence = (error) =>
  error instanceof Problem ? error.message : "Something went wrong. Load the page again.";

/**
 * What is wrong with a file to upload; empty if nothing is.
 * @param {File} file
 */
export function imageProblem(file) {
  if (!IMAGE_TYPES.includes(file.type)) return "Choose a PNG, JPEG or WebP image.";
  if (file.size > MOST_IMAGE_BYTES) return "The image is larger than 20 MB.";
  return "";
}

/**
 * Uploads an image with the form that the API gives, and returns its project and its URL.
 * @param {File} file
 * @returns {Promise<Schemas["ImageAnswer"]>}
 */
export async function upload(file) {
  const made = await request("POST", "/v1/images", { body: { content_type: file.type } });
  const form = new FormData();
  for (const [name, value] of Object.entries(made.upload.fields)) form.append(name, String(value));
  form.append("file", file);
  const answer = await fetch(made.upload.url, { method: "POST", body: form }).catch(() => null);
  if (!answer?.ok) throw new Problem("The image was not uploaded. Try again.", 0, "UPLOAD_FAILED");
  return made;
}
