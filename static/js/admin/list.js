// A list with filters, pages and a steady look at what changes: the part that the box office's lists share. Only
// methods, no getters, so that a page may spread it into its component.

import { request } from "../api.js"

const PAGE = 50
const ROWS_MAX = 200 // more rows are not asked for again and again

// `path` answers {[key]: [...], next}; `describe` makes a row of what it lists; `entered` is the promise of the user.
export const listPanel = ({ entered, path, key, describe, pollMs = 0 }) => ({
  state: "loading", // loading, ready, failed
  problem: "",
  rows: [],
  next: null,
  busy: false,
  asked: 0,

  async init() {
    await this.entered?.(await entered)
    this.readAddress()
    await this.load()
    if (pollMs) setInterval(() => document.hidden || this.refresh(), pollMs)
  },

  async load() {
    this.state = "loading"
    this.busy = false // more rows that were asked for are for nobody now
    try {
      const found = await this.ask(PAGE)
      if (found) this.show(found)
    } catch (error) {
      this.fail(error)
    }
  },

  // The same rows again, in place. Quiet when it fails: the next time is soon.
  async refresh() {
    if (this.state !== "ready" || this.busy || this.rows.length > ROWS_MAX) return
    const found = await this.ask(Math.max(PAGE, this.rows.length)).catch(() => null)
    if (found) this.show(found)
  },

  async more() {
    if (this.state !== "ready") return
    this.busy = true
    try {
      const found = await this.ask(PAGE, this.next)
      if (!found) return
      this.rows = [...this.rows, ...found[key].map(describe)]
      this.next = found.next
    } catch (error) {
      this.fail(error)
    }
    this.busy = false
  },

  search() {
    const query = this.query().toString()
    history.replaceState(null, "", query ? `?${query}` : location.pathname)
    return this.load()
  },

  // Null where a later question has overtaken this one: its answer is for nobody, and neither is its failure.
  async ask(limit, cursor = null) {
    const mine = ++this.asked
    const query = this.query()
    query.set("limit", limit)
    if (cursor) query.set("cursor", cursor)
    const found = await request(`${path}?${query}`).catch((error) => {
      if (mine === this.asked) throw error
    })
    return mine === this.asked ? found : null
  },

  show(found) {
    this.rows = found[key].map(describe)
    this.next = found.next ?? null
    this.state = "ready"
  },

  fail(error) {
    this.problem = error.message
    this.state = "failed"
    this.next = null // trying again begins anew
  },

  query() {
    const fields = this.$refs.filters ? [...new FormData(this.$refs.filters)] : []
    return new URLSearchParams(fields.filter(([, value]) => value !== ""))
  },

  readAddress() {
    for (const [name, value] of new URLSearchParams(location.search)) {
      const field = this.$refs.filters?.elements[name]
      if (!field) continue
      if (field.type === "checkbox") field.checked = true
      else field.value = value
    }
  },

  isLoading() {
    return this.state === "loading" && this.rows.length === 0
  },
  isFailed() {
    return this.state === "failed"
  },
  isEmpty() {
    return this.state === "ready" && this.rows.length === 0
  },
  hasRows() {
    return this.state !== "failed" && this.rows.length > 0
  },
})
