// API keys: made with a scope, shown once, revoked at once.

import Alpine from "/static/vendor/alpine-csp.js"
import { eventDate } from "../format.js"
import { toast, toasts } from "../toasts.js"
import { confirm } from "./confirm.js"
import { enter, may } from "./frame.js"
import { listPanel } from "./list.js"
import { send } from "./send.js"

const PATH = "/api/admin/api-keys"
const SCOPES = { read: "Read everything", sell: "Also sell, refund, move seats", admin: "Everything an admin may" }

const entered = enter("keys").then((user) => {
  if (!may(user, "admin")) location.replace("/admin")
  return user
})

Alpine.data("keys", () => ({
  ...listPanel({ entered, path: PATH, key: "api_keys", describe }),
  scopes: Object.entries(SCOPES).map(([value, text]) => ({ value, text })),
  secret: "",
  copied: "Copy",

  async create() {
    const form = new FormData(this.$refs.form)
    this.busy = true
    try {
      const made = await send("POST", PATH, { name: form.get("name").trim(), scopes: [form.get("scope")] })
      this.secret = made.key
      this.copied = "Copy"
      this.$refs.form.reset()
      await this.load()
    } catch (error) {
      toast(error.message, "bad")
    }
    this.busy = false
  },

  async copy() {
    try {
      await navigator.clipboard.writeText(this.secret)
      this.copied = "Copied"
    } catch {
      toast("The browser does not allow it; mark the key and copy it.", "bad")
    }
  },

  forget() {
    this.secret = ""
  },

  async revoke(row) {
    const sure = await confirm({
      title: `Revoke “${row.name}”?`, text: "Whatever uses it is refused from now on. This cannot be undone.", action: "Revoke", danger: true,
    })
    if (!sure) return
    try {
      await send("DELETE", `${PATH}/${row.id}`)
      toast(`${row.name} is revoked.`, "good")
    } catch (error) {
      toast(error.message, "bad")
    }
    await this.load()
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

function describe(key) {
  const widest = ["admin", "sell", "read"].find((scope) => key.scopes.includes(scope))
  return {
    id: key.id,
    name: key.name,
    may: SCOPES[widest],
    made: eventDate(key.created_at),
    by: key.created_by,
    used: key.last_used_at ? eventDate(key.last_used_at) : "Never",
    active: !key.revoked_at,
    look: "state is-closed",
    rowLook: key.revoked_at ? "is-over" : "",
  }
}
