// The fields of a model's settings, drawn from what the catalog declares.
import { html } from "./html.js";
import { settingName, settingValue } from "./format.js";

/** @typedef {import("./api.js").Model} Model */
/**
 * One setting, in the terms of JSON Schema.
 * @typedef {object} Declared
 * @property {string} name
 * @property {string} [type]
 * @property {string} [title]
 * @property {string} [description]
 * @property {(string | number)[]} [enum]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [maxLength]
 * @property {unknown} [default]
 */

/**
 * The settings of a model: those of its `settings_schema`, if the API sends one, else the lists of
 * `allowed`. Those with no choice are left out.
 * @param {Model} model
 * @returns {Declared[]}
 */
export function declared(model) {
  const schema = /** @type {any} */ (model).settings_schema;
  const defaults = /** @type {Record<string, unknown>} */ (model.defaults);
  const found = schema?.properties
    ? Object.entries(schema.properties).map(([name, one]) => ({ name, .../** @type {any} */ (one) }))
    : Object.entries(model.allowed).map(([name, values]) => ({ name, enum: values }));
  return found
    .filter((one) => !one.enum || one.enum.length > 1)
    .map((one) => ({ ...one, default: defaults[one.name] ?? one.default }));
}

/**
 * The values to begin with.
 * @param {Model} model
 * @returns {Record<string, unknown>}
 */
export const initial = (model) =>
  Object.fromEntries(
    declared(model)
      .filter((one) => one.default !== undefined && one.default !== null)
      .map((one) => [one.name, one.default]),
  );

/**
 * @param {{model: Model, values: Record<string, unknown>,
 *   onChange: (values: Record<string, unknown>) => void}} props
 */
export function Settings({ model, values, onChange }) {
  const set = (/** @type {string} */ name, /** @type {unknown} */ value) => {
    const { [name]: before, ...rest } = values;
    onChange(value === undefined ? rest : { ...rest, [name]: value });
  };
  return html`<div class="settings">
    ${declared(model).map((one) => html`<${Setting} key=${one.name} one=${one} value=${values[one.name]} set=${set} />`)}
  </div>`;
}

/**
 * @param {{one: Declared, value: any, set: (name: string, value: unknown) => void}} props
 */
function Setting({ one, value, set }) {
  const id = `setting-${one.name}`;
  const label = one.title || settingName(one.name);
  const help = one.description && html`<small>${one.description}</small>`;
  const choices = one.enum;
  if (choices && choices.length <= 5)
    return html`<fieldset class="field">
      <legend>${label}</legend>
      <div class="choices">
        ${choices.map(
          (choice) => html`<label>
            <input
              type="radio"
              name=${id}
              checked=${choice === value}
              onChange=${() => set(one.name, choice)}
            /><span>${settingValue(one.name, choice)}</span>
          </label>`,
        )}
      </div>
      ${help}
    </fieldset>`;
  if (choices)
    return html`<div class="field">
      <label for=${id}>${label}</label>
      <select
        id=${id}
        value=${String(value)}
        onChange=${(/** @type {any} */ event) =>
          set(one.name, choices.find((choice) => String(choice) === event.target.value))}
      >
        ${choices.map((choice) => html`<option value=${String(choice)}>${settingValue(one.name, choice)}</option>`)}
      </select>
      ${help}
    </div>`;
  if (one.type === "boolean")
    return html`<div class="field">
      <label class="switch">
        <input
          type="checkbox"
          checked=${Boolean(value)}
          onChange=${(/** @type {any} */ event) => set(one.name, event.target.checked)}
        />
        ${label}
      </label>
      ${help}
    </div>`;
  const whole = one.type === "integer" || one.type === "number";
  return html`<div class="field">
    <label for=${id}>${label} <small>optional</small></label>
    <input
      id=${id}
      type=${whole ? "number" : "text"}
      min=${one.minimum}
      max=${one.maximum}
      maxLength=${one.maxLength}
      value=${value ?? ""}
      onInput=${(/** @type {any} */ event) => {
        const text = event.target.value;
        set(one.name, text === "" ? undefined : whole ? Number(text) : text);
      }}
    />
    ${help}
  </div>`;
}
