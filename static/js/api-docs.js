// The API's documents, as a page: calls by tag, their fields, answers and refusals; then the live map's messages.

import { hasAll, fieldsOf, resolve, typeOf } from "./api-schema.js"

const operations = document.querySelector("#operations")
const index = document.querySelector("#index")
const found = document.querySelector("#found")
const search = document.querySelector("#search")

// An element with its class and children; every text is inserted as text.
function make(tag, look = "", ...children) {
  const element = document.createElement(tag)
  if (look) element.className = look
  element.append(...children.filter((child) => child !== null && child !== ""))
  return element
}

async function load(address) {
  const answer = await fetch(address)
  if (!answer.ok) throw new Error(`${address} answered ${answer.status}.`)
  return answer.json()
}

// Whether a call needs no account.
const isOpen = (call) => call.security.length === 0 || call.security.some((way) => Object.keys(way).length === 0)

// A path that a narrow column may break after its slashes only.
function address(path) {
  const code = make("code")
  for (const part of path.split(/(?<=.\/)/)) code.append(part, document.createElement("wbr"))
  return code
}

function callSection(method, path, call, document) {
  const access = call["x-role"] ?? (call.security.length === 0 ? "everybody" : call.security[0].visitor ? "visitor" : "account")
  const section = make(
    "section", "card docs-call",
    make("h3", "", make("span", `docs-method is-${method}`, method.toUpperCase()), address(path)),
    make("p", "docs-summary", call.summary, make("span", "pill docs-access", access.replace("_", " "))),
  )
  section.id = call.operationId
  for (const [where, title] of [["path", "In the path"], ["query", "In the query"], ["header", "Headers"]]) {
    const parameters = (call.parameters ?? []).filter((parameter) => parameter.in === where)
    if (parameters.length > 0) section.append(fieldTable(title, parameters.map(({ name, required, schema }) => ({ name, required: required ?? false, schema })), document))
  }
  const body = call.requestBody?.content["application/json"]
  if (body) {
    section.append(fieldTable("Body", fieldsOf(body.schema, document), document))
    if (body.example) section.append(example(curl(method, path, body.example, isOpen(call))))
  }
  section.append(answers(call, document))
  return section
}

function curl(method, path, body, open) {
  const site = `${location.origin}${path.replace("{event_id}", "1")}`
  return `curl ${open ? "-c jar -b jar" : '-H "Authorization: Bearer $KEY"'} ${method === "post" ? "" : `-X ${method.toUpperCase()} `}${site} -d '${JSON.stringify(body)}'`
}

function example(text) {
  const block = make("pre", "docs-example", make("code", "", text))
  block.tabIndex = 0 // it may be wider than the page, and is then scrolled
  return block
}

function fieldTable(title, fields, document, always = "required") {
  if (fields.length === 0) return ""
  const rows = fields.map(({ name, required, schema }) => make(
    "tr", "",
    make("th", "", make("code", "", name)),
    make("td", "docs-type", typeOf(schema, document)),
    make("td", "docs-need", required ? always : defaultOf(schema)),
  ))
  return make("table", "docs-fields", make("caption", "", title), make("tbody", "", ...rows))
}

function defaultOf(schema) {
  return "default" in schema && schema.default !== "" && schema.default !== null ? `default ${JSON.stringify(schema.default)}` : "optional"
}

function answers(call, document) {
  const list = make("div", "docs-answers")
  for (const [status, answer] of Object.entries(call.responses)) {
    const [media, content] = Object.entries(answer.content)[0]
    if (media === "application/problem+json") {
      const codes = content.schema.allOf[1].properties.code.enum ?? []
      // everywhere a bad API key is refused; where no account is needed, that is no news
      for (const code of codes) if (code !== "sign_in_required" || !isOpen(call)) list.append(refusal(status, code))
    } else {
      const fields = fieldsOf(content.schema, document)
      const title = `Answer ${status}, ${media === "application/json" ? typeOf(content.schema, document) : media}`
      list.append(fields.length > 0 ? fieldTable(title, fields, document, "") : make("p", "docs-plain", title))
    }
  }
  return list
}

function refusal(status, code) {
  const link = make("a", "docs-code", make("b", "", status), code)
  link.href = `/docs/problems#${code}`
  return link
}

function messageSection(name, message, document) {
  const section = make("section", "card docs-call", make("h3", "", make("code", "", name)), make("p", "docs-summary", message.summary))
  section.id = `message-${name}`
  if (message.description) section.append(make("p", "docs-plain", message.description))
  if (message.payload.$ref) section.append(fieldTable("Fields", fieldsOf(message.payload, document), document))
  for (const { summary, payload } of message.examples ?? []) section.append(make("p", "docs-plain", summary), example(payload))
  return section
}

function group(title, text, sections) {
  const links = sections.map((section) => {
    const heading = section.querySelector("h3")
    const link = make("a", "", ...[...heading.childNodes].map((node) => node.cloneNode(true)))
    link.href = `#${section.id}`
    return make("li", "", link)
  })
  operations.append(make("div", "docs-group", make("h2", "", title), make("p", "docs-summary", text), ...sections))
  index.append(make("div", "docs-links", make("h2", "", title), make("ul", "", ...links)))
}

function show(open, live) {
  const byTag = Map.groupBy(
    Object.entries(open.paths).flatMap(([path, calls]) => Object.entries(calls).map(([method, call]) => ({ path, method, call }))),
    ({ call }) => call.tags[0],
  )
  for (const { name, description } of open.tags) {
    group(name, description, byTag.get(name).map(({ method, path, call }) => callSection(method, path, call, open)))
  }
  for (const { action, summary, messages } of Object.values(live.operations)) {
    const sections = messages.map(({ $ref }) => {
      const message = resolve(resolve({ $ref }, live), live)
      return messageSection(message.name, message, live)
    })
    group(`websocket: ${action === "receive" ? "asked" : "told"}`, `${summary} ${live.channels.event.address}`, sections)
  }
  operations.removeAttribute("aria-busy")
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
  let count = 0
  for (const section of operations.querySelectorAll("section")) {
    section.hidden = !hasAll(section.textContent, words)
    index.querySelector(`a[href="#${section.id}"]`).parentElement.hidden = section.hidden
    if (!section.hidden) count += 1
  }
  for (const box of [...operations.children, ...index.children]) {
    box.hidden = !box.querySelector("section:not([hidden]), li:not([hidden])")
  }
  found.textContent = words.length === 0 ? "" : `${count} found`
}

try {
  show(await load("/api/openapi.json"), await load("/api/asyncapi.json"))
  search.addEventListener("input", filter)
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView()
} catch (error) {
  operations.removeAttribute("aria-busy")
  operations.replaceChildren(make("p", "docs-summary", `The documents could not be loaded. ${error.message}`))
}
