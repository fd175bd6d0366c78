// The second argument of every handler.

'use strict'

function makeContext (start, header, invocation, done) {
  const context = {
    functionVersion: start.function_version,
    functionName: start.function_name,
    memoryLimitInMB: String(start.memory_mb),
    logGroupName: start.log_group,
    logStreamName: start.log_stream,
    clientContext: header.client_context ? JSON.parse(header.client_context) : undefined,
    identity: header.identity ? JSON.parse(header.identity) : undefined,
    invokedFunctionArn: header.invoked_arn,
    awsRequestId: header.request_id,
    getRemainingTimeInMillis: () => header.deadline_ms - Date.now()
  }
  if (majorOf(start) < 24) {
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
      enumerable: true,
      configurable: true,
      get: () => invocation.drain,
      set: (value) => { invocation.drain = Boolean(value) }
    })
    context.done = (error, result) => { invocation.drain = false; done(error, result) }
    context.succeed = (result) => context.done(null, result)
    context.fail = (error) => context.done(error ?? 'handled')
  }
  return context
}

function majorOf (start) {
  return Number(/^nodejs(\d+)/.exec(start.runtime)[1])
}

module.exports = { makeContext, majorOf }
