// The dashboard's map: the buyers' map, looked at only, coloured by state or by the age of holds.

import { clock } from "../format.js"
import { SeatMap } from "../map.js"
import { Tooltip } from "../map-tooltip.js"
import { SeatGrid } from "../seat-grid.js"
import { AVAILABLE, BLOCKED, BOOKED, HELD } from "../store.js"
import { HeatStore } from "./heat.js"
import { mapParts, steer } from "./map-parts.js"

const WORDS = { [AVAILABLE]: "Available", [BOOKED]: "Sold", [BLOCKED]: "Not for sale" }
const LABEL = "Seat map. Arrow keys move between seats, Enter tells more of one, Page Up and Page Down change the section."

// pick(seat): a seat was pressed. → {paint(byAge), describe(seat)}
export function mountMap(host, watch, pick) {
  const { parts, grid, controls } = mapParts(LABEL)
  host.append(...parts)
  const heat = new HeatStore(watch)
  let tooltip = null
  const map = new SeatMap(host, heat, { choose: pick, hover: (seat) => tooltip?.show(seat) })
  tooltip = new Tooltip(host, map, watch.store, (seat) => ({ text: words(watch, seat), active: watch.store.base[seat] === HELD }))
  new SeatGrid(grid, map, watch.store, pick)
  steer(map, controls)

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
