// What V8 made of CommonJS modules, kept over the life of a process: `use` takes it from a file that the platform shows,
// `record` and `write` make that file in a process of the platform's own.
//
// A module is looked up by its path and its source's hash, so whatever hands another source to the loader is compiled
// as ever. V8 looks at its version, its flags and the source's length, and refuses the rest. The loader itself stays
// Node's: only where it would compile, a script that is compiled already takes its turn (`compiling.cjs`).

'use strict'

const fs = require('fs')
const vm = require('vm')
const path = require('path')
const Module = require('module')
const { createHash } = require('crypto')

const LOADER = 'node:internal/modules/cjs/loader' // as in stack traces without us
const LOADER_KEY = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER // since Node.js 20.12: `import()` as in any module
const HEAD = Module.wrapper[0]
const TAIL = Module.wrapper[1]
const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname']
const SIZE_BYTES = 4
const IMPORTS = /\bimport\s*[(/]/ // anywhere, in a text for `eval` too
const KEEPS_LOADER = Number(process.versions.node.split('.')[0]) >= 22 // before, V8 forgets it over a cache

const install = vm.compileFunction(
  fs.readFileSync(path.join(__dirname, 'compiling.cjs'), 'utf8'), ['Module', 'dirname', 'scriptOf'], { filename: LOADER })

/** Node warns of `LOADER_KEY` when something is first imported under it; what functions log is their own affair. */
function hush () {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    new vm.Script("import('node:fs')", { importModuleDynamically: LOADER_KEY }).runInThisContext()
  } finally {
    process.emitWarning = emitWarning
  }
}

/** As from a file: nothing happens where it cannot be read. */
function use (file) {
  let data, index
  try {
    data = fs.readFileSync(file)
    index = JSON.parse(data.subarray(SIZE_BYTES, SIZE_BYTES + data.readUInt32LE(0)).toString('utf8'))
  } catch {
    return
  }
  const start = SIZE_BYTES + data.readUInt32LE(0)
  const known = new Map(index.map(([filename, hash, offset, size]) => [filename, { hash, offset, size }]))
  install(Module, path.dirname, (content, filename, format) => {
    const entry = known.get(filename)
    if (entry === undefined || !ours(format) || hashed(content) !== entry.hash) return null
    known.delete(filename)
    const at = start + entry.offset
    const made = script(content, filename, data.subarray(at, at + entry.size))
    return made.cachedDataRejected ? null : made
  })
}

/** From now on, remember what is compiled. */
function record () {
  const scripts = new Map()
  install(Module, path.dirname, (content, filename, format) => {
    if (!ours(format) || (!KEEPS_LOADER && IMPORTS.test(content))) return null
    try {
      vm.compileFunction(content, PARAMETERS, { filename }) // the wrapper would hide some errors, and make others
      const made = script(content, filename)
      scripts.set(filename, [hashed(content), made])
      return made
    } catch {
      return null
    }
  })
  return scripts
}

/** What was compiled until now, the functions that were called with the rest. */
function write (scripts, file) {
  const index = []
  const parts = []
  let offset = 0
  for (const [filename, [hash, made]] of scripts) {
    const data = made.createCachedData()
    index.push([filename, hash, offset, data.length])
    parts.push(data)
    offset += data.length
  }
  const told = Buffer.from(JSON.stringify(index), 'utf8')
  const size = Buffer.alloc(SIZE_BYTES)
  size.writeUInt32LE(told.length, 0)
  fs.writeFileSync(file, Buffer.concat([size, told, ...parts]))
}

/** Whether nothing else has a say in how a module is compiled: source maps are found by Node's own compiling only. */
function ours (format) {
  return (format === undefined || format === false || format === 'commonjs') && !process.sourceMapsEnabled &&
    Module.wrapper[0] === HEAD && Module.wrapper[1] === TAIL
}

function script (content, filename, cachedData) {
  return new vm.Script(HEAD + content + TAIL,
    { filename, columnOffset: -HEAD.length, cachedData, importModuleDynamically: LOADER_KEY })
}

function hashed (content) {
  return createHash('sha256').update(content).digest('base64')
}

if (KEEPS_LOADER) hush()

module.exports = { use, record, write }
