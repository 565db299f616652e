// The password again, before what matters most: a modal dialog that signs in anew.

import { getMe, send } from "../api.js"
import { element } from "./frame.js"

// → whether it was given, and right.
export async function askPassword() {
  const { email } = await getMe()
  const { dialog, form, input, trouble } = build(email)
  document.body.append(dialog)
  let proved = false

  form.addEventListener("submit", async (event) => {
    if (event.submitter?.value === "no") return
    event.preventDefault()
    trouble.textContent = ""
    try {
      await send("POST", "/api/account/sign-in", { email, password: input.value })
      proved = true
      dialog.close()
    } catch (error) {
      trouble.textContent = error.code === "wrong_credentials" ? "That is not your password." : error.message
      input.select()
    }
  })
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove()
      resolve(proved)
    })
    dialog.showModal()
    input.focus()
  })
}

function build(email) {
  const dialog = element("dialog", "confirm")
  const form = element("form")
  form.method = "dialog"
  const heading = element("h2", "", "Your password, please")
  heading.id = "password-title"
  dialog.setAttribute("aria-labelledby", heading.id)

  // For password managers, which look for the name that a password belongs to.
  const name = element("input", "for-ears")
  Object.assign(name, { type: "email", value: email, autocomplete: "username", readOnly: true, tabIndex: -1 })
  name.setAttribute("aria-hidden", "true")

  const input = element("input", "input")
  Object.assign(input, { type: "password", autocomplete: "current-password", required: true, maxLength: 1024 })
  const label = element("label", "field", "Password")
  label.append(input)
  const trouble = element("p", "bad-news")
  trouble.setAttribute("role", "alert")

  const row = element("div", "button-row")
  const no = button("button grow", "Leave it", "no")
  no.formNoValidate = true
  const yes = button("button grow is-primary", "Go on", "yes")
  row.append(no, yes)
  // Enter presses a form's first button.
  const first = button("for-ears", "", "yes")
  first.tabIndex = -1
  first.setAttribute("aria-hidden", "true")
  form.append(first, heading, element("p", "note", "This matters, and you signed in a while ago."), name, label, trouble, row)
  dialog.append(form)
  return { dialog, form, input, trouble }
}

function button(look, text, value) {
  const made = element("button", look, text)
  Object.assign(made, { type: "submit", value })
  return made
}
