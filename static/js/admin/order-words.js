// An order as its page shows it.

import { eventDate, money } from "../format.js"
import { shortReference } from "../ids.js"
import { isActive, onceEach, totalOf } from "../order-seats.js"
import { detailsText, orderState, PAYMENTS, paymentWord, REFUNDS, spoken } from "./words.js"

export function describe(order) {
  const [state, look] = orderState(order.status)
  const active = isActive(order)
  const total = totalOf(order)
  const amount = (minor) => money(minor, order.currency)
  return {
    reference: shortReference(order.id),
    id: order.id,
    state,
    look,
    name: order.name,
    email: order.email,
    event: order.event_name,
    eventAddress: `/admin/events/${order.event_id}`,
    made: eventDate(order.created_at),
    method: PAYMENTS[order.payment_method] ?? spoken(order.payment_method),
    payment: paymentWord(order.payment_status),
    total: amount(total),
    canChange: active,
    canResend: order.status === "confirmed" && order.email !== "",
    canMarkPaid: active && order.payment_method === "door" && order.payment_status === "unpaid" && total > 0,
    seats: onceEach(order.seats).map((entry) => ({
      seat: entry.seat,
      label: entry.label,
      category: entry.category,
      price: amount(entry.price),
      active: isActive(entry),
      look: isActive(entry) ? "" : "is-cancelled",
      state: orderState(entry.status)[0],
    })),
    stuck: order.stuck,
    stuckText: stuckText(order),
    toPayOut: order.to_pay_out ? amount(order.to_pay_out) : "",
    payments: (order.payments ?? []).flatMap((payment) => paymentRows(payment, total)),
    history: (order.history ?? []).map((entry, index) => ({
      index, at: eventDate(entry.at), who: entry.who || "Seatmap itself", what: spoken(entry.what), details: detailsText(withLabels(entry.details, order)),
    })),
  }
}

// A payment, and under it what goes back of it. At the door `due` is what will be taken.
function paymentRows(payment, due) {
  const amount = (minor) => money(minor, payment.currency)
  const rows = [{
    key: `payment ${payment.id}`,
    look: "",
    what: PAYMENTS[payment.provider] ?? spoken(payment.provider),
    status: payment.received === null || payment.refunds.length ? spoken(payment.status) : `Stuck: ${money(payment.received, payment.received_currency)} came`,
    amount: amount(payment.provider === "door" && payment.status === "created" ? due : payment.amount),
    at: eventDate(payment.updated_at),
  }]
  return rows.concat(payment.refunds.map((refund) => ({
    key: `refund ${refund.id}`,
    look: "is-refund",
    what: "Refund",
    status: refund.paid_out_by ? `Handed out by ${refund.paid_out_by}` : REFUNDS[refund.status] ?? spoken(refund.status),
    amount: amount(-refund.amount),
    at: eventDate(refund.paid_out_at ?? refund.updated_at),
  })))
}

function stuckText({ payments = [] }) {
  const wrong = payments.find(({ status, received, refunds }) => status === "stuck" && received !== null && refunds.length === 0)
  if (wrong) {
    const [came, wanted] = [money(wrong.received, wrong.received_currency), money(wrong.amount, wrong.currency)]
    return `${came} came where ${wanted} was to be paid. Trying again gives back what came and cancels the order.`
  }
  if (payments.some(({ refunds }) => refunds.some(({ status }) => status === "failed"))) {
    return "The payment provider refused to pay it back. Trying again asks once more for the same refund, so it cannot be paid twice."
  }
  return "It has been waiting for longer than it should. Trying again does at once what is tried by itself all the time, and says what does not answer."
}

// The log knows seats by their numbers, people by their labels.
function withLabels(details, { seats }) {
  if (!details?.seats) return details
  const labels = new Map(seats.map(({ seat, label }) => [String(seat), label]))
  const label = (seat) => labels.get(String(seat)) ?? seat
  const told = Array.isArray(details.seats)
    ? details.seats.map(label)
    : Object.entries(details.seats).map(([old, now]) => `${label(old)} → ${label(now)}`)
  return { ...details, seats: told.join("; ") || undefined }
}
