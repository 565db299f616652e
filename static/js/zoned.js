// Times as the clocks of a venue show them, for <input type=datetime-local>, and back.

const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }

// "2026-12-12T19:30". Empty for no time.
export function toLocal(time, timeZone) {
  if (time === null || time === "") return ""
  const parts = new Intl.DateTimeFormat("en-GB", { ...PARTS, timeZone }).formatToParts(new Date(time))
  const part = (type) => parts.find((other) => other.type === type).value
  return `${part("year")}-${part("month")}-${part("day")}T${part("hour")}:${part("minute")}`
}

// ISO, in UTC; null for no time. Twice, because the zone's offset may differ between the guess and the time meant.
export function fromLocal(local, timeZone) {
  if (!local) return null
  const wanted = Date.parse(`${local}Z`)
  let time = wanted
  for (let round = 0; round < 2; round++) time = wanted - (Date.parse(`${toLocal(time, timeZone)}Z`) - time)
  return new Date(time).toISOString()
}

export const zones = () => Intl.supportedValuesOf("timeZone")
export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone
