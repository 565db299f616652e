// A small picture of an event: rows of seats around a stage, as full as the house is. Drawn from the event's id and
// counts alone, so that each event looks like itself.

const ROWS = 6
const SEAT = 0.62 // of the pitch
const CORNER = 0.36 // of a seat

export function drawPoster(canvas, event) {
  const ratio = Math.min(devicePixelRatio || 1, 2)
  const { width, height } = canvas.getBoundingClientRect()
  canvas.width = Math.round(width * ratio)
  canvas.height = Math.round(height * ratio)
  const style = getComputedStyle(canvas)
  const tones = [0, 1, 2, 3].map((tone) => style.getPropertyValue(`--tone-${tone}`).trim())
  const sold = style.getPropertyValue("--map-sold").trim()
  const pen = canvas.getContext("2d")
  pen.scale(ratio, ratio)

  const random = randomOf(event.id)
  const { available = 0 } = event.counts ?? {}
  const share = event.seat_count ? available / event.seat_count : 1
  const spread = 0.55 + random() * 0.35 // radians to each side
  const pitch = height / (ROWS + 2.3)
  const centre = { x: width / 2, y: -height * (0.35 + random() * 0.5) }
  const first = Math.hypot(0, pitch * 1.9 - centre.y)
  const offset = Math.floor(random() * 2)

  for (let row = 0; row < ROWS; row++) {
    const radius = first + row * pitch * 1.06
    const count = Math.floor((2 * spread * radius) / pitch)
    for (let place = 0; place < count; place++) {
      const angle = Math.PI / 2 + ((place - (count - 1) / 2) * pitch) / radius
      const x = centre.x + Math.cos(angle) * radius
      const y = centre.y + Math.sin(angle) * radius
      if (x < -pitch || x > width + pitch) continue
      const tone = tones[Math.min(3, Math.floor((row + offset) / 2))]
      if (random() < share) drawSeat(pen, x, y, pitch * SEAT, tone)
      else drawDot(pen, x, y, pitch * 0.1, sold)
    }
  }
}

function drawSeat(pen, x, y, edge, color) {
  pen.fillStyle = color
  pen.beginPath()
  pen.roundRect(x - edge / 2, y - edge / 2, edge, edge, edge * CORNER)
  pen.fill()
}

function drawDot(pen, x, y, radius, color) {
  pen.fillStyle = color
  pen.beginPath()
  pen.arc(x, y, radius, 0, 7)
  pen.fill()
}

// The same numbers for the same seed (mulberry32).
function randomOf(seed) {
  let state = (seed * 0x9e3779b9) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
