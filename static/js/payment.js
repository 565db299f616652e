// An order that costs money, from the moment its seats are reserved: off to the page where it is paid, and what
// became of it. Told by asking, because the visitor may come back in another life of this page.

import { getOrder } from "./api.js"

const ASK_MS = 2000
const KEY = "seatmap.paying."

export class Payment {
  #key
  #tell
  #id = ""
  #timer = null

  // tell(order): as it is now, each time it was asked for
  constructor(eventId, tell) {
    this.#key = KEY + eventId
    this.#tell = tell
  }

  // Leaves for the page where the order is paid, unless it is paid at the door.
  begin(order) {
    remember(this.#key, order.id)
    this.#id = order.id
    this.#hear(order)
    if (order.checkout) this.leave(order)
  }

  leave({ checkout }) {
    const { protocol, href } = new URL(checkout.url, location.origin)
    if (protocol === "https:" || protocol === "http:") location.assign(href)
  }

  // Takes up what was begun before this page was loaded: `id`, or what is remembered.
  resume(id = recall(this.#key)) {
    if (!id || id === this.#id) return
    this.#id = id
    this.#ask()
  }

  async #ask() {
    clearTimeout(this.#timer)
    try {
      this.#hear(await getOrder(this.#id))
    } catch (error) {
      if (error.status === 404) this.#end()
      else this.#askAgain()
    }
  }

  #hear(order) {
    if (order.status === "pending" && order.checkout) this.#askAgain()
    else this.#end()
    this.#tell(order)
  }

  #askAgain() {
    this.#timer = setTimeout(() => this.#ask(), ASK_MS)
  }

  #end() {
    clearTimeout(this.#timer)
    remember(this.#key, null)
  }
}

function recall(key) {
  try {
    return sessionStorage.getItem(key)
  } catch {
    return null // the server says which order is open
  }
}

function remember(key, id) {
  try {
    if (id === null) sessionStorage.removeItem(key)
    else sessionStorage.setItem(key, id)
  } catch {
    // then only an open order is found again
  }
}
