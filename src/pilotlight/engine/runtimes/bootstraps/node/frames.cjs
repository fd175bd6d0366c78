// The frames between the platform and a bootstrap, seen from inside: a length of four bytes, a kind of one, a body.
// `engine/frames.py` is the other side.

'use strict'

const fs = require('fs')

const [START, READY, INVOKE, RESPONSE, FAILURE, LOG, INIT_FAILED, LEAVING] = Buffer.from('SRIOFLXG')
const [STREAM, DATA, TAKEN] = Buffer.from('BDA')
const HEAD_BYTES = 5
const pause = new Int32Array(new SharedArrayBuffer(4))

class Channel {
  constructor (descriptor) {
    this.descriptor = descriptor
    this.parts = []
    this.size = 0
    this.wanted = HEAD_BYTES
  }

  /** Written when it returns: what a process says before it exits must arrive. */
  send (kind, body) {
    const data = Buffer.isBuffer(body) ? body : Buffer.from(body, 'utf8')
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt32LE(data.length, 0)
    head[4] = kind
    const frame = data.length < 65536 ? Buffer.concat([head, data]) : null
    for (const part of frame ? [frame] : [head, data]) this.write(part)
  }

  write (data) {
    let at = 0
    while (at < data.length) {
      try {
        at += fs.writeSync(this.descriptor, data, at)
      } catch (error) {
        if (error.code === 'EPIPE' || error.code === 'EBADF' || error.code === 'ECONNRESET') process.exit(0)
        if (error.code !== 'EAGAIN') throw error
        Atomics.wait(pause, 0, 0, 1) // the platform is slow to read
      }
    }
  }

  /** The whole frames in what arrived so far. */
  frames (data) {
    this.parts.push(data)
    this.size += data.length
    const found = []
    if (this.size < this.wanted) return found // a large frame is put together once, not with each piece
    let left = this.parts.length === 1 ? data : Buffer.concat(this.parts)
    this.wanted = HEAD_BYTES
    while (left.length >= HEAD_BYTES) {
      this.wanted = HEAD_BYTES + left.readUInt32LE(0)
      if (left.length < this.wanted) break
      found.push([left[4], left.subarray(HEAD_BYTES, this.wanted)])
      left = left.subarray(this.wanted)
      this.wanted = HEAD_BYTES
    }
    this.parts = left.length === 0 ? [] : [left]
    this.size = left.length
    return found
  }
}

module.exports = { Channel, START, READY, INVOKE, RESPONSE, FAILURE, LOG, INIT_FAILED, LEAVING, STREAM, DATA, TAKEN }
