// Decodes the binary frames of docs/protocol.md: little endian, 16 bytes of header, then seats.

export const SNAPSHOT = 1
export const CHANGE = 2
export const HEARTBEAT = 3
export const REBASE = 4
export const AGES = 5 // of held seats; to dashboards only

const STALE = 1 // flag of a heartbeat: the map may be older than 5 s
const HEADER_BYTES = 16
const REBASE_BYTES = 8 // the old position, between header and entries

// One packed byte (four seats) → four bytes, so that a snapshot is unpacked with one read and write per byte.
const FOUR_SEATS = new Uint32Array(256)
for (let byte = 0; byte < 256; byte++) {
  FOUR_SEATS[byte] = (byte & 3) | (((byte >> 2) & 3) << 8) | (((byte >> 4) & 3) << 16) | ((byte >> 6) << 24)
}

// ArrayBuffer → {type, planVersion, epoch, …}; null for a type that this page does not know.
export function decodeFrame(buffer) {
  const view = new DataView(buffer)
  const frame = { type: view.getUint8(0), planVersion: view.getUint16(2, true), epoch: view.getUint32(4, true) }
  const first = view.getUint32(8, true)
  const second = view.getUint32(12, true)

  switch (frame.type) {
    case SNAPSHOT:
      return { ...frame, version: first, statuses: unpackStatuses(new Uint8Array(buffer, HEADER_BYTES), second) }
    case CHANGE:
      return { ...frame, since: first, version: second, entries: new Uint32Array(buffer, HEADER_BYTES) }
    case HEARTBEAT:
      return { ...frame, version: first, viewers: second, stale: (view.getUint8(1) & STALE) !== 0 }
    case REBASE:
      return {
        ...frame,
        version: first,
        oldEpoch: view.getUint32(HEADER_BYTES, true),
        oldVersion: view.getUint32(HEADER_BYTES + 4, true),
        entries: new Uint32Array(buffer, HEADER_BYTES + REBASE_BYTES, second),
      }
    case AGES:
      return { ...frame, version: first, entries: new Uint32Array(buffer, HEADER_BYTES, second) }
    default:
      return null
  }
}

// Two bits per seat → one byte per seat.
export function unpackStatuses(packed, seatCount) {
  const words = new Uint32Array(Math.ceil(seatCount / 4))
  for (let i = 0; i < words.length; i++) words[i] = FOUR_SEATS[packed[i]]
  return new Uint8Array(words.buffer, 0, seatCount)
}

// Positions compare by epoch first. Negative: a is older than b.
export function comparePositions(a, b) {
  return a.epoch - b.epoch || a.version - b.version
}
