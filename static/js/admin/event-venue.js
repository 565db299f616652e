// What an event takes place in and what that costs: another plan, a category less. A part of the event page's
// component: methods only.

import { toast } from "../toasts.js"
import { confirm } from "./confirm.js"
import { formOf } from "./event-form.js"
import { element } from "./frame.js"
import { gridOf, SIDE_MAX } from "./grid-plan.js"
import { getPlans } from "./plans.js"
import { send } from "./send.js"

const GRID = "grid" // in the list of plans: rows and columns instead

export const venueWork = (id) => ({
  // Asks for another plan. Seats that somebody has must be in it; the server says which are not.
  async changePlan() {
    if (this.dirty) return toast("Save your changes first.", "bad")
    const plans = await getPlans()
    const sure = await confirm({
      title: "Change the plan?",
      text: this.head.isDraft
        ? "The seats are made anew; what was blocked or marked is forgotten."
        : "Seats that both plans have stay as they are. New ones go on sale at once, others are taken away for ever. Open pages follow.",
      action: "Change the plan",
      keep: "Keep this one",
      asks: planFields(plans),
    })
    if (!sure) return
    await this.attempt(async () => {
      await this.take(await send("POST", `/api/admin/events/${id}/plan`, planOf(sure.form)))
      toast("The plan is another one now.", "good")
    })
  },

  // A category that is not saved yet just goes; another asks whose price its seats should have.
  async removeCategory(category) {
    if (!category.id) {
      this.form.categories = this.form.categories.filter((other) => other !== category)
      return
    }
    if (this.dirty) return toast("Save your changes first.", "bad")
    const others = this.event.categories.filter((other) => other.id !== category.id)
    if (others.length === 0) return toast("An event has one category at least.", "bad")
    const sure = await confirm({
      title: `Take ${category.name} away?`,
      text: "Its seats get another category, and its price.",
      action: "Take it away",
      danger: true,
      asks: labelled("Its seats become", choices("replacement", others.map((other) => [other.id, other.name]))),
    })
    if (!sure) return
    await this.attempt(async () => {
      await this.take(await send("DELETE", `/api/admin/events/${id}/categories/${category.id}?replacement=${sure.form.get("replacement")}`))
      toast(`${category.name} is gone.`, "good")
    })
  },

  // Shows the event that a call answered, its fields too.
  async take(event) {
    this.show(event)
    this.form = formOf(event)
    await this.showSeats(event, { anew: true })
  },
})

function planFields(plans) {
  const fields = element("div", "field-stack")
  const list = choices("plan", [
    ...plans.map((plan) => [plan.id, plan.text]),
    [GRID, "Rows and columns…"],
  ])
  const grid = element("div", "field-stack")
  const pair = element("div", "field-pair")
  pair.append(labelled("Rows", number("rows", 10)), labelled("Seats per row", number("columns", 16)))
  const aisles = text("aisles", "")
  aisles.placeholder = "for example 4, 12"
  grid.append(pair, labelled("Aisles", aisles), labelled("Section", text("section", "Stalls")))
  const show = () => {
    grid.hidden = list.value !== GRID
  }
  list.addEventListener("change", show)
  show()
  fields.append(labelled("Plan", list), grid)
  return fields
}

function planOf(form) {
  return form.get("plan") === GRID ? { grid: gridOf(form) } : { plan_id: Number(form.get("plan")) }
}

function labelled(words, field) {
  const label = element("label", "field", words)
  label.append(field)
  return label
}

function choices(name, options) {
  const list = element("select", "input")
  list.name = name
  for (const [value, words] of options) {
    const option = element("option", "", words)
    option.value = value
    list.append(option)
  }
  return list
}

function number(name, value) {
  const field = text(name, value)
  Object.assign(field, { type: "number", min: 1, max: SIDE_MAX, required: true })
  return field
}

function text(name, value) {
  const field = element("input", "input")
  Object.assign(field, { name, value, maxLength: 200 })
  return field
}
