// How long a hold still lasts, from durations that the server told and this machine's monotonic clock.
// The end of a hold is the server's word alone: at zero this only stops at 0:00.

const SHOWN_EARLY_MS = 2000 // shown time runs out before the real one, to make up for the way there

export class Countdown {
  #endsAt = 0
  #spanMs = 0

  // `ms` from the server, counted from `sentAt`, the moment the command left (performance.now()).
  start(ms, sentAt) {
    const shown = Math.max(0, ms - SHOWN_EARLY_MS)
    this.#spanMs = this.running ? Math.max(this.#spanMs, shown) : shown
    this.#endsAt = sentAt + shown
  }

  stop() {
    this.#endsAt = 0
    this.#spanMs = 0
  }

  get running() {
    return this.#endsAt > 0
  }

  leftMs(now = performance.now()) {
    return this.running ? Math.max(0, this.#endsAt - now) : 0
  }

  // How long ago the shown time ran out; 0 while it runs.
  overdueMs(now = performance.now()) {
    return this.running ? Math.max(0, now - this.#endsAt) : 0
  }

  // 1 at the start, 0 at the end.
  fraction(now = performance.now()) {
    return this.#spanMs > 0 ? this.leftMs(now) / this.#spanMs : 0
  }
}
