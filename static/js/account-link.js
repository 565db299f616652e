// The header's "Sign in", which becomes the visitor's name: asked for when the page has nothing better to do.

import { getMe } from "./api.js"

const whenIdle = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, 500))

async function showName() {
  const link = document.querySelector("[data-account]")
  const user = await getMe().catch(() => null) // then it goes on saying "Sign in", which leads to the same page
  if (user) link.querySelector("span").textContent = user.name
}

const begin = () => whenIdle(showName)
if (document.readyState === "complete") begin()
else addEventListener("load", begin, { once: true })
