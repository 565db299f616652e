// An event's fields as the editor shows them, and as the server takes them.

import { fromLocal, toLocal } from "../zoned.js"
import { amountText, parseAmount } from "./amounts.js"
import { PAYMENTS } from "./words.js"

const COLOR = "#7c8296" // shown where a category has none of its own

export function formOf(event) {
  const local = (time) => toLocal(time, event.timezone)
  return {
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
    categories: event.categories.map(({ id, name, price, color }) => ({
      id, name, price: amountText(price, event.currency), color: color || COLOR, hadColor: color,
    })),
  }
}

// The body of a PATCH. Throws an Error with a sentence where a field cannot be read.
export function changesOf(element, event) {
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
  return ids.map((id, index) => {
    const before = event.categories.find((category) => category.id === Number(id))
    return {
      id: Number(id),
      name: names[index].trim(),
      price: readAmount(prices[index], event.currency, `The price of ${names[index]}`),
      // A colour that nobody chose stays the plan's.
      color: colors[index] === COLOR ? (before?.color ?? "") : colors[index],
    }
  })
}

export function readAmount(text, currency, what) {
  const amount = parseAmount(text, currency)
  if (Number.isNaN(amount)) throw new Error(`${what} must be an amount such as 25 or 25.50.`)
  return amount
}
