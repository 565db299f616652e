// Light or dark: the system's choice until the visitor makes one. Loaded as a classic script in the head, so that
// the first paint is right already; hence no imports and no exports.
{
  const KEY = "seatmap.theme"
  const root = document.documentElement
  const system = matchMedia("(prefers-color-scheme: dark)")

  const stored = () => {
    try {
      return localStorage.getItem(KEY)
    } catch {
      return null
    }
  }

  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark"

  const announce = () => {
    for (const button of document.querySelectorAll("[data-theme-button]")) {
      button.setAttribute("aria-pressed", isDark())
    }
    root.dispatchEvent(new CustomEvent("themechange"))
  }

  const choose = (theme) => {
    root.dataset.theme = theme
    try {
      localStorage.setItem(KEY, theme)
    } catch {
      // the choice lasts as long as the page
    }
    announce()
  }

  if (["light", "dark"].includes(stored())) root.dataset.theme = stored()
  system.addEventListener("change", announce)
  document.addEventListener("DOMContentLoaded", announce)
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-button]")) choose(isDark() ? "light" : "dark")
  })
}
