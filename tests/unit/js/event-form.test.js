// What the event editor sends of what was typed.

import assert from "node:assert/strict"
import { test } from "node:test"

import { changesOf, formOf } from "../../../static/js/admin/event-form.js"

const EVENT = {
  name: "The Tempest",
  description: "A strom.",
  venue: "Old Mill",
  timezone: "Europe/Berlin",
  starts_at: "2030-05-01T17:30:00Z",
  on_sale_from: null,
  on_sale_until: null,
  accessible_until: null,
  currency: "EUR",
  seats_per_visitor: 8,
  fee_per_seat: 100,
  payment_methods: ["door"],
  categories: [{ id: 1, name: "Standard", price: 2000, color: "" }, { id: 2, name: "Box", price: 4050, color: "" }],
}

// The fields as the page fills them from a form.
function fieldsOf(form) {
  const fields = new FormData()
  const texts = {
    name: form.name, description: form.description, venue: form.venue, timezone: form.timezone, starts_at: form.startsAt,
    on_sale_from: form.onSaleFrom, on_sale_until: form.onSaleUntil, accessible_until: form.accessibleUntil,
    currency: form.currency, seats_per_visitor: String(form.limit), fee_per_seat: form.fee,
  }
  for (const [name, value] of Object.entries(texts)) fields.set(name, value)
  for (const { value, chosen } of form.methods) if (chosen) fields.append("payment_methods", value)
  for (const category of form.categories) for (const name of ["id", "name", "price", "color"]) fields.append(`category_${name}`, category[name])
  return fields
}

// Node has no forms: here the fields are their own form.
function reads(context) {
  context.mock.method(globalThis, "FormData", function (fields) {
    return fields
  })
}

test("what nobody touched is not sent", (context) => {
  const form = formOf(EVENT)
  const fields = fieldsOf(form)
  reads(context)
  assert.deepEqual(changesOf(fields, form), {})
})

test("a save sends what was typed, compared with what the form was made from", (context) => {
  const form = formOf(EVENT)
  const fields = fieldsOf(form)
  fields.set("description", "A storm.")
  reads(context)
  assert.deepEqual(changesOf(fields, form), { description: "A storm." })
})
