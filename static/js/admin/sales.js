// A day's sales, as the box office closes it: by event and category, by way to pay; made to be printed.

import Alpine from "/static/vendor/alpine-csp.js"
import { request } from "../api.js"
import { count, eventDate, money, plural } from "../format.js"
import { toasts } from "../toasts.js"
import { enter } from "./frame.js"
import { PAYMENTS, spoken } from "./words.js"

const entered = enter("sales")
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone

Alpine.data("sales", () => ({
  state: "loading", // loading, ready, failed
  problem: "",
  events: [],
  zones: [HERE],
  currencies: [],
  period: "",
  printed: "",
  asked: 0,

  async init() {
    const user = await entered
    const found = await request("/api/admin/events?limit=200").catch(() => ({ events: [] }))
    this.events = found.events.map(({ id, name }) => ({ id, name }))
    this.zones = [...new Set([HERE, ...found.events.map(({ timezone }) => timezone), "UTC"])]
    this.printedBy = user.name
    this.$nextTick(() => {
      this.readAddress()
      this.load()
    })
  },

  readAddress() {
    const { day, timezone, event } = this.$refs.filters.elements
    const asked = new URLSearchParams(location.search)
    const zone = asked.get("timezone") ?? HERE
    if (!this.zones.includes(zone)) timezone.add(new Option(zone, zone))
    timezone.value = zone
    day.value = asked.get("day") ?? today(zone)
    event.value = asked.get("event") ?? ""
  },

  search() {
    if (!this.$refs.filters.reportValidity()) return
    history.replaceState(null, "", `?${this.query()}`)
    this.load()
  },

  query() {
    return new URLSearchParams([...new FormData(this.$refs.filters)].filter(([, value]) => value))
  },

  async load() {
    const mine = ++this.asked
    this.state = "loading"
    try {
      const query = this.query()
      const sales = await request(`/api/admin/sales?${query}`)
      if (mine === this.asked) this.show(sales, query)
    } catch (error) {
      if (mine !== this.asked) return
      this.problem = error.message
      this.state = "failed"
    }
  },

  show(sales, query) {
    const zone = query.get("timezone")
    const event = this.events.find(({ id }) => String(id) === query.get("event"))
    this.period = `${longDay(query.get("day"))} on the clocks of ${zone}${event ? ` · ${event.name}` : ""}`
    this.currencies = [...new Set([...sales.lines, ...sales.methods, ...sales.unpaid].map(({ currency }) => currency))].map((code) => sheet(code, sales))
    this.printed = `As of ${eventDate(new Date().toISOString(), zone)}, for ${this.printedBy}. Money counts on the day on which it came or was owed back.`
    this.state = "ready"
  },

  print() {
    window.print()
  },

  isReady() {
    return this.state === "ready"
  },
  isLoading() {
    return this.state === "loading" && this.currencies.length === 0
  },
  isFailed() {
    return this.state === "failed"
  },
  isEmpty() {
    return this.state === "ready" && this.currencies.length === 0
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

// All of one currency, with sums.
function sheet(code, sales) {
  const of = (list) => list.filter(({ currency }) => currency === code)
  const amount = (minor) => money(minor, code)
  const lines = of(sales.lines)
  const rows = []
  for (const event of new Set(lines.map(({ event_id: id }) => id))) {
    const own = lines.filter(({ event_id: id }) => id === event)
    rows.push({ key: `event ${event}`, look: "is-event", what: own[0].event_name, ...sums(own, amount) })
    for (const line of own) {
      rows.push({ key: `${event} ${line.category}`, look: "is-part", what: line.category || "Money without seats", ...sums([line], amount) })
    }
  }
  if (rows.length) rows.push({ key: "all", look: "is-sum", what: "All", ...sums(lines, amount) })
  const methods = of(sales.methods)
  const ways = methods.map((line) => ({
    method: line.method,
    look: "",
    what: PAYMENTS[line.method] ?? spoken(line.method),
    note: line.to_pay_out ? `${amount(line.to_pay_out)} of the refunds still to be handed out` : "",
    ...sums([line], amount),
  }))
  if (ways.length > 1) ways.push({ method: "all", look: "is-sum", what: "All", note: "", ...sums(methods, amount) })
  const [unpaid] = of(sales.unpaid)
  return {
    code,
    rows,
    methods: ways,
    unpaid: unpaid ? `Not in these sums: ${plural(unpaid.orders, "order")} of this day, ${amount(unpaid.amount)} in all, still to be paid at the door.` : "",
  }
}

function sums(lines, amount) {
  const sum = (field) => lines.reduce((total, line) => total + (line[field] ?? 0), 0)
  return {
    sold: count(sum("sold")),
    returned: count(sum("returned")),
    payments: count(sum("payments")),
    gross: amount(sum("gross")),
    refunds: amount(-sum("refunds") || 0), // not −0
    net: amount(sum("gross") - sum("refunds")),
  }
}

// "2026-11-25", as the clocks there show it.
function today(zone) {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format(new Date())
}

function longDay(day) {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`))
}
