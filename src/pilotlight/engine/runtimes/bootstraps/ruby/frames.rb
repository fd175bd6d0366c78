# frozen_string_literal: true

# The frames between the platform and a bootstrap, seen from inside: a length of four bytes, a kind of one, a body.
# `engine/frames.py` is the other side.

module Pilotlight
  START, READY, INVOKE, RESPONSE, FAILURE, LOG, INIT_FAILED, LEAVING = 'SRIOFLXG'.chars

  # A blocking stream of frames over one socket. Writing is safe from any thread.
  class Channel
    def initialize(descriptor)
      # Two objects, so that what was read ahead does not stand in the way of writing.
      @reader = IO.for_fd(descriptor, 'rb', autoclose: false)
      @writer = IO.for_fd(descriptor, 'wb', autoclose: false)
      [@reader, @writer].each { |io| io.close_on_exec = true }
      @writer.sync = true
      @lock = Mutex.new
    end

    def send(kind, body)
      body = body.b
      frame = [body.bytesize].pack('V') << kind << body
      if @lock.owned?
        @writer.write(frame)
      else
        @lock.synchronize { @writer.write(frame) }
      end
    rescue ThreadError # in a signal's handler nothing can be waited for
      @writer.write(frame)
    rescue Errno::EPIPE, Errno::ECONNRESET
      exit!(0)
    end

    # [kind, body]; ends the process when the platform is gone.
    def receive
      head = take(5)
      [head[4], take(head.unpack1('V'))]
    end

    private

    def take(size)
      data = size.zero? ? +'' : @reader.read(size)
      exit!(0) if data.nil? || data.bytesize < size
      data
    rescue Errno::ECONNRESET
      exit!(0)
    end
  end
end
