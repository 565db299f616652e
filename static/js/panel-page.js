// The event page's frame: header, state of the connection, notices, failure to load. `visit` is the promise of
// the Session.

import { eventDate, plural, saleNotice } from "./format.js"
import { throttled } from "./throttle.js"

const COUNTS_MS = 250 // numbers change at most this often

export const pagePanel = (visit) => () => ({
  state: "loading", // loading, ready, failed
  problem: "",
  isMissing: false,
  name: "",
  place: "",
  left: "",
  notice: "",
  message: "", // the box office's to everybody
  link: "connecting",
  behind: false,

  async init() {
    try {
      this.show(await visit)
    } catch (error) {
      this.isMissing = error.status === 404
      this.problem = error.message
      this.state = "failed"
      if (!error.code) throw error
    }
  },

  show(session) {
    const { event, store } = session
    this.name = event.name
    this.place = [event.venue, eventDate(event.starts_at, event.timezone)].filter(Boolean).join(" · ")
    document.title = `${event.name} – choose your seats`

    const showLink = () => {
      this.link = session.link
      this.behind = session.behind
      this.message = session.message
      this.notice = saleNotice(session.event, session.sale)
    }
    session.addEventListener("link", showLink)
    showLink()

    session.addEventListener("seats", throttled(COUNTS_MS, () => {
      this.left = store.left === 0 ? "Sold out" : `${plural(store.left, "seat")} left`
    }))
    session.addEventListener("seats", () => {
      this.state = "ready"
    }, { once: true })
  },

  reload() {
    location.reload()
  },

  get isLoading() {
    return this.state === "loading"
  },
  get isFailed() {
    return this.state === "failed"
  },
  get failureTitle() {
    return this.isMissing ? "There is no such event" : "The page could not be loaded"
  },
  get linkText() {
    return { live: "Live", connecting: "Connecting", reconnecting: "Reconnecting" }[this.link]
  },
  get dotLook() {
    return `dot is-${this.link === "live" && this.behind ? "behind" : this.link}`
  },
})
