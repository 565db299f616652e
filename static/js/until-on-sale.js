// Until an event's sale begins, its state is asked for now and then, each page at its own pace.

const POLL_MS = 15_000

export function untilOnSale(session, ask) {
  if (session.sale !== "not_yet") return
  setTimeout(async () => {
    await ask()
    untilOnSale(session, ask)
  }, POLL_MS * (0.5 + Math.random()))
}
