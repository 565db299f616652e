// Calls that change something. What matters most is refused when the password was given long ago; then it is asked
// for, and the call repeated.

import { Problem, send as sendOnce } from "../api.js"
import { askPassword } from "./password.js"

export async function send(method, path, body) {
  try {
    return await sendOnce(method, path, body)
  } catch (error) {
    if (error.code !== "password_needed") throw error
  }
  if (!(await askPassword())) throw new Problem({ code: "password_needed", detail: "Nothing was done without your password." })
  return sendOnce(method, path, body)
}
