// Short sentences that come and go, and what screen readers are told. One per page.

const SHOWN_MS = 6500
const SHOWN_AT_ONCE = 3

const listeners = []

// kind: "info", "good" or "bad". Also read aloud; bad news at once.
export function toast(text, kind = "info") {
  for (const listener of listeners) listener(text, kind)
  announce(text, kind === "bad")
}

export function announce(text, atOnce = false) {
  const region = document.querySelector(`[data-announcer][role=${atOnce ? "alert" : "status"}]`)
  if (!region) return
  region.textContent = "" // so that the same sentence is read again
  requestAnimationFrame(() => {
    region.textContent = text
  })
}

// The Alpine component.
export const toasts = () => ({
  toasts: [],
  last: 0,

  init() {
    listeners.push((text, kind) => this.add(text, kind))
  },

  add(text, kind) {
    const id = ++this.last
    const others = this.toasts.filter((other) => other.text !== text)
    this.toasts = [...others, { id, text, look: `toast is-${kind}` }].slice(-SHOWN_AT_ONCE)
    setTimeout(() => this.remove(id), SHOWN_MS)
  },

  remove(id) {
    this.toasts = this.toasts.filter((other) => other.id !== id)
  },
})
