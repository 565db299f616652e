// Runs `act` at most once per `ms`: what comes in between is one call at the end of the pause. Outside of Alpine's
// components, where an undeclared field would be shared with the component around it.
export function throttled(ms, act) {
  let timer = 0
  return () => {
    timer ||= setTimeout(() => {
      timer = 0
      act()
    }, ms)
  }
}
