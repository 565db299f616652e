// An event's fields as the editor shows them, and as the server takes them.

import { tonesOf } from "../map-palette.js"
import { fromLocal, toLocal } from "../zoned.js"
import { amountText, parseAmount } from "./amounts.js"
import { PAYMENTS } from "./words.js"

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/

export function formOf(event) {
  const local = (time) => toLocal(time, event.timezone)
  return {
    event, // what a save is compared with: what others change meanwhile is theirs
    name: event.name,
    description: event.description,
    venue: event.venue,
    timezone: event.timezone,
    startsAt: local(event.starts_at),
    onSaleFrom: local(event.on_sale_from),
    onSaleUntil: local(event.on_sale_until),
    accessibleUntil: local(event.accessible_until),
    limit: event.seats_per_visitor,
    fee: amountText(event.fee_per_seat, event.currency),
    currency: event.currency,
    methods: Object.entries(PAYMENTS).map(([value, text]) => ({ value, text, chosen: event.payment_methods.includes(value) })),
    categories: event.categories.map(({ id, name, price, color }, index) => ({
      key: id, id, name, price: amountText(price, event.currency), color, look: `swatch tone-${tonesOf(event.categories)[index]}`,
    })),
  }
}

export const newCategory = (key) => ({ key, id: "", name: "", price: "", color: "", look: "swatch" })

// The body of a PATCH: what differs from the event that the form was made from, because a price that is sent anew makes
// every buyer's page load the plan again. Throws an Error with a sentence where a field cannot be read.
export function changesOf(element, { event }) {
  const fields = Object.entries(fieldsOf(element, event))
  return Object.fromEntries(fields.filter(([name, value]) => !isSame(value, event[name])))
}

function isSame(value, before) {
  if (typeof value !== "string" || typeof before !== "string") return JSON.stringify(value) === JSON.stringify(before)
  return value === before || (TIME.test(value) && Date.parse(value) === Date.parse(before))
}

function fieldsOf(element, event) {
  const form = new FormData(element)
  const text = (name) => form.get(name).trim()
  const timezone = text("timezone")
  const time = (name) => readTime(text(name), timezone)
  return {
    name: text("name"),
    description: text("description"),
    venue: text("venue"),
    timezone,
    starts_at: time("starts_at"),
    on_sale_from: time("on_sale_from"),
    on_sale_until: time("on_sale_until"),
    accessible_until: time("accessible_until"),
    currency: text("currency").toUpperCase(),
    seats_per_visitor: Number(text("seats_per_visitor")),
    fee_per_seat: readAmount(text("fee_per_seat"), event.currency, "The fee"),
    payment_methods: form.getAll("payment_methods"),
    categories: readCategories(form, event),
  }
}

export function readTime(local, timezone) {
  try {
    return fromLocal(local, timezone)
  } catch {
    throw new Error(`“${timezone}” is not a time zone that this browser knows; try one like Europe/Berlin.`)
  }
}

function readCategories(form, event) {
  const [ids, names, prices, colors] = ["id", "name", "price", "color"].map((name) => form.getAll(`category_${name}`))
  return ids.map((id, index) => ({
    ...(id && { id: Number(id) }),
    name: names[index].trim(),
    price: readAmount(prices[index], event.currency, `The price of ${names[index]}`),
    color: colors[index], // for who draws a map of their own; on ours the price says it
  }))
}

export function readAmount(text, currency, what) {
  const amount = parseAmount(text, currency)
  if (Number.isNaN(amount)) throw new Error(`${what} must be an amount such as 25 or 25.50.`)
  return amount
}
