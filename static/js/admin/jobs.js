// Background work: how far it is, and what failed for good.

import Alpine from "/static/vendor/alpine-csp.js"
import { eventDate, plural } from "../format.js"
import { toast, toasts } from "../toasts.js"
import { enter, may } from "./frame.js"
import { listPanel } from "./list.js"
import { send } from "./send.js"
import { jobProgress, jobState, spoken } from "./words.js"

const POLL_MS = 2000
const STATES = ["queued", "running", "done", "failed"]

const entered = enter("jobs")
let mayRetry = false

Alpine.data("jobs", () => ({
  ...listPanel({ entered, path: "/api/admin/jobs", key: "jobs", describe, pollMs: POLL_MS }),
  states: STATES.map((value) => ({ value, text: jobState(value)[0] })),

  entered(user) {
    mayRetry = may(user, "admin")
  },

  retry(row) {
    return this.tryAgain(`/api/admin/jobs/${row.id}/retry`, () => `${row.kind} is tried again.`)
  },

  retryAll() {
    return this.tryAgain("/api/admin/jobs/retry", ({ jobs }) => `${plural(jobs, "job")} will be tried again, after what waits now.`)
  },

  failures() {
    return this.rows.some((row) => row.canRetry)
  },

  async tryAgain(path, told) {
    this.busy = true
    try {
      toast(told(await send("POST", path)), "good")
    } catch (error) {
      toast(error.message, "bad")
    }
    this.busy = false
    await this.refresh()
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

function describe(job) {
  const [state, look] = jobState(job.state)
  return {
    id: job.id,
    kind: spoken(job.kind),
    about: job.event_id ? `Event ${job.event_id}` : "",
    state,
    look,
    done: job.done ?? 0,
    total: job.total ?? 0,
    progress: jobProgress(job),
    error: job.state === "done" ? "" : (job.error ?? ""),
    made: eventDate(job.created_at),
    canRetry: job.state === "failed" && mayRetry,
  }
}
