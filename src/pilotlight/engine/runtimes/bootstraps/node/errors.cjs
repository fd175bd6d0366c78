// Errors as Lambda's Node.js runtime answers and logs them.

'use strict'

const util = require('util')

function isError (value) {
  return util.types.isNativeError(value) ||
    (value !== null && typeof value === 'object' && 'name' in value && 'message' in value && 'stack' in value)
}

/** As it is answered. */
function shape (error) {
  if (isError(error)) {
    return {
      errorType: String(error.name),
      errorMessage: String(error.message),
      trace: String(error.stack).split('\n')
    }
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] }
}

/** As it is logged: with all that was put on it. */
function told (error) {
  if (!isError(error)) return shape(error)
  const made = { errorType: String(error.name), errorMessage: String(error.message) }
  for (const [key, value] of Object.entries(error)) made[key] = isError(value) ? told(value) : value
  made.stack = String(error.stack).split('\n')
  return made
}

/** What is wrong with the function, not with its code's own logic. */
function fault (name, message) {
  const error = new Error(message)
  error.name = `Runtime.${name}`
  error.stack = [`${error.name}: ${message}`, ...String(error.stack).split('\n').slice(1)].join('\n')
  return error
}

module.exports = { isError, shape, told, fault }
