// JSON schemas in words, without a page.

// What a reference points to; anything else is itself.
export function resolve(schema, document) {
  if (!schema.$ref) return schema
  return schema.$ref.slice(2).split("/").reduce((part, key) => part[key], document)
}

// The properties of an object's schema: [{name, required, schema}].
export function fieldsOf(schema, document) {
  const { properties = {}, required = [] } = resolve(schema, document)
  return Object.entries(properties).map(([name, field]) => ({ name, required: required.includes(name), schema: field }))
}

// A type in a few words: "list of integer", "text or null", "Order".
export function typeOf(schema, document) {
  if (schema.$ref) {
    const whole = resolve(schema, document)
    return whole.enum ? whole.enum.join(" | ") : schema.$ref.split("/").at(-1)
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ")
  if (schema.anyOf) return schema.anyOf.map((part) => typeOf(part, document)).join(" or ")
  if (schema.type === "array") return schema.items ? `list of ${typeOf(schema.items, document)}` : "list"
  if (schema.type === "string") return [schema.format ?? "text", schema.maxLength && `up to ${schema.maxLength} characters`].filter(Boolean).join(", ")
  if (schema.type === "integer" && "minimum" in schema) return `integer ≥ ${schema.minimum}`
  return schema.type ?? "anything"
}

// Whether a text has all of the words.
export function hasAll(text, words) {
  const lower = text.toLowerCase()
  return words.every((word) => lower.includes(word))
}
