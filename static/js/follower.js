// Keeps a store at the head of an event: decides about each frame as docs/protocol.md says, and asks for what is
// missing. Knows nothing of sockets.

import { CHANGE, comparePositions, HEARTBEAT, REBASE, SNAPSHOT } from "./protocol.js"

const SYNC_AFTER_MS = 1000 // a heartbeat that is ahead of us waits this long for the frame it speaks of

export class Follower {
  #store
  #sync
  #overtaken = null // timer of the heartbeat that waits

  // sync(): ask the server for what this page's position misses
  constructor(store, sync) {
    this.#store = store
    this.#sync = sync
  }

  take(frame) {
    if (frame.type !== HEARTBEAT) this.#stopWaiting()
    switch (frame.type) {
      case SNAPSHOT: return this.#takeSnapshot(frame)
      case CHANGE: return this.#takeChange(frame)
      case REBASE: return this.#takeRebase(frame)
      case HEARTBEAT: return this.#takeHeartbeat(frame)
    }
  }

  stop() {
    this.#stopWaiting()
  }

  #takeSnapshot({ epoch, version, statuses }) {
    const position = { epoch, version }
    if (comparePositions(position, this.#store.position) >= 0) this.#store.takeSnapshot(position, statuses)
  }

  #takeChange({ epoch, since, version, entries }) {
    const position = this.#store.position
    if (epoch !== position.epoch) this.#sync()
    else if (version <= position.version) return
    else if (since <= position.version) this.#store.takeEntries({ epoch, version }, entries)
    else this.#sync()
  }

  #takeRebase({ epoch, version, oldEpoch, oldVersion, entries }) {
    const position = this.#store.position
    if (comparePositions(position, { epoch, version }) >= 0) return
    if (oldEpoch === position.epoch && oldVersion === position.version) {
      this.#store.takeEntries({ epoch, version }, entries)
    } else {
      this.#sync()
    }
  }

  #takeHeartbeat(heartbeat) {
    if (comparePositions(heartbeat, this.#store.position) === 0) return this.#stopWaiting()
    this.#overtaken ??= setTimeout(() => {
      this.#overtaken = null
      this.#sync()
    }, SYNC_AFTER_MS)
  }

  #stopWaiting() {
    clearTimeout(this.#overtaken)
    this.#overtaken = null
  }
}
