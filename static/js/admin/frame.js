// What every page of the box office has: its header, and who looks at it. Whoever is not signed in is sent to do
// so and comes back; whoever may not look is told.

import { getMe } from "../api.js"

const PAGES = [
  ["events", "Events", "/admin", "viewer"],
  ["orders", "Orders", "/admin/orders", "viewer"],
  ["sales", "Sales", "/admin/sales", "viewer"],
  ["users", "Users", "/admin/users", "admin"],
  ["keys", "API keys", "/admin/keys", "admin"],
  ["jobs", "Jobs", "/admin/jobs", "viewer"],
  ["audit", "Audit", "/admin/audit", "viewer"],
  ["settings", "Settings", "/admin/settings", "viewer"],
]
const RANKS = ["buyer", "viewer", "box_office", "admin"]

export const ROLE_WORDS = { buyer: "Buyer", viewer: "Viewer", box_office: "Box office", admin: "Admin" }
export const may = (user, role) => RANKS.indexOf(user.role) >= RANKS.indexOf(role)

// The user, once it is certain that they may look; until then and otherwise the promise stays open.
export async function enter(current) {
  const header = document.querySelector("[data-frame]")
  const nav = navigation(current)
  header.append(brand(), nav)
  document.body.append(...announcements())
  let user
  try {
    user = await getMe()
  } catch (error) {
    return refuse("The box office cannot be reached", error.message)
  }
  if (!user) {
    const here = encodeURIComponent(location.pathname + location.search)
    location.replace(`/account?next=${here}`)
    return new Promise(() => {})
  }
  for (const [name, , , role] of PAGES) if (!may(user, role)) nav.querySelector(`[data-page=${name}]`).remove()
  header.append(link("button admin-user", "/account", user.name), themeButton())
  if (!may(user, "viewer")) return refuse("This is the box office", "Your account may not look in here; an admin can give you a role.")
  return user
}

function refuse(title, text) {
  const message = element("main", "page-message")
  message.append(element("h2", "", title), element("p", "", text), link("button", "/", "All events"))
  for (const main of document.querySelectorAll("main")) main.replaceWith(message)
  return new Promise(() => {})
}

function brand() {
  const made = link("brand", "/", "")
  const icon = element("img")
  Object.assign(icon, { src: "/static/img/icon.svg", alt: "Seatmap", width: 40, height: 40 })
  made.append(icon)
  return made
}

function navigation(current) {
  const nav = element("nav", "admin-nav")
  nav.setAttribute("aria-label", "Box office")
  for (const [name, text, address] of PAGES) {
    const made = link("", address, text)
    made.dataset.page = name
    if (name === current) made.setAttribute("aria-current", "page")
    nav.append(made)
  }
  return nav
}

// Where toasts.js shows and says things. In place before Alpine starts, which then finds the component.
function announcements() {
  const shown = element("div", "toasts")
  shown.setAttribute("x-data", "toasts")
  const each = element("template")
  each.setAttribute("x-for", "entry in toasts")
  each.setAttribute("x-bind:key", "entry.id")
  const one = element("button")
  one.type = "button"
  for (const [name, value] of [["x-bind:class", "entry.look"], ["x-text", "entry.text"], ["x-on:click", "remove(entry.id)"]]) one.setAttribute(name, value)
  each.content.append(one)
  shown.append(each)
  const [said, atOnce] = ["status", "alert"].map((role) => {
    const region = element("div", "for-ears")
    region.setAttribute("role", role)
    region.dataset.announcer = ""
    return region
  })
  said.setAttribute("aria-live", "polite")
  return [shown, said, atOnce]
}

// theme.js listens for presses on anything that says so.
function themeButton() {
  const button = element("button", "button small theme-button", "◐")
  button.type = "button"
  button.dataset.themeButton = ""
  button.setAttribute("aria-label", "Dark theme")
  return button
}

export function element(name, look = "", text = "") {
  const made = document.createElement(name)
  if (look) made.className = look
  if (text) made.textContent = text
  return made
}

function link(look, address, text) {
  const made = element("a", look, text)
  made.href = address
  return made
}
