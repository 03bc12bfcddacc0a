// Preact with htm: components are functions that return html`…`, and nothing needs to be compiled.
import { h } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

/** @typedef {import("./vendor/preact.js").ComponentChildren} Children */

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);

export { render } from "./vendor/preact.js";
export { useCallback, useEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
