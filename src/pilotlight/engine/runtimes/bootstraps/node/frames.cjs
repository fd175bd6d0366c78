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
    this.left = Buffer.alloc(0)
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
    let left = this.left.length === 0 ? data : Buffer.concat([this.left, data])
    const found = []
    while (left.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + left.readUInt32LE(0)
      if (left.length < end) break
      found.push([left[4], left.subarray(HEAD_BYTES, end)])
      left = left.subarray(end)
    }
    this.left = left
    return found
  }
}

module.exports = { Channel, START, READY, INVOKE, RESPONSE, FAILURE, LOG, INIT_FAILED, LEAVING, STREAM, DATA, TAKEN }
