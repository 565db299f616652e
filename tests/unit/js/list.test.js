// The box office's lists, where questions overtake each other.

import assert from "node:assert/strict"
import { test } from "node:test"

import { listPanel } from "../../../static/js/admin/list.js"

async function settled() {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

// A list whose questions wait until a test answers them: by the index of the question, with rows or with an error.
function list(context) {
  const asked = []
  context.mock.method(globalThis, "fetch", (path) => new Promise((resolve) => asked.push({ path, resolve })))
  const panel = listPanel({ entered: null, path: "/rows", key: "rows", describe: (row) => row })
  panel.$refs = {}
  const answer = async (index, rows, next = null) => {
    asked[index].resolve(Response.json({ rows, next }))
    await settled()
  }
  const refuse = async (index) => {
    asked[index].resolve(Response.json({ detail: "No." }, { status: 500 }))
    await settled()
  }
  return { panel, asked, answer, refuse }
}

async function loaded(context) {
  const all = list(context)
  all.panel.load()
  await all.answer(0, ["a", "b"], "b")
  return all
}

test("more rows come after those that are there", async (context) => {
  const { panel, answer } = await loaded(context)
  panel.more()
  assert.equal(panel.busy, true)
  await answer(1, ["c"])
  assert.deepEqual([panel.rows, panel.next, panel.busy], [["a", "b", "c"], null, false])
})

test("a search while more is loading leaves nothing stuck, and none of the old rows", async (context) => {
  const { panel, asked, answer } = await loaded(context)
  panel.more()
  panel.load()
  await answer(2, ["x"], "x")
  await answer(1, ["c"])
  assert.deepEqual([panel.rows, panel.next, panel.busy], [["x"], "x", false])
  panel.refresh()
  assert.equal(asked.length, 4)
})

test("an overtaken question that fails is for nobody", async (context) => {
  const { panel, answer, refuse } = await loaded(context)
  panel.more()
  panel.load()
  await refuse(1)
  assert.equal(panel.state, "loading")
  await answer(2, ["x"])
  panel.load()
  panel.load()
  await answer(4, ["y"])
  await refuse(3)
  assert.deepEqual([panel.state, panel.rows], ["ready", ["y"]])
})

test("the last question that fails is told, and trying again begins anew", async (context) => {
  const { panel, answer, refuse } = await loaded(context)
  panel.more()
  await refuse(1)
  assert.deepEqual([panel.state, panel.problem, panel.next, panel.busy], ["failed", "No.", null, false])
  panel.load()
  await answer(2, ["a", "b"], "b")
  assert.deepEqual([panel.state, panel.rows, panel.next], ["ready", ["a", "b"], "b"])
})

test("no more is asked for of a list that is being asked for anew", async (context) => {
  const { panel, asked, answer } = await loaded(context)
  panel.load()
  panel.more()
  assert.equal(asked.length, 2)
  await answer(1, ["x"])
  assert.deepEqual([panel.state, panel.rows], ["ready", ["x"]])
})

test("a list whose first question is overtaken is done with it, and begins to look for changes", async (context) => {
  const { panel, answer } = list(context)
  const first = panel.load()
  panel.load()
  await answer(1, ["x"])
  await answer(0, ["a"])
  assert.equal(await Promise.race([first.then(() => "done"), settled().then(() => "stuck")]), "done")
})
