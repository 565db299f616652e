// Until an event's sale begins, its state is asked for now and then, each page at its own pace.

const POLL_MS = 15_000
const SPREAD_MS = 1000

export function untilOnSale(session, ask) {
  if (session.sale !== "not_yet") return
  setTimeout(async () => {
    await ask()
    untilOnSale(session, ask)
  }, POLL_MS * (0.5 + Math.random()))
}

// A sale that was closed may mean that the event is cancelled: asked once, not by all pages at the same instant.
export const afterClosing = (ask) => setTimeout(ask, Math.random() * SPREAD_MS)
