// Texts of numbers, dates, settings and failures, in the reader's time zone and number format.

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const NUMBER = new Intl.NumberFormat();

/** @param {string | null | undefined} iso */
export const moment = (iso) => (iso ? MOMENT.format(new Date(iso)) : "");

/** @param {string | null | undefined} iso */
export const day = (iso) => (iso ? DAY.format(new Date(iso)) : "");

/** @param {number} number */
export const count = (number) => NUMBER.format(number);

/** @param {number} number */
export const credits = (number) => `${count(number)} ${Math.abs(number) === 1 ? "credit" : "credits"}`;

/**
 * A price as the catalog states it. Prices of a kind that this page does not know are shown when
 * the API has computed them.
 * @param {any} price
 */
export function priceText(price) {
  if (price?.kind === "free") return "free";
  if (price?.kind === "fixed") return credits(price.credits);
  if (price?.kind === "per_second") return `${credits(price.credits_per_second)} per second`;
  return "";
}

/** @type {Record<string, string>} */
const SETTING_NAMES = { resolution: "Resolution", aspect_ratio: "Aspect ratio", duration: "Length" };

/** @param {string} name */
export const settingName = (name) =>
  SETTING_NAMES[name] || name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/**
 * @param {string} name
 * @param {unknown} value
 */
export const settingValue = (name, value) =>
  name === "duration" ? `${value} s` : value === true ? "on" : value === false ? "off" : String(value);

/** @type {Record<string, string>} */
const FAILURES = {
  CONTENT_POLICY: "The content rules do not allow this prompt or image.",
  INVALID_INPUT: "The model did not accept these settings.",
  INPUT_UNREADABLE: "The image could not be read.",
  NO_OUTPUT: "The model made no video.",
  PROVIDER_ERROR: "The model failed.",
  PROVIDER_TIMEOUT: "The model took too long.",
  PROVIDER_UNAVAILABLE: "The model is not available now.",
  OWNER_ACCOUNT: "The model is not available now.",
  SUBMIT_UNKNOWN: "The model gave no answer.",
  DEADLINE_EXCEEDED: "The video was not ready in time.",
  MEDIA_INVALID: "The model made a file that is no video.",
  MEDIA_UNAVAILABLE: "The finished video could not be fetched.",
  NOT_AS_ORDERED: "The model made another video than ordered.",
  CANCELLED: "You cancelled it.",
};

/**
 * Why a job ended without a video. Only the code is used: a message may come from a provider.
 * @param {string | null | undefined} code
 */
export const failure = (code) => FAILURES[code ?? ""] || "Something went wrong.";

/**
 * What a job that has ended without a video has cost.
 * @param {{status: string, credits_used: number}} job
 */
export const charged = (job) =>
  job.credits_used === 0 ? "Nothing was charged." : `${credits(job.credits_used)} charged for its image.`;
