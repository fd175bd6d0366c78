"""The contract's handlers in JavaScript."""

from __future__ import annotations

from tests.engine.contract import Language

PROGRAM = """
const fs = require('fs'), path = require('path'), { spawnSync } = require('child_process')
const { Worker } = require('worker_threads')
let count = 0
const ticks = new Int32Array(new SharedArrayBuffer(4))
console.log('loaded')

class Boom extends Error { constructor (message) { super(message); this.name = 'Boom' } }
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000))
const tried = (act) => { try { act(); return true } catch { return false } }

const can = {
  echo: (value) => value,
  context: (value, context) => ({
    request: context.awsRequestId, arn: context.invokedFunctionArn, name: context.functionName,
    version: context.functionVersion, memory: context.memoryLimitInMB, group: context.logGroupName,
    stream: context.logStreamName, custom: context.clientContext?.custom ?? null,
    identity: context.identity?.cognitoIdentityId ?? null
  }),
  remaining: (value, context) => context.getRemainingTimeInMillis(),
  environment: () => process.env,
  where: () => [process.cwd(), __dirname],
  count: () => ++count,
  pid: () => process.pid,
  raise: (value) => { throw new Boom(value) },
  unserialisable: () => { const made = {}; made.made = made; return made },
  exit: (value) => process.exit(value),
  signal: async (value) => { process.kill(process.pid, value); await pause(5) },
  sleep: (value) => pause(value),
  spin: () => { for (;;); },
  big: (value) => 'x'.repeat(value),
  print: (value) => { console.info(value) },
  error: (value) => { console.error(value) },
  partial: (value) => { process.stdout.write(value) },
  child: (value) => { spawnSync('sh', ['-c', value], { stdio: 'inherit' }) },
  tick: () => { setInterval(() => { ticks[0] += 1 }, 5) },
  ticks: () => ticks[0],
  write: (value) => { fs.appendFileSync(value, 'x'); return fs.statSync(value).size },
  can: (value) => tried(() => fs.closeSync(fs.openSync(value, 'a'))),
  reads: (value) => tried(() => fs.readFileSync(value)),
  user: () => process.getuid(),
  files: () => Number(spawnSync('sh', ['-c', 'ulimit -n']).stdout),
  fill: () => { const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 1)) },
  listing: (value) => fs.readdirSync(value).sort()
}

exports.handler = async (event, context) =>
  event === null || typeof event !== 'object' || event.do === undefined ? event : can[event.do](event.with, context)
"""

LANGUAGE = Language(
    name="node",
    runtime="nodejs20.x",
    executable="node",
    file="app.js",
    program=PROGRAM,
    at_init={
        "raise": "class Boom extends Error { name = 'Boom' }\nthrow new Boom('at init')",
        "exit": "process.exit(7)",
        "hang": "for (;;);",
        "nothing": "",
        "module": "require('nothing_like_it')",
        "syntax": "exports.handler = (",
    },
    faults={
        "raise": "Boom",
        "init": "Boom",
        "module": "Runtime.ImportModuleError",
        "missing": "Runtime.ImportModuleError",
        "syntax": "Runtime.UserCodeSyntaxError",
        "handler": "Runtime.HandlerNotFound",
        "name": "Runtime.MalformedHandlerName",
        "unserialisable": "Error",
    },
    trace="trace",
)
