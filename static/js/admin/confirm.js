// A question before something that cannot be taken back: a modal dialog, answered by a promise.

import { element } from "./frame.js"

// → null when the answer is no; otherwise {reason, form}: "" where none was asked for, and what was entered in `asks`,
// an element with fields of the page's own.
export function confirm({ title, text, action, keep = "Keep it", danger = false, asksReason = false, asks = null }) {
  const dialog = element("dialog", "confirm")
  const form = element("form")
  form.method = "dialog"
  const heading = element("h2", "", title)
  heading.id = "confirm-title"
  dialog.setAttribute("aria-labelledby", heading.id)
  form.append(heading, element("p", "note", text))

  const reason = element("input", "input")
  if (asksReason) {
    const label = element("label", "field", "Reason, for the log")
    Object.assign(reason, { required: true, maxLength: 200, name: "reason" })
    label.append(reason)
    form.append(label)
  }

  if (asks) form.append(asks)

  const row = element("div", "button-row")
  const no = button("button grow", keep, "no")
  no.formNoValidate = true
  row.append(no, button(`button grow ${danger ? "is-danger" : "is-primary"}`, action, "yes"))
  form.append(row)
  dialog.append(form)
  document.body.append(dialog)

  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const answer = { reason: reason.value.trim(), form: new FormData(form) }
      dialog.remove()
      resolve(dialog.returnValue === "yes" ? answer : null)
    })
    dialog.showModal()
    const field = asksReason ? reason : asks?.querySelector("select, input")
    if (field) field.focus()
    else no.focus()
  })
}

function button(look, text, value) {
  const made = element("button", look, text)
  made.value = value
  // Enter in the field answers with the first button, which is the harmless one.
  made.type = "submit"
  return made
}
