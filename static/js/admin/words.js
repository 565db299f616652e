// The box office's words for states, and the colours that go with them.

import { count } from "../format.js"

const look = (kind) => `state is-${kind}`

// → [word, look]
export function eventState(event) {
  if (event.deleted) return ["Deleted", look("closed")]
  if (event.status === "draft") return ["Draft", look("closed")]
  if (event.status === "cancelled") return ["Cancelled", look("bad")]
  if (event.paused) return ["Paused", look("few")]
  return { on_sale: ["On sale", look("open")], not_yet: ["Published, not yet on sale", look("few")], ended: ["Sale ended", look("closed")] }[event.sale]
    ?? ["Published", look("open")]
}

export const orderState = (status) =>
  ({ confirmed: ["Confirmed", look("open")], pending: ["Pending", look("few")], cancelled: ["Cancelled", look("closed")] })[status]
  ?? [spoken(status), look("closed")]

export const PAYMENTS = {
  free: "Free",
  door: "At the door",
  test_card: "Test card",
}

export const REFUNDS = {
  due: "On its way",
  sent: "On its way",
  by_hand: "To be handed out",
  done: "Paid back",
  failed: "Refused by the provider",
}

export const paymentWord = (status) => (status === "none" ? "Nothing to pay" : spoken(status))

export const jobState = (state) =>
  ({ queued: ["Waiting", look("closed")], running: ["Running", look("few")], done: ["Done", look("open")], failed: ["Failed", look("bad")] })[state]
  ?? [spoken(state), look("closed")]

export function jobProgress({ done, total }) {
  return total ? `${count(done)} of ${count(total)}` : ""
}

// Of an event's background job: what goes on, what went wrong.
const WORK = {
  generate_seats: ["The seats are being made", "The seats could not be made"],
  copy_seats: ["The seats are being copied", "The seats could not be copied"],
  cancel_orders: ["The orders are being cancelled", "Not all orders could be cancelled"],
}
const WORK_OTHER = ["There is work in the background", "Work in the background failed"]

// Empty when there is nothing to say.
export function jobSentence(job) {
  if (!job || job.state === "done") return ""
  const [going, failed] = WORK[job.kind] ?? WORK_OTHER
  return job.state === "failed" ? `${failed}; the list of jobs says why.` : `${going}: ${jobProgress(job) || "in a moment"}.`
}

// Whether the seats are not all there yet, as far as one knows.
export const awaitsSeats = (job) => Boolean(job) && job.state !== "done" && job.kind !== "cancel_orders"

// "late_refund" → "Late refund"
export function spoken(word) {
  const text = String(word ?? "").replaceAll(/[_.]/g, " ")
  return text ? text[0].toUpperCase() + text.slice(1) : ""
}

// {seats: [1, 2], reason: "rain"} → "seats: 1, 2 · reason: rain"
export function detailsText(details) {
  if (typeof details !== "object" || details === null) return details ? String(details) : ""
  return Object.entries(details).filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => `${name.replaceAll("_", " ")}: ${valueText(value)}`).join(" · ")
}

function valueText(value) {
  if (Array.isArray(value)) return value.map(valueText).join(", ")
  if (typeof value === "boolean") return value ? "yes" : "no"
  if (typeof value !== "object" || value === null) return String(value ?? "none")
  return Object.entries(value).map(([name, part]) => `${name.replaceAll("_", " ")} ${valueText(part)}`).join(", ")
}
