// Errors as Lambda's Node.js runtime answers and logs them.

'use strict'

const util = require('util')

function isError (value) {
  return util.types.isNativeError(value) || value instanceof Error || (value !== null && typeof value === 'object' &&
    ['name', 'message', 'stack'].every((name) => typeof value[name] === 'string' && value[name] !== ''))
}

/** As it is answered. */
function shape (error) {
  try {
    if (isError(error)) {
      return {
        errorType: String(error.name),
        errorMessage: String(error.message),
        trace: String(error.stack).split('\n')
      }
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] }
  } catch {
    const said = 'callback called with Error argument, but there was a problem while retrieving one or more of its ' +
      'message, name, and stack'
    return { errorType: 'handled', errorMessage: said, trace: [] }
  }
}

/** AWS: what is thrown and is no error is logged as one that says it. */
function asError (value) {
  return isError(value) ? value : new Error(String(value))
}

/** As it is logged: with all that was put on it. */
function told (error) {
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

module.exports = { isError, asError, shape, told, fault }
