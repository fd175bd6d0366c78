// Handlers that stream: `awslambda.streamifyResponse` and `awslambda.HttpResponseStream`.
//
// Where the caller wants the answer as it is made, what is written leaves at once, as far as the reader keeps up;
// else it is kept, and all of it is the answer.

'use strict'

const { Writable } = require('stream')
const { STREAM, DATA } = require('./frames.cjs')

const PIECE_BYTES = 64 * 1024
const WINDOW_BYTES = 256 * 1024 // what may be ahead of the reader: `engine/streams.py`
const PLAIN_TYPE = 'application/octet-stream'
const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response'
const STREAMED = Symbol.for('aws.lambda.runtime.handler.streaming')

class Live extends Writable {
  constructor (channel, invocation) {
    super({ highWaterMark: PIECE_BYTES })
    this.channel = channel
    this.invocation = invocation
    this.type = PLAIN_TYPE
    this.begun = false
    this.ahead = 0
    this.left = []
    this.done = null
  }

  setContentType (type) {
    if (this.begun) throw new Error('Cannot set content-type, too late.')
    this.type = String(type)
  }

  begin () {
    if (this.begun) return
    this.begun = true
    this.channel.send(STREAM, this.type)
  }

  _write (chunk, encoding, done) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) this.left.push(chunk.subarray(at, at + PIECE_BYTES))
    this.done = done
    this.advance()
  }

  advance () {
    if (this.invocation.answered) this.left = []
    while (this.left.length > 0 && this.ahead + this.left[0].length <= WINDOW_BYTES) {
      const piece = this.left.shift()
      this.begin()
      this.ahead += piece.length
      this.channel.send(DATA, piece)
    }
    if (this.left.length > 0 || this.done === null) return
    const done = this.done
    this.done = null
    done()
  }

  /** The reader has taken some. */
  taken (size) {
    this.ahead -= size
    this.advance()
  }

  _final (done) {
    if (!this.invocation.answered) this.begin()
    done()
  }

  answer () {
    return Buffer.alloc(0)
  }
}

class Kept extends Writable {
  constructor () {
    super({ highWaterMark: PIECE_BYTES })
    this.parts = []
  }

  setContentType () {}

  _write (chunk, encoding, done) {
    this.parts.push(chunk)
    done()
  }

  answer () {
    return Buffer.concat(this.parts)
  }
}

/** What `streamifyResponse` made: it is called with the invocation, and answers with the bytes that are left to say. */
function run (handler, event, context, channel, invocation, live) {
  const stream = live ? new Live(channel, invocation) : new Kept()
  invocation.stream = stream
  return new Promise((resolve, reject) => {
    stream.on('error', reject)
    stream.on('finish', () => resolve(new Answer(stream.answer())))
    Promise.resolve().then(() => handler(event, stream, context)).catch(reject)
  })
}

class Answer {
  constructor (bytes) {
    this.bytes = bytes
  }
}

const awslambda = {
  streamifyResponse (inner) {
    inner[STREAMED] = 'response'
    return inner
  },
  HttpResponseStream: {
    from (stream, metadata) {
      stream.setContentType(HTTP_TYPE)
      stream.write(JSON.stringify(metadata))
      stream.write(Buffer.alloc(8))
      return stream
    }
  }
}

module.exports = { awslambda, run, Answer, STREAMED }
