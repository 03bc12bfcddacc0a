// The inputs of fal's video endpoints, from the types of its official package, as JSON Schema.
// It prints {endpoint: schema} for every endpoint whose output has a video.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import ts from "typescript";

const client = createRequire(import.meta.url).resolve("@fal-ai/client");
const file = join(dirname(client), "types/endpoints.d.ts");
const program = ts.createProgram([file], {
  lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
  noEmit: true,
  strict: true,
  types: [],
});
const checker = program.getTypeChecker();
const source = program.getSourceFile(file)!;

type Schema = Record<string, unknown>;
const DEPTH = 3;

/** The default that a comment states: "Default value: `5`". */
function defaultOf(symbol: ts.Symbol): Schema {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker));
  const found = /Default value: `(.*)`\s*$/s.exec(text)?.[1];
  if (found === undefined) return {};
  try {
    const value: unknown = JSON.parse(found);
    return value === null || typeof value === "object" ? {} : { default: value };
  } catch {
    return {};
  }
}

function isNamed(type: ts.Type, name: string): boolean {
  return type.symbol?.name === name || type.aliasSymbol?.name === name;
}

function ofUnion(all: ts.Type[], depth: number): Schema {
  const some = all.filter((one) => !(one.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)));
  // A file is sent as its URL: `string | Blob | File`.
  const parts = some.some((one) => isNamed(one, "Blob"))
    ? some.filter((one) => one.flags & ts.TypeFlags.StringLike)
    : some;
  if (parts.every((one) => one.flags & ts.TypeFlags.BooleanLike)) return { type: "boolean" };
  if (parts.every((one) => one.isStringLiteral()))
    return { enum: parts.map((one) => (one as ts.StringLiteralType).value) };
  const made = new Map(parts.map((one) => schemaOf(one, depth)).map((one) => [JSON.stringify(one), one]));
  return made.size === 1 ? [...made.values()][0]! : { anyOf: [...made.values()] };
}

function schemaOf(type: ts.Type, depth: number): Schema {
  if (type.isUnion()) return ofUnion(type.types, depth);
  if (type.isStringLiteral()) return { enum: [type.value] };
  if (type.flags & ts.TypeFlags.StringLike) return { type: "string" };
  if (type.flags & ts.TypeFlags.NumberLike) return { type: "number" };
  if (type.flags & ts.TypeFlags.BooleanLike) return { type: "boolean" };
  if (checker.isArrayType(type)) {
    const [item] = checker.getTypeArguments(type as ts.TypeReference);
    return depth ? { type: "array", items: schemaOf(item!, depth - 1) } : { type: "array" };
  }
  if (!(type.flags & ts.TypeFlags.Object)) return {};
  const members = checker.getPropertiesOfType(type);
  return depth && members.length ? objectOf(members, depth) : { type: "object" };
}

function objectOf(members: ts.Symbol[], depth: number): Schema {
  const properties: Schema = {};
  const required: string[] = [];
  for (const member of members) {
    const schema = schemaOf(checker.getTypeOfSymbol(member), depth - 1);
    properties[member.name] = { ...schema, ...defaultOf(member) };
    if (!(member.flags & ts.SymbolFlags.Optional)) required.push(member.name);
  }
  return required.length ? { properties, required } : { properties };
}

const [map] = checker
  .getExportsOfModule(checker.getSymbolAtLocation(source)!)
  .filter((symbol) => symbol.name === "EndpointTypeMap");
const found: Schema = {};
for (const endpoint of checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(map!))) {
  const type = checker.getTypeOfSymbol(endpoint);
  const [input, output] = ["input", "output"].map((name) =>
    checker.getTypeOfSymbol(checker.getPropertyOfType(type, name)!),
  );
  if (checker.getPropertyOfType(output!, "video")) found[endpoint.name] = schemaOf(input!, DEPTH);
}
console.log(JSON.stringify(found));
