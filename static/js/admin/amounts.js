// Amounts as people type them: "25", "25.50", "25,50".

import { fractionDigits } from "../format.js"

// → integer minor units; NaN where it is no amount.
export function parseAmount(text, currency) {
  const digits = fractionDigits(currency)
  const [, whole, fraction = ""] = text.trim().replace(",", ".").match(/^(\d{1,9})(?:\.(\d+))?$/) ?? []
  if (whole === undefined || fraction.length > digits) return NaN
  return Number(whole + fraction.padEnd(digits, "0"))
}

export function amountText(minor, currency) {
  const digits = fractionDigits(currency)
  return (minor / 10 ** digits).toFixed(minor % 10 ** digits ? digits : 0)
}
