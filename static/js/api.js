// The HTTP API: JSON in, JSON out, problems (RFC 9457) thrown.

const TIMEOUT_MS = 10_000

export class Problem extends Error {
  constructor({ code = "error", detail = "", title = "", status = 0, temporary = false, seats = [] }) {
    super(detail || title || "Something went wrong.")
    this.code = code
    this.status = status
    this.temporary = temporary
    this.seats = seats
  }
}

export const getEvents = async () => (await request("/api/events")).events
export const getEvent = (id) => request(`/api/events/${id}`)
export const getPlan = (id) => request(`/api/events/${id}/plan`)
export const getOrders = async () => (await request("/api/orders")).orders

export const getOrder = (id) => request(`/api/orders/${id}`)
export const getMe = async () => (await request("/api/account/me")).user

export const sendCommand = (eventId, { type, ...fields }) => send("POST", `/api/events/${eventId}/${type}`, fields)

export const send = (method, path, body) =>
  request(path, {
    method,
    ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  })

export async function request(path, options = {}) {
  let response
  try {
    // Revalidated each time: a plan that changed must not come from an old cache.
    response = await fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS), ...options })
  } catch {
    throw new Problem({ code: "offline", detail: "The box office cannot be reached. Check your connection.", temporary: true })
  }
  const body = await response.json().catch(() => ({}))
  if (!response.ok) throw new Problem({ status: response.status, ...body })
  return body
}
