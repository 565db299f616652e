// The line of the last five minutes: holds and bookings a second.

import uPlot from "/static/vendor/uplot.js"

const SECONDS = 300
const HEIGHT = 190

export class Trend {
  #host
  #chart = null
  #holds = new Array(SECONDS).fill(null) // null: nobody knows
  #books = new Array(SECONDS).fill(null)
  #seconds = Array.from({ length: SECONDS }, (_, index) => index - SECONDS + 1)

  constructor(host) {
    this.#host = host
    new ResizeObserver(() => this.#chart?.setSize({ width: host.clientWidth, height: HEIGHT })).observe(host)
    document.documentElement.addEventListener("themechange", () => this.#make())
    this.#make()
  }

  // One rate per second each, the oldest first.
  begin(holds, books) {
    this.#holds = holds.slice(-SECONDS)
    this.#books = books.slice(-SECONDS)
    this.#show()
  }

  add(holds, books) {
    this.#holds = [...this.#holds.slice(1), holds]
    this.#books = [...this.#books.slice(1), books]
    this.#show()
  }

  #show() {
    this.#chart.setData([this.#seconds, this.#holds, this.#books])
  }

  // Colours are read when it is made, so another theme makes another chart.
  #make() {
    this.#chart?.destroy()
    const style = getComputedStyle(this.#host)
    const color = (name) => style.getPropertyValue(name).trim()
    const line = (stroke, fill) => ({ stroke: color(stroke), fill: fill && `${color(stroke)}22`, width: 2, points: { show: false } })
    const axis = { stroke: color("--soft"), font: `12px ${style.fontFamily}`, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } }
    this.#chart = new uPlot({
      width: this.#host.clientWidth,
      height: HEIGHT,
      padding: [10, 12, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: [1 - SECONDS, 0] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
      axes: [
        { ...axis, size: 26, splits: () => [-240, -180, -120, -60, 0], values: (_, at) => at.map((seconds) => (seconds ? `${-seconds / 60} min` : "now")) },
        { ...axis, size: 44 },
      ],
      series: [{}, line("--trend-holds", true), line("--trend-books")],
    }, [this.#seconds, this.#holds, this.#books], this.#host)
  }
}
