// Accounts and their roles.

import Alpine from "/static/vendor/alpine-csp.js"
import { toast, toasts } from "../toasts.js"
import { confirm } from "./confirm.js"
import { enter, may, ROLE_WORDS } from "./frame.js"
import { listPanel } from "./list.js"
import { send } from "./send.js"

const entered = enter("users")
let me = null

Alpine.data("users", () => ({
  ...listPanel({ entered, path: "/api/admin/users", key: "users", describe }),
  roles: Object.entries(ROLE_WORDS).map(([value, text]) => ({ value, text })),

  entered(user) {
    me = user
  },

  async changeRole(row, event) {
    const role = event.target.value
    const sure = await confirm({
      title: `Give ${row.name} the role “${ROLE_WORDS[role]}”?`,
      text: `${row.email} is signed out everywhere, and can do what that role can from then on.`,
      action: "Change the role",
      keep: "Leave it",
    })
    if (!sure) {
      event.target.value = row.role
      return
    }
    try {
      await send("PATCH", `/api/admin/users/${row.id}`, { role })
      toast(`${row.name} has the role “${ROLE_WORDS[role]}” now.`, "good")
    } catch (error) {
      toast(error.message, "bad")
    }
    await this.load()
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

function describe(user) {
  return {
    id: user.id,
    name: user.name,
    email: user.email,
    role: user.role,
    verified: user.verified ? "Confirmed" : "Not confirmed",
    look: `state is-${user.verified ? "open" : "closed"}`,
    locked: !may(me, "admin") || user.id === me.id, // nobody locks themselves out
  }
}
