// Runs a Node.js handler: loads it once, answers one invocation after another.
//
// No dependencies, Node.js 16 and newer. Started with the control socket's descriptor and how it was started: `spare`,
// ahead of time and for any function, whose environment comes with the first frame; or `exec`. Messages and shapes of
// errors are those of Lambda's own Node.js runtime.

'use strict'

const net = require('net')
const { Channel, START, READY, INVOKE, RESPONSE, FAILURE, INIT_FAILED, LEAVING, TAKEN } = require('./frames.cjs')
const logs = require('./logs.cjs')
const { load } = require('./handler.cjs')
const { shape, fault } = require('./errors.cjs')
const { makeContext, majorOf } = require('./context.cjs')
const streaming = require('./streaming.cjs')

const EXIT_REJECTION = 128
const EXIT_EXCEPTION = 129
const NEVER_SETTLED = 'The Lambda runtime client detected an unexpected Node.js exit. This is most commonly caused by ' +
  'a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes'

const USUAL = ['http', 'https', 'tls', 'crypto', 'stream', 'zlib', 'url', 'util', 'os', 'dns', 'async_hooks',
  'stream/promises', 'child_process', 'perf_hooks', 'buffer', 'assert', 'querystring', 'readline', 'worker_threads']
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId')

const descriptor = Number(process.argv[2])
const spare = process.argv[3] === 'spare'
const socket = new net.Socket({ fd: descriptor, readable: true, writable: true })
const channel = new Channel(descriptor)
let start = null
let handler = null
let modern = false // AWS: from Node.js 24 on there are no callbacks, and nobody waits for an empty event loop
let current = null

socket.on('data', (data) => {
  for (const [kind, body] of channel.frames(data)) {
    if (kind === START) begin(JSON.parse(body.toString('utf8')))
    else if (kind === INVOKE) invoke(body)
    else if (kind === TAKEN && current !== null && current.stream) current.stream.taken?.(body.readUInt32LE(0))
  }
})
// The platform is gone: nobody else would end this process.
socket.on('close', () => process.exit(0))
socket.on('error', () => process.exit(0))

// What most functions need takes longer to load than all the rest; a spare has the time.
if (spare) {
  for (const name of [...USUAL, './modules.cjs']) require(name)
  rehearse()
}

/** The way that every function goes, gone once: what V8 compiles when it is first called, it has compiled. */
function rehearse () {
  for (const name of Object.keys(process.env)) process.env[name] = process.env[name]
  require('module')._initPaths()
  load({ handler: 'rehearsal.handler', task_root: __dirname, runtime: 'nodejs20.x' }).then((inner) => {
    delete require.cache[require.resolve('./rehearsal.cjs')]
    makeContext({ runtime: 'nodejs20.x' }, {}, {}, () => {})
    return inner({})
  }).catch(() => {}) // then it is only slower
}

/** As if this process had been started for the function, and in its directory. */
function becomeFresh () {
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, start.environment)
  process.chdir(start.task_root)
  require('module')._initPaths() // NODE_PATH is read when a process starts
}

async function begin (frame) {
  start = frame
  if (spare) becomeFresh()
  modern = majorOf(start) >= 24
  process.argv.length = 1
  logs.setUp(channel, start)
  globalThis.awslambda = streaming.awslambda
  process.on('uncaughtException', (error) => fall(error, 'Uncaught Exception', EXIT_EXCEPTION))
  process.on('unhandledRejection', (reason, promise) => {
    const error = new Error(reason instanceof Error ? String(reason) : String(reason))
    error.name = 'Runtime.UnhandledPromiseRejection'
    error.stack = [`${error.name}: ${error.message}`, ...String(error.stack).split('\n').slice(1)].join('\n')
    Object.assign(error, { reason, promise })
    fall(error, 'Unhandled Promise Rejection', EXIT_REJECTION)
  })
  process.on('beforeExit', drained)
  const scripts = start.training ? require('./modules.cjs').record() : null
  if (start.modules) require('./modules.cjs').use(start.modules)
  try {
    handler = await load(start)
  } catch (error) {
    logs.error(error.plain ? undefined : 'Uncaught Exception', error)
    channel.send(INIT_FAILED, JSON.stringify(shape(error)))
    process.exit(1)
  }
  if (scripts) require('./modules.cjs').write(scripts, start.training)
  channel.send(READY, '')
  if (scripts) process.exit(0)
}

/** What nobody caught ends the invocation, if there is one, and the process. */
function fall (error, what, code) {
  logs.error(what, error)
  channel.send(LEAVING, '')
  if (current !== null) channel.send(FAILURE, JSON.stringify(shape(error)))
  else if (handler === null) channel.send(INIT_FAILED, JSON.stringify(shape(error)))
  process.exit(code)
}

function invoke (body) {
  const size = body.readUInt32LE(0)
  const header = JSON.parse(body.subarray(4, 4 + size).toString('utf8'))
  const payload = body.subarray(4 + size).toString('utf8')
  logs.current.requestId = header.request_id
  globalThis[REQUEST_ID] = header.request_id
  if (header.trace_id) process.env._X_AMZN_TRACE_ID = header.trace_id
  else delete process.env._X_AMZN_TRACE_ID
  const invocation = { answered: false, waiting: null, drain: true, stream: null, promised: false }
  current = invocation
  const context = makeContext(start, header, invocation, (error, result) => callback(invocation, error, result))
  let event
  try {
    event = payload === '' ? {} : JSON.parse(payload)
  } catch (error) {
    return fail(invocation, error)
  }
  try {
    const result = handler[streaming.STREAMED]
      ? streaming.run(handler, event, context, channel, invocation, header.stream === true)
      : handler(event, context, (error, value) => callback(invocation, error, value))
    if (modern || (result && typeof result.then === 'function')) {
      // AWS: only a function that was written as an async one is told so.
      invocation.promised = modern || handler.constructor?.name === 'AsyncFunction'
      // A promise that nobody will settle shows by an event loop that has nothing left to do.
      if (!handler[streaming.STREAMED]) socket.unref()
      Promise.resolve(result).then((value) => succeed(invocation, value), (error) => fail(invocation, error))
    } else {
      socket.unref()
    }
  } catch (error) {
    fail(invocation, error)
  }
}

/** A callback's answer waits until nothing is left to do, unless the handler says that it need not. */
function callback (invocation, error, value) {
  if (invocation.answered || invocation.waiting !== null) return
  const failed = error !== undefined && error !== null
  invocation.waiting = () => (failed ? fail(invocation, error) : succeed(invocation, value))
  if (failed || !invocation.drain) setImmediate(invocation.waiting)
  else socket.unref()
}

/** Nothing is left to do in the event loop. */
function drained () {
  const invocation = current
  if (invocation === null) return
  if (invocation.waiting !== null) invocation.waiting()
  else if (invocation.answered) return
  else if (invocation.promised) fail(invocation, fault('NodeJsExit', NEVER_SETTLED))
  else succeed(invocation, null)
}

function succeed (invocation, value) {
  if (invocation.answered) return
  let text
  try {
    text = value instanceof streaming.Answer ? value.bytes : JSON.stringify(value === undefined ? null : value)
    if (text === undefined) text = 'null'
  } catch (error) {
    const said = 'Unable to stringify response body'
    return fail(invocation, modern ? fault('JSONStringifyError', said) : new Error(said))
  }
  finish(invocation)
  channel.send(RESPONSE, text)
}

function fail (invocation, error) {
  if (invocation.answered) return
  logs.error('Invoke Error', error)
  finish(invocation)
  channel.send(FAILURE, JSON.stringify(shape(error)))
}

function finish (invocation) {
  invocation.answered = true
  if (current === invocation) current = null
  socket.ref()
}
