# frozen_string_literal: true

# Runs a Ruby handler: loads it once, answers one invocation after another.
#
# Standard library only, Ruby 3.0 and newer. Started with the control socket's number and how it was started: `spare`,
# ahead of time and for any function, whose environment comes with the first frame; or `exec`, followed by a variable
# that is not the function's. Messages and shapes of errors are those of Lambda's own Ruby runtime.

require 'json'
require 'stringio'
require_relative 'frames'
require_relative 'logs'
require_relative 'context'
require_relative 'gems'

# A function may replace how events are read and answers are written, as on AWS.
module AwsLambda
  class Marshaller
    class << self
      def marshall_request(raw_request)
        return raw_request.body unless raw_request['Content-Type'] == 'application/json'

        JSON.parse(raw_request.body)
      end

      # An IO's content is the answer as it is; all else is written as JSON.
      def marshall_response(method_response)
        case method_response
        when StringIO, IO then [method_response, 'application/unknown']
        else method_response.to_json
        end
      end
    end
  end
end

# AWS: handlers that are plain methods are called on an object of this name.
class LambdaHandler
  attr_reader :handler_file_name

  def initialize(name)
    parts = name.split('.')
    unless [2, 3].include?(parts.size)
      raise ArgumentError, "Invalid handler #{parts}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where " \
                           'FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional ' \
                           'module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be a ' \
                           'class-level method.'
    end
    @handler_file_name = parts.first
    @handler_class = parts[1] if parts.size == 3
    @handler_method_name = parts.last
  end

  def call_handler(request:, context:)
    target = @handler_class ? Kernel.const_get(@handler_class) : self
    AwsLambda::Marshaller.marshall_response(target.__send__(@handler_method_name, event: request, context: context))
  end
end

module Pilotlight
  Request = Struct.new(:body, :header) do
    def [](name)
      header[name]
    end
  end

  class Bootstrap
    TRACE_MAX = 100
    EXIT_CRITICAL = 255
    EXIT_INIT = 252
    PR_SET_PDEATHSIG = 1
    PRCTL = { 'x86_64-linux' => 157, 'aarch64-linux' => 167 }.freeze

    def initialize(descriptor, road, *strange)
      @channel = Channel.new(descriptor)
      @spare = road == 'spare'
      strange.each { |name| ENV.delete(name) }
    end

    def main
      end_with_parent
      Gems.bring_in if @spare
      kind, body = @channel.receive
      exit!(2) unless kind == START
      @start = JSON.parse(body)
      settle
      load_handler
      @channel.send(READY, '')
      loop do
        kind, body = @channel.receive
        answer(body) if kind == INVOKE
      end
    end

    private

    # The environment, the search path and the directory that a function starts with.
    def settle
      ARGV.clear
      $PROGRAM_NAME = 'bootstrap.rb'
      if @spare
        ENV.replace(@start['environment'])
        $LOAD_PATH.unshift(*ENV['RUBYLIB'].to_s.split(':'))
        Gems.look_again
      elsif Gems.wanted?
        Gems.bring_in
      else
        Gems.bring_in_lazily
      end
      Logs.set_up(@channel, @start)
      Dir.chdir(@start['task_root'])
    end

    def load_handler
      root = @start['task_root']
      $LOAD_PATH.unshift(root) unless $LOAD_PATH.include?(root)
      @handler = LambdaHandler.new(@start['handler'])
      require @handler.handler_file_name
      Logs.finish
    rescue Exception => e # rubocop:disable Lint/RescueException -- the function's own code may end in any way
      told = shape(e, 'Init')
      tell('Init error when loading handler ', told)
      @channel.send(INIT_FAILED, JSON.generate(told))
      exit!(EXIT_INIT)
    end

    def answer(body)
      size = body.unpack1('V')
      header = JSON.parse(body.byteslice(4, size))
      Logs.request_id = $_global_aws_request_id = header['request_id']
      ENV['_X_AMZN_TRACE_ID'] = header['trace_id'].to_s.empty? ? nil : header['trace_id']
      succeed(called(header, body.byteslice(4 + size..).force_encoding('UTF-8')))
    rescue Exception => e # rubocop:disable Lint/RescueException
      fail_invocation(e)
    end

    def called(header, payload)
      request = Request.new(payload.empty? ? '{}' : payload, { 'Content-Type' => 'application/json' })
      context = LambdaContext.new(@start, header)
      @handler.call_handler(request: AwsLambda::Marshaller.marshall_request(request), context: context)
    end

    def succeed(response)
      content, = response
      content = content.read if content.respond_to?(:read)
      Logs.finish
      @channel.send(RESPONSE, content.to_s)
    end

    def fail_invocation(error)
      # AWS: what is no StandardError, and every NameError, ends the process after the answer.
      critical = error.is_a?(NameError) || !error.is_a?(StandardError)
      told = shape(error, 'Function')
      tell(critical ? 'Critical exception from handler' : 'Error raised from handler method', told)
      @channel.send(LEAVING, '') if critical
      @channel.send(FAILURE, JSON.generate(told))
      exit!(EXIT_CRITICAL) if critical
    end

    def tell(message, told)
      Logs.finish
      Logs.write(message)
      Logs.write(JSON.pretty_generate(told))
    end

    def shape(error, where)
      {
        errorMessage: Logs.printable(error.message),
        errorType: "#{where}<#{error.class}>",
        stackTrace: trace_of(error)
      }
    end

    # From the innermost frame out to where the function's own code began.
    def trace_of(error)
      lines = (error.backtrace_locations || []).map(&:to_s)
      lines = lines.take_while { |line| !line.start_with?(__FILE__) }
      lines.reject { |line| line.start_with?("#{__dir__}/") }.first(TRACE_MAX).map { |line| Logs.printable(line) }
    end

    # Whoever started us may be killed while a handler runs, and nobody else would end it.
    def end_with_parent
      number = PRCTL.find { |platform, _| RUBY_PLATFORM.start_with?(platform.split('-').first) }&.last
      syscall(number, PR_SET_PDEATHSIG, Signal.list['KILL'], 0, 0, 0) if number && RUBY_PLATFORM.include?('linux')
    rescue SystemCallError, NotImplementedError
      nil
    end
  end
end

Pilotlight::Bootstrap.new(Integer(ARGV[0]), *ARGV.drop(1)).main
