// Money, dates and counts in the words of the reader's language.

const language = () => globalThis.document?.documentElement.lang || "en"

// `minor` is an integer in the currency's minor unit; whole amounts are shown without decimals.
export function money(minor, currency) {
  const digits = fractionDigits(currency)
  const whole = minor % 10 ** digits === 0
  return new Intl.NumberFormat(language(), {
    style: "currency",
    currency,
    minimumFractionDigits: whole ? 0 : digits,
    maximumFractionDigits: digits,
  }).format(minor / 10 ** digits)
}

export function fractionDigits(currency) {
  return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits
}

export function priceRange(prices, currency) {
  if (prices.length === 0) return ""
  const lowest = Math.min(...prices)
  const highest = Math.max(...prices)
  return lowest === highest ? money(lowest, currency) : `${money(lowest, currency)} – ${money(highest, currency)}`
}

export const count = (number) => new Intl.NumberFormat(language()).format(number)

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`

// "Sat 12 Dec 2026, 19:30", as the clocks of the venue show it.
export function eventDate(iso, timezone) {
  return withZone(timezone, (timeZone) => {
    const date = new Date(iso)
    const day = new Intl.DateTimeFormat(dateLanguage(), {
      weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone,
    }).format(date)
    const time = new Intl.DateTimeFormat(dateLanguage(), {
      hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone,
    }).format(date)
    return `${day.replace(",", "")}, ${time}`
  })
}

export function dayParts(iso, timezone) {
  return withZone(timezone, (timeZone) => {
    const part = (options) => new Intl.DateTimeFormat(dateLanguage(), { ...options, timeZone }).format(new Date(iso))
    return { day: part({ day: "numeric" }), month: part({ month: "short" }) }
  })
}

// Plain "en" would put the month first, which half of its readers misread.
const dateLanguage = () => (language() === "en" ? "en-GB" : language())

function withZone(timezone, format) {
  try {
    return format(timezone || undefined)
  } catch {
    return format(undefined) // a zone that this browser does not know
  }
}

// "7:59". Never negative.
export function clock(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}

// The sentence that says whether and when tickets can be bought.
export function saleNotice(event, sale = event.sale) {
  if (event.status === "cancelled") return "This event has been cancelled."
  switch (sale) {
    case "on_sale": return ""
    case "not_yet": return event.on_sale_from
      ? `Tickets go on sale ${eventDate(event.on_sale_from, event.timezone)}.`
      : "Tickets are not on sale yet."
    case "paused": return "Sales are paused for a moment. Seats that you hold can still be bought."
    case "ended": return "The sale of tickets has ended."
    default: return "Tickets are not on sale at the moment."
  }
}
