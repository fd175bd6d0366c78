// Stands in a Node.js function's copy where its handler stood: loads it, times what it requires and, when asked,
// what an invocation takes. `import` of ES modules is timed as a whole: Node.js shows no hook for each.

import { createRequire } from 'node:module'
import { existsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(import.meta.url)
const Module = require('node:module')
const original = Module._load
const found = []
let depth = 0
let inner = 0

Module._load = function (request, parent, main) {
  const began = performance.now()
  const before = inner
  inner = 0
  depth += 1
  try {
    return original.call(this, request, parent, main)
  } finally {
    depth -= 1
    const total = performance.now() - began
    if (total >= 0.05) found.push([request, total - inner, total, depth + 1])
    inner = before + total
  }
}

const root = process.env.LAMBDA_TASK_ROOT ?? '/var/task'
const [, path, names] = process.env.PILOTLIGHT_PROBE_HANDLER.match(/^(.*?[^/.]+)\.([^/]*)$/)
const file = ['.js', '.mjs', '.cjs'].map((end) => join(root, path + end)).find(existsSync)
const began = performance.now()
const loaded = await import(pathToFileURL(file))
const importMs = performance.now() - began
Module._load = original
const inside = found.filter(([name]) => name !== file)
const shift = inside.length < found.length ? 1 : 0 // a CommonJS handler is itself something that was loaded
const shown = inside.map(([name, own, total, level]) => [name, own, total, level - shift])
writeSync(1, `PILOTLIGHT_REQUIRE ${JSON.stringify(shown.slice(-400))}\n`)

const follow = (from) => names.split('.').reduce((value, name) => value?.[name], from)
const target = follow(loaded) ?? follow(loaded.default)

export const handler = async (event, context) => {
  if (event.probe !== 'run') return { import_ms: importMs, made_at_init: [] }
  const start = performance.now()
  let failure = ''
  try {
    await new Promise((resolve, reject) => {
      const done = (error, value) => (error ? reject(error) : resolve(value))
      const answer = target(event.event, context, done)
      if (typeof answer?.then === 'function') answer.then(resolve, reject)
      else if (target.length < 3) resolve(answer)
    })
  } catch (error) {
    failure = String(error)
  }
  return { duration_ms: performance.now() - start, failure, made: [], top: [] }
}
