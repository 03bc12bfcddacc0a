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
// An order that was sent before its connection broke can run for 20 seconds.
const ORDER_SECONDS = 30;
const IN_PROGRESS = "REQUEST_IN_PROGRESS";
const SIGNED_OUT = "SIGNED_OUT";
const MOST_IMAGE_BYTES = 20_000_000;
const IMAGE_TYPES = ["image/png", "image/jpeg", "image/webp"];

/** A request that failed. `message` is a sentence for the user. */
export class Problem extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 if there was no answer
   * @param {string} code
   * @param {number | null} [price] in credits, of an order whose price has changed
   */
  constructor(message, status, code, price = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.price = price;
  }
}

/** @type {Record<string, string>} */
const SENTENCES = {
  INSUFFICIENT_CREDITS: "You do not have enough credits for this.",
  TOO_MANY_OPEN_JOBS: "Too many videos are running. Wait until one has ended.",
  PRICE_CHANGED: "The price has changed. Nothing was ordered: order again if you accept the new price.",
  REQUEST_IN_PROGRESS: "The order is still being processed. Try again: it is charged once.",
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
  const begun = performance.now();
  let renewed = false;
  for (let attempt = 1; ; attempt += 1) {
    /** @type {Response} */
    let answer;
    /** @type {string} */
    let content;
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
      content = await answer.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      if (repeatable && attempt < ATTEMPTS) {
        await seconds(attempt);
        continue;
      }
      throw noConnection();
    }
    if (answer.ok) return content ? JSON.parse(content) : null;
    if (answer.status === 401) {
      const renewing = renewed ? false : renew().catch(() => Promise.reject(noConnection()));
      if (await renewing) {
        renewed = true;
        continue;
      }
      throw new Problem("You are signed out.", 401, SIGNED_OUT);
    }
    const problem = problemOf(answer.status, content);
    const wait = Number(answer.headers.get("Retry-After"));
    const busy = [409, 429, 503].includes(answer.status) && wait > 0;
    const passed = (performance.now() - begun) / 1000;
    const again =
      problem.code === IN_PROGRESS
        ? passed + wait <= ORDER_SECONDS
        : attempt < ATTEMPTS && wait <= LONGEST_WAIT_SECONDS;
    if (!busy || !repeatable || !again) throw problem;
    await seconds(wait);
  }
}

const noConnection = () =>
  new Problem("There is no connection. Check it and try again.", 0, "NO_CONNECTION");

/** Orders without a final answer, by path and body. @type {Map<string, {key: string, body: object}>} */
const unanswered = new Map();

/**
 * Sends an order and returns the answer's body. Raises `Problem`. Until there is a final answer, the
 * same order has the same key and the same body each time it is sent, so that it is charged once.
 * @param {string} path
 * @param {object} body
 * @param {number | undefined} expected the price that the user has seen
 * @returns {Promise<any>}
 */
export async function order(path, body, expected) {
  const name = JSON.stringify([path, body]);
  const sent = unanswered.get(name) ?? {
    key: crypto.randomUUID(),
    body: { ...body, expected_credits: expected },
  };
  unanswered.set(name, sent);
  try {
    const answer = await request("POST", path, sent);
    unanswered.delete(name);
    return answer;
  } catch (error) {
    if (refused(error)) unanswered.delete(name);
    throw error;
  }
}

/** The price in credits, if an order was refused because it has changed. @param {unknown} error */
export const changedPrice = (error) =>
  error instanceof Problem && error.code === "PRICE_CHANGED" ? error.price : null;

/**
 * Whether the API itself has refused an order. Other answers may come from before it, and say
 * nothing about an earlier try.
 * @param {unknown} error
 */
const refused = (error) =>
  error instanceof Problem &&
  error.status >= 400 &&
  error.status < 500 &&
  error.code !== "" &&
  ![IN_PROGRESS, SIGNED_OUT].includes(error.code);

/**
 * @param {number} status
 * @param {string} content
 */
function problemOf(status, content) {
  const body = parsed(content);
  const code = typeof body.code === "string" ? body.code : "";
  const sentence = status < 500 && typeof body.error === "string" ? body.error : "";
  const message = SENTENCES[code] || sentence || "Something went wrong. Try again in a moment.";
  const price = typeof body.credits === "number" ? body.credits : null;
  return new Problem(message, status, code, price);
}

/** @param {string} content @returns {any} an object, empty if the content is none */
function parsed(content) {
  try {
    return JSON.parse(content) ?? {};
  } catch {
    return {};
  }
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
