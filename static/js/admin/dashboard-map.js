// The dashboard's map: the buyers' map, looked at only, coloured by state or by the age of holds.

import { clock } from "../format.js"
import { AVAILABLE, BLOCKED, BOOKED, HELD } from "../store.js"
import { HeatStore } from "./heat.js"
import { mountMap } from "./mount-map.js"

const WORDS = { [AVAILABLE]: "Available", [BOOKED]: "Sold", [BLOCKED]: "Not for sale" }
const LABEL = "Seat map. Arrow keys move between seats, Enter tells more of one, Page Up and Page Down change the section."

// pick(seat): a seat was pressed. → {paint(byAge), describe(seat)}
export function dashboardMap(host, watch, pick) {
  const heat = new HeatStore(watch)
  const { map } = mountMap(host, watch.store, {
    label: LABEL,
    choose: pick,
    describe: (seat) => ({ text: words(watch, seat), active: watch.store.base[seat] === HELD }),
    drawn: heat,
  })
  return {
    paint(byAge) {
      host.classList.toggle("is-heat", byAge)
      map.filter(heat.paint({ byAge }))
    },
    describe: (seat) => ({ label: watch.venue.label(seat), text: words(watch, seat), held: watch.store.base[seat] === HELD }),
  }
}

function words(watch, seat) {
  const status = watch.store.base[seat]
  return status === HELD ? `Held for ${clock(watch.ageOf(seat))}` : WORDS[status]
}
