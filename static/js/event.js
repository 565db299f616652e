// The event page: opens a Session for the event of this address and hands it to the panels. Only the panels are
// Alpine's; session, store and map stay outside of its proxies, which would make every seat 50 times slower.

import Alpine from "/static/vendor/alpine-csp.js"
import { basketPanel } from "./panel-basket.js"
import { listPanel } from "./panel-list.js"
import { mapPanel } from "./panel-map.js"
import { pagePanel } from "./panel-page.js"
import { Session } from "./session.js"
import { announce, toast, toasts } from "./toasts.js"

const RELOADED_KEY = "seatmap.reloaded-for-plan"
const LOOK_NAMES = ["available", "held", "booked", "blocked", "mine", "pending"]

const eventId = Number(location.pathname.match(/^\/events\/(\d+)/)?.[1])
const shared = { map: null, isWanted: null } // what panels need of each other

const visit = Session.load(eventId)
visit.then(begin, () => {}) // the page panel tells of a failure

Alpine.data("page", pagePanel(visit))
Alpine.data("mapPanel", mapPanel(visit, shared))
Alpine.data("listPanel", listPanel(visit))
Alpine.data("basket", basketPanel(visit, shared))
Alpine.data("toasts", toasts)
Alpine.start()

function begin(session) {
  session.addEventListener("notice", ({ detail }) => toast(detail.text, detail.kind))
  session.addEventListener("say", ({ detail }) => announce(detail.text))
  session.addEventListener("plan", () => loadAgain(session))
  session.addEventListener("position", () => {
    const { epoch, version } = session.store.position
    document.documentElement.dataset.position = `${epoch}:${version}`
  })
  window.seatmap = handles(session)
  session.start()
}

// The venue's plan is another one than the page has: only a fresh page knows it. Not over and over, should the
// server not agree with itself for a while.
function loadAgain(session) {
  const known = `${eventId}:${session.venue.planVersion}`
  if (sessionStorage.getItem(RELOADED_KEY) === known) return
  sessionStorage.setItem(RELOADED_KEY, known)
  location.reload()
}

// For tests in a browser, which cannot see into a canvas.
function handles(session) {
  return {
    // 0 available, 1 held, 2 booked, 3 blocked: what the server said
    statusOf: (seat) => session.store.base[seat],
    // what is drawn
    lookOf: (seat) => LOOK_NAMES[session.store.view[seat]],
    // where to click, after bringing the seat into view
    pointOf(seat) {
      shared.map.reveal(seat)
      const box = document.querySelector("#map").getBoundingClientRect()
      const [x, y] = shared.map.pointOf(seat)
      return { x: box.left + x, y: box.top + y }
    },
    mine: () => [...session.store.mine],
    drawMs: () => shared.map.drawMs,
  }
}
