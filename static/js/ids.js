// Ids that the page makes itself. crypto.randomUUID is absent on plain http from another machine, so
// these are made from crypto.getRandomValues.

// A UUIDv7: 48 bits of milliseconds, then random bits, so that ids sort by the time they were made.
export function uuid7(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  new DataView(bytes.buffer).setUint16(0, Math.floor(now / 2 ** 32))
  new DataView(bytes.buffer).setUint32(2, now % 2 ** 32)
  bytes[6] = (bytes[6] & 0x0f) | 0x70 // version 7
  bytes[8] = (bytes[8] & 0x3f) | 0x80 // variant of RFC 9562

  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-")
}

// The part of an order's id that people read to each other: the random end, not the time at its front.
export function shortReference(id) {
  const tail = id.replaceAll("-", "").slice(-8).toUpperCase()
  return `${tail.slice(0, 4)}-${tail.slice(4)}`
}
