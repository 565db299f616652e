// Commands of one visitor: one at a time, each matched with its reply. What happens to a command whose answer got
// lost depends on its kind: `book` and `cancel` carry an order id and may be sent again; the others may not, and
// are answered with {lost: true} once the server has said what is mine.

import { uuid7 } from "./ids.js"

const ANSWER_MS = 8000
const RETRY_MS = 1000
const RETRY_MAX_MS = 8000

const REPEATABLE = new Set(["book", "cancel"])

export class Commands {
  #send
  #overdue
  #waiting = [] // {make, resolve}
  #current = null // {command, sentAt, tries, resolve}
  #ready = false
  #timer = null

  // send(command); overdue(): a `mine` was not answered either: the connection is no good
  constructor(send, { overdue = () => {} } = {}) {
    this.#send = send
    this.#overdue = overdue
  }

  // make() is called when the command's turn has come, and returns its fields; null means: no longer needed.
  // Resolves to the reply's {mine | order | error} with `sentAt`, or to {lost: true} or {skipped: true}.
  ask(make) {
    return new Promise((resolve) => {
      this.#waiting.push({ make, resolve })
      this.#next()
    })
  }

  // The connection is up and the server has said what is mine.
  open() {
    if (this.#ready) return
    this.#ready = true
    if (!this.#current) this.#next()
    else if (REPEATABLE.has(this.#current.command.type)) this.#transmit()
    else this.#settle({ lost: true })
  }

  close() {
    this.#ready = false
    clearTimeout(this.#timer)
  }

  // False when the reply answers nothing that is waited for.
  take({ id, mine, order, error }) {
    if (id !== this.#current?.command.id) return false
    const { command, sentAt, tries } = this.#current
    if (error?.temporary && REPEATABLE.has(command.type)) this.#repeatIn(Math.min(RETRY_MAX_MS, RETRY_MS * tries))
    else this.#settle({ mine, order, error, sentAt })
    return true
  }

  #next() {
    while (this.#ready && !this.#current && this.#waiting.length > 0) {
      const { make, resolve } = this.#waiting.shift()
      const fields = make()
      if (!fields) {
        resolve({ skipped: true })
        continue
      }
      this.#current = { command: { id: uuid7(), ...fields }, tries: 0, resolve }
      this.#transmit()
    }
  }

  #transmit() {
    clearTimeout(this.#timer)
    if (!this.#ready) return
    this.#current.tries++
    this.#current.sentAt = performance.now()
    this.#timer = setTimeout(() => this.#giveUpWaiting(), ANSWER_MS)
    this.#send(this.#current.command)
  }

  #repeatIn(ms) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#transmit(), ms)
  }

  #giveUpWaiting() {
    const { type } = this.#current.command
    if (REPEATABLE.has(type)) this.#transmit()
    else {
      this.#settle({ lost: true })
      if (type === "mine") this.#overdue()
    }
  }

  #settle(answer) {
    clearTimeout(this.#timer)
    const { resolve } = this.#current
    this.#current = null
    resolve(answer)
    // After the asker has drawn its conclusions, which the next command may depend on.
    queueMicrotask(() => queueMicrotask(() => this.#next()))
  }
}
