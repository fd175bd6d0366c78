// `console` in Lambda's formats: text is TIME, REQUEST, LEVEL and MESSAGE with tabs between; JSON is an object.

'use strict'

const util = require('util')
const { LOG } = require('./frames.cjs')
const { isError, asError, told } = require('./errors.cjs')

const EVENT_BYTES_MAX = 262118 // CloudWatch's limit of 256 KiB an event, less its overhead of 26 bytes
const LEVELS = { TRACE: 0, DEBUG: 1, INFO: 2, WARN: 3, ERROR: 4, FATAL: 5 }
const METHODS = { log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR', debug: 'DEBUG', trace: 'TRACE', fatal: 'FATAL' }

const current = { requestId: undefined }
let channel = null
let json = false
let least = 0

function setUp (given, start) {
  channel = given
  json = start.log_format === 'JSON'
  least = json ? LEVELS[start.application_log_level || 'INFO'] : 0
  for (const [method, level] of Object.entries(METHODS)) {
    console[method] = (...values) => record(level, values)
  }
}

function record (level, values) {
  if (LEVELS[level] < least) return
  write(json ? asJson(level, values) : asText(level, values))
}

function asText (level, values) {
  return [new Date().toISOString(), String(current.requestId), level, util.format(...values)].join('\t')
}

function asJson (level, values) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: current.requestId }
  if (values.length === 1) {
    entry.message = isError(values[0]) ? errorFields(values[0]) : values[0]
  } else {
    entry.message = util.format(...values)
    const error = values.find(isError)
    if (error) {
      const { errorType, errorMessage, stackTrace } = errorFields(error)
      Object.assign(entry, { errorType, errorMessage, stackTrace })
    }
  }
  try {
    return JSON.stringify(entry, jsonable)
  } catch {
    return JSON.stringify({ ...entry, message: util.format(...values) }, jsonable)
  }
}

function errorFields (error) {
  return Object.assign({
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : error.stack
  }, error)
}

function jsonable (key, value) {
  return typeof value === 'bigint' ? value.toString() : isError(value) ? errorFields(value) : value
}

function write (text) {
  const data = Buffer.from(String(text), 'utf8')
  for (let at = 0; at === 0 || at < data.length; at += EVENT_BYTES_MAX) {
    channel.send(LOG, data.subarray(at, at + EVENT_BYTES_MAX))
  }
}

/** What ended an invocation, or the initialisation. */
function error (what, value) {
  if (json) {
    const entry = { timestamp: new Date().toISOString(), level: 'ERROR', requestId: current.requestId }
    write(JSON.stringify({ ...entry, message: errorFields(asError(value)) }, jsonable))
    return
  }
  value = asError(value)
  let fields
  try {
    fields = JSON.stringify(told(value), jsonable)
  } catch {
    fields = JSON.stringify({ errorType: typeof value, errorMessage: util.inspect(value) })
  }
  record('ERROR', what === undefined ? [fields] : [`${what} \t${fields}`.replace(/%/g, '%%')])
}

module.exports = { current, setUp, error }
