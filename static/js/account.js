// Signing in and up, the links of the mails (#verify=TOKEN, #reset=TOKEN), and one's own account.

import Alpine from "/static/vendor/alpine-csp.js"
import { getMe, send } from "./api.js"

const ROLES = { viewer: "Viewer", box_office: "Box office", admin: "Admin" }

const call = (name, body) => send("POST", `/api/account/${name}`, body)
const fields = (event) => Object.fromEntries(new FormData(event.target))

Alpine.data("account", () => ({
  view: "loading", // loading, sign-in, sign-up, mail, forgot, reset, link-failed, me
  user: null,
  failure: "",
  news: "",
  busy: false,
  mailText: "",
  token: "",
  cameFrom: "sign-in",

  async init() {
    const [kind, token] = takeLink()
    if (kind === "reset") {
      this.token = token
      return this.go("reset")
    }
    if (kind === "verify") return this.verify(token)
    await this.attempt(async () => {
      this.user = await getMe()
    })
    this.go(this.user ? "me" : "sign-in")
  },

  is(view) {
    return this.view === view
  },

  go(view) {
    const failure = view === this.view || this.view === "loading" ? this.failure : ""
    if (!["loading", "mail"].includes(this.view)) this.cameFrom = this.view
    this.failure = failure
    this.view = view
    this.$nextTick(() => (document.querySelector("main input") ?? document.querySelector("[data-title]"))?.focus())
  },

  goBack() {
    this.go(this.cameFrom)
  },

  async verify(token) {
    const done = await this.attempt(async () => this.enter(await call("verify", { token }), "Your address is confirmed."))
    if (!done) this.view = "link-failed"
  },

  signIn(event) {
    return this.attempt(async () => this.enter(await call("sign-in", fields(event))))
  },

  signUp(event) {
    const sent = fields(event)
    return this.attempt(async () => {
      await call("sign-up", sent)
      this.mailText = `We sent a link to ${sent.email}. Open it on this device to finish your account.`
      this.go("mail")
    })
  },

  forgot(event) {
    const sent = fields(event)
    return this.attempt(async () => {
      await call("reset-request", sent)
      this.mailText = `If there is an account for ${sent.email}, a link to choose a new password is on its way.`
      this.go("mail")
    })
  },

  reset(event) {
    const { password } = fields(event)
    return this.attempt(async () =>
      this.enter(await call("reset", { token: this.token, password }), "Your new password is set."))
  },

  async signOut(name) {
    const done = await this.attempt(() => call(name))
    if (!done) return
    this.user = null
    this.news = ""
    this.go("sign-in")
  },

  // Whoever was sent here to sign in goes back to where they wanted to be.
  enter({ user }, news = "") {
    this.user = user
    this.news = news
    const next = wantedPage()
    if (next) location.replace(next)
    else this.go("me")
  },

  async attempt(act) {
    this.busy = true
    this.failure = ""
    try {
      await act()
      return true
    } catch (error) {
      this.failure = error.message
      return false
    } finally {
      this.busy = false
    }
  },

  get roleText() {
    return ROLES[this.user?.role] ?? ""
  },
  get isStaff() {
    return this.roleText !== ""
  },
}))
Alpine.start()

// The token of a mail's link, taken out of the address so that it stays in no history.
function takeLink() {
  const [, kind = "", token = ""] = location.hash.match(/^#(verify|reset)=([\w.~-]+)$/) ?? []
  if (kind) history.replaceState(null, "", location.pathname + location.search)
  return [kind, token]
}

// A page of this site, or nothing: ?next= may come from anywhere.
function wantedPage() {
  const next = new URLSearchParams(location.search).get("next")
  if (!next) return ""
  const address = new URL(next, location.origin)
  return address.origin === location.origin && /^\/(admin|bookings|events)\b/.test(address.pathname) ? address.pathname + address.search : ""
}
