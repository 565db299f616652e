// Colours of the map, read from the style sheet's custom properties; and which tone a category has.

// Tones go from the dearest to the cheapest category. With more than four, two lie between; more than six share.
const TONES_FEW = [0, 1, 2, 3]
const TONES_MANY = [0, 1, 4, 2, 5, 3]

// Category index → tone (0…5), the number in the style sheet's --tone-N and .tone-N.
export function tonesOf(categories) {
  const prices = [...new Set(categories.map(({ price }) => price))].sort((a, b) => b - a)
  const tones = prices.length <= TONES_FEW.length ? TONES_FEW : TONES_MANY
  return categories.map(({ price }) => {
    const rank = prices.indexOf(price)
    return tones[prices.length <= tones.length ? rank : Math.floor((rank * tones.length) / prices.length)]
  })
}

export function readPalette(element, categories) {
  const style = getComputedStyle(element)
  const color = (name) => style.getPropertyValue(name).trim()
  const seats = tonesOf(categories).map((tone) => color(`--tone-${tone}`))
  return {
    seats,
    numbers: seats.map((seat) => (luminance(seat) > 0.2 ? "#0d1018" : "#ffffff")),
    ground: color("--map-ground"),
    section: color("--map-section"),
    line: color("--map-line"),
    ink: color("--map-ink"),
    faint: color("--map-faint"),
    sold: color("--map-sold"),
    mine: color("--mine"),
    onMine: color("--on-mine"),
    font: style.fontFamily,
  }
}

// Relative luminance (WCAG 2.2) of #rrggbb.
function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const channel = parseInt(hex.slice(at, at + 2), 16) / 255
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
