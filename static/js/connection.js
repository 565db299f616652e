// The page's websocket: opens it at the page's position, notices when it is dead, and comes back with backoff and
// full jitter, so that a restarted server is not met by everybody at once.

import { decodeFrame } from "./protocol.js"

const HEARTBEAT_MS = 5000 // until the hello tells the server's own
const RECONNECT_MS = 1000
const RECONNECT_MAX_MS = 15_000
const WATCH_MS = 500
const SERVICE_RESTART = 1012 // its reason is the window in ms over which to choose the moment to come back

export class Connection {
  #url
  #on
  #socket = null
  #tries = 0
  #heartbeatMs = HEARTBEAT_MS
  #reconnectMs = RECONNECT_MS
  #heardAt = 0
  #retry = null

  // url(): where to connect to now. on: {message(object), frame(object), close}
  constructor(url, on) {
    this.#url = url
    this.#on = on
  }

  start() {
    this.#open()
    setInterval(() => this.#watch(), WATCH_MS)
    addEventListener("online", () => this.#hurry())
    addEventListener("pageshow", () => this.#watch())
    document.addEventListener("visibilitychange", () => document.hidden || this.#watch())
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN
  }

  send(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message))
  }

  // Gives this socket up for a new one.
  restart() {
    this.#drop()
    this.#scheduleOpen()
  }

  #open() {
    clearTimeout(this.#retry)
    this.#retry = null
    this.#heardAt = performance.now()
    const socket = new WebSocket(this.#url())
    socket.binaryType = "arraybuffer"
    socket.onmessage = ({ data }) => this.#hear(data)
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return
      if (code === SERVICE_RESTART && /^\d+$/.test(reason)) this.#reconnectMs = Number(reason)
      this.restart()
    }
    this.#socket = socket
  }

  #hear(data) {
    this.#heardAt = performance.now()
    if (typeof data !== "string") {
      const frame = decodeFrame(data)
      if (frame) this.#on.frame(frame)
      return
    }
    const message = JSON.parse(data)
    if (message.type === "hello") {
      this.#tries = 0
      this.#heartbeatMs = message.heartbeat_ms
      this.#reconnectMs = message.reconnect_ms
    }
    this.#on.message(message)
  }

  #watch() {
    if (this.#retry || !this.#socket) return
    if (performance.now() - this.#heardAt > 2 * this.#heartbeatMs) this.restart()
  }

  // The network is back: no reason to sit out a long pause, but not all at the same instant either.
  #hurry() {
    if (!this.#retry) return
    this.#tries = 0
    this.#scheduleOpen()
  }

  #drop() {
    const socket = this.#socket
    this.#socket = null
    if (!socket) return
    socket.onmessage = socket.onclose = null
    socket.close()
    this.#on.close()
  }

  #scheduleOpen() {
    clearTimeout(this.#retry)
    const spread = Math.min(RECONNECT_MAX_MS, Math.max(this.#reconnectMs, 250) * 2 ** this.#tries++)
    this.#retry = setTimeout(() => this.#open(), Math.random() * spread)
  }
}
