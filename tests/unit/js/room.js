import { Venue } from "../../../static/js/venue.js"

// Two rows of five seats, three units apart, with an aisle after the second seat of each; the front row is dearer.
export function room(more = {}) {
  const places = [0, 3, 9, 12, 15]
  return new Venue({
    plan_version: 1,
    name: "Room",
    currency: "EUR",
    sections: ["Stalls"],
    rows: [{ section: 0, label: "A", first: 0, count: 5 }, { section: 0, label: "B", first: 5, count: 5 }],
    numbers: ["1", "2", "3", "4", "5", "1", "2", "3", "4", "5"],
    x: [...places, ...places],
    y: [...places.map(() => 0), ...places.map(() => 3.5)],
    category: [0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
    breaks: [0, 2, 5, 7],
    categories: [{ id: 1, name: "Front", price: 2000, color: "" }, { id: 2, name: "Back", price: 1250, color: "" }],
    shapes: [{ points: [4, -8, 11, -8, 11, -5, 4, -5], text: "Stage", color: "" }],
    ...more,
  })
}
