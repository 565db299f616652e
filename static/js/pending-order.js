// The one purchase of an event whose answer has not come yet. It is kept with its whole command before it is
// sent, so that after a reload or a lost connection the same order can be asked for again: never a second one.

const KEY = "seatmap.order."
const memory = new Map() // when storage is refused (private windows)

export class PendingOrder {
  #key

  constructor(eventId) {
    this.#key = KEY + eventId
  }

  get command() {
    const text = read(this.#key)
    try {
      return text ? JSON.parse(text) : null
    } catch {
      return null
    }
  }

  keep(command) {
    write(this.#key, JSON.stringify(command))
  }

  forget() {
    write(this.#key, null)
  }

  // Event ids that have an unanswered order.
  static events() {
    let keys = [...memory.keys()]
    try {
      keys = keys.concat(Object.keys(localStorage))
    } catch {
      // no storage: what is in memory is all there is
    }
    return [...new Set(keys)].filter((key) => key.startsWith(KEY)).map((key) => Number(key.slice(KEY.length)))
  }
}

function read(key) {
  try {
    return localStorage.getItem(key) ?? memory.get(key)
  } catch {
    return memory.get(key)
  }
}

function write(key, text) {
  if (text === null) memory.delete(key)
  else memory.set(key, text)
  try {
    if (text === null) localStorage.removeItem(key)
    else localStorage.setItem(key, text)
  } catch {
    // kept in memory, for as long as the page lives
  }
}
