// Finds the handler function: `folder/file.export.inner`, in CommonJS or as an ES module.

'use strict'

const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')
const { pathToFileURL } = require('url')
const { fault } = require('./errors.cjs')
const { majorOf } = require('./context.cjs')
const { STREAMED } = require('./streaming.cjs')

async function load (start) {
  const full = start.handler
  const folder = path.dirname(full)
  const match = /^([^.]*)\.(.*)$/.exec(path.basename(full))
  if (full.includes('..')) {
    throw fault('MalformedHandlerName',
      `'${full}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`)
  }
  if (match === null) throw fault('MalformedHandlerName', 'Bad handler')
  const found = await read(start, folder, match[1])
  const inside = (from) => match[2].split('.').reduce((value, name) => value && value[name], from)
  let value = inside(found)
  if (!value && majorOf(start) >= 24) value = inside(found?.default)
  if (!value) {
    throw fault('HandlerNotFound', `${full} is undefined or not exported`)
  }
  if (typeof value !== 'function') throw fault('HandlerNotFound', `${full} is not a function`)
  if (majorOf(start) >= 24 && value.length >= 3 && !value[STREAMED]) {
    throw fault('CallbackHandlerDeprecated',
      'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
      'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
      'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.')
  }
  return value
}

const SCRIPTS = ['', '.js', '.mjs', '.cjs']
const TYPED = ['.ts', '.mts', '.cts'] // AWS: as Node.js itself runs them, from 24 on

async function read (start, folder, name) {
  const root = start.task_root
  const base = path.resolve(root, folder, name)
  try {
    for (const extension of majorOf(start) < 24 ? SCRIPTS : [...SCRIPTS, ...TYPED]) {
      const file = base + extension
      if (!isFile(file)) continue
      if (extension.startsWith('.m') || (extension.length === 3 && isModule(file))) {
        return await import(pathToFileURL(file).href)
      }
      return createRequire(file)(file)
    }
    const from = createRequire(path.join(root, 'package.json'))
    return from(from.resolve(path.join(folder, name), { paths: [root, path.join(root, folder)] }))
  } catch (error) {
    if (error instanceof SyntaxError) throw fault('UserCodeSyntaxError', String(error))
    if (error !== null && typeof error === 'object' &&
        error.code === 'MODULE_NOT_FOUND') { // AWS: and what an ES module misses is reported as it is thrown
      throw fault('ImportModuleError', String(error))
    }
    throw error
  }
}

function isFile (file) {
  try {
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

/** Whether the nearest package.json says so. */
function isModule (file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    if (path.basename(folder) === 'node_modules') return false
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).type === 'module'
    } catch {
      if (folder === path.dirname(folder)) return false
    }
  }
}

module.exports = { load }
