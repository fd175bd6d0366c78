# frozen_string_literal: true

# `puts`, the standard streams and `Logger`, as Lambda's Ruby runtime writes them.
#
# AWS: one `puts` is one log event however many lines it has, and so is one record of a Logger that writes to standard
# output. What goes to `$stdout` and `$stderr` by other ways is one event a line.

require 'json'
require 'logger'

module Pilotlight
  # Where log events go.
  module Logs
    # AWS: CloudWatch's limit of 256 KiB an event, less its overhead of 26 bytes. What is longer becomes several.
    EVENT_BYTES_MAX = 262_118
    LEVELS = { 'TRACE' => 0, 'DEBUG' => 0, 'INFO' => 1, 'WARN' => 2, 'ERROR' => 3, 'FATAL' => 4 }.freeze

    class << self
      attr_accessor :request_id
      attr_reader :level, :formatter

      def set_up(channel, start)
        @channel = channel
        json = start['log_format'] == 'JSON'
        @level = json ? LEVELS.fetch(start['application_log_level'].to_s, 1) : 0
        @formatter = json ? JsonFormatter.new : TextFormatter.new
        @streams = [$stdout, $stderr].each do |stream|
          stream.sync = true
          stream.extend(Lines)
        end
        Logger.prepend(ToLambda)
      end

      # One event, or as many as its length needs.
      def write(text)
        data = text.b
        at = 0
        loop do
          @channel.send(LOG, data.byteslice(at, EVENT_BYTES_MAX))
          at += EVENT_BYTES_MAX
          break if at >= data.bytesize
        end
      end

      # Write what was printed without a newline at its end.
      def finish
        @streams.each(&:finish)
      end

      def printable(value)
        value.to_s.encode('UTF-8', invalid: :replace, undef: :replace)
      rescue EncodingError
        value.to_s.b.encode('UTF-8', invalid: :replace, undef: :replace)
      end
    end

    # A standard stream whose lines go to the platform as they are whole.
    module Lines
      def write(*parts)
        text = parts.map { |part| part.to_s.b }.join
        return super(*parts) if Process.pid != PID # a child of the function's own

        @pending = (@pending || +'') << text
        return text.bytesize unless text.include?("\n")

        *lines, @pending = @pending.split("\n", -1)
        lines.each { |line| Logs.write(line) }
        text.bytesize
      end

      def finish
        return if @pending.nil? || @pending.empty?

        line, @pending = @pending, nil
        Logs.write(line)
      end
    end
    PID = Process.pid

    # Stands for the standard streams in a Logger.
    module Sink
      def self.write(text)
        Logs.write(text.delete_suffix("\n"))
      end

      def self.close; end
    end

    # AWS: every Logger to a standard stream, or to nowhere, writes to Lambda, with the request's id.
    module ToLambda
      def initialize(logdev, *rest, level: Logs.level, **options)
        ours = !logdev || logdev.equal?($stdout) || logdev.equal?($stderr)
        super(ours ? Sink : logdev, *rest, level: level, **options)
        return unless ours

        @default_formatter = Logs.formatter.dup
        @default_formatter.datetime_format = options[:datetime_format]
      end
    end

    # AWS: as Ruby's own, with the request's id after the level.
    class TextFormatter < Logger::Formatter
      def call(severity, time, progname, message)
        text = format('%s, [%s #%d] %5s %s -- %s: %s', severity[0], format_datetime(time), Process.pid, severity,
                      Logs.request_id, progname, msg2str(message))
        "#{Logs.printable(text)}\n"
      end
    end

    # AWS: an object a record; what an exception tells has members of its own.
    class JsonFormatter < Logger::Formatter
      def call(severity, time, progname, message)
        failed = message.is_a?(Exception)
        entry = {
          timestamp: time.getutc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ'),
          level: severity,
          message: Logs.printable(failed ? message.message : msg2str(message)),
          requestId: Logs.request_id,
          logger: (Logs.printable(progname) unless progname.to_s.empty?)
        }
        entry.merge!(told(message)) if failed
        "#{JSON.generate(entry.compact)}\n"
      end

      private

      def told(error)
        trace = (error.backtrace || []).map { |line| Logs.printable(line) }
        match = /\A(.+):(\d+):in [`'](.+)'\z/.match(trace.first.to_s)
        {
          errorType: error.class.to_s,
          errorMessage: Logs.printable(error.message),
          stackTrace: trace,
          location: match ? "#{match[1]}:#{match[3]}:#{match[2]}" : trace.first
        }
      end
    end
  end
end

module Warning
  def warn(message, **)
    $stderr.write(message)
    nil
  end
end

module Kernel
  private

  def puts(*values)
    Pilotlight::Logs.write(values.flatten.map { |value| Pilotlight::Logs.printable(value) }.join("\n"))
  end
end
