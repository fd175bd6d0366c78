"""The contract's handlers in Ruby."""

from __future__ import annotations

from tests.engine.contract import Language

PROGRAM = """
$count = 0
$ticks = 0
puts 'loaded'

class Boom < StandardError; end

def handler(event:, context:)
  return event unless event.is_a?(Hash) && event.key?('do')

  Can.public_send("do_#{event['do']}", event['with'], context)
end

module Can
  module_function

  def tried
    yield
    true
  rescue SystemCallError
    false
  end

  def do_echo(value, _) = value
  def do_context(_, context)
    { request: context.aws_request_id, arn: context.invoked_function_arn, name: context.function_name,
      version: context.function_version, memory: context.memory_limit_in_mb, group: context.log_group_name,
      stream: context.log_stream_name, custom: context.client_context&.fetch('custom'),
      identity: context.identity&.fetch('cognitoIdentityId') }
  end
  def do_remaining(_, context) = context.get_remaining_time_in_millis
  def do_environment(*) = ENV.to_h
  def do_where(*) = [Dir.pwd, __dir__]
  def do_count(*) = $count += 1
  def do_pid(*) = Process.pid
  def do_raise(value, _) = raise(Boom, value)
  def do_unserialisable(*) = "\\xff"
  def do_exit(value, _) = exit!(value)
  def do_signal(value, _)
    Process.kill(value, Process.pid)
    sleep 5
  end
  def do_sleep(value, _) = sleep(value) && nil
  def do_spin(*)
    loop { nil }
  end
  def do_big(value, _) = 'x' * value
  def do_print(value, _) = $stdout.puts(value)
  def do_error(value, _) = $stderr.puts(value)
  def do_partial(value, _) = print(value)
  def do_child(value, _) = system('sh', '-c', value)
  def do_tick(*)
    Thread.new { loop { $ticks += 1; sleep 0.005 } }
    nil
  end
  def do_ticks(*) = $ticks
  def do_write(value, _)
    File.open(value, 'a') { |file| file.write('x') }
    File.size(value)
  end
  def do_can(value, _) = tried { File.open(value, 'a').close }
  def do_reads(value, _) = tried { File.open(value).read(1) }
  def do_user(*) = Process.uid
  def do_files(*) = Process.getrlimit(Process::RLIMIT_NOFILE).first
  def do_fill(*)
    kept = []
    loop { kept << 'x' * (1 << 20) }
  end
  def do_listing(value, _) = Dir.children(value).sort
end
"""

LANGUAGE = Language(
    name="ruby",
    runtime="ruby3.3",
    executable="ruby",
    file="app.rb",
    program=PROGRAM,
    at_init={
        "raise": "class Boom < StandardError; end\nraise Boom, 'at init'",
        "exit": "exit!(7)",
        "hang": "sleep 60",
        "nothing": "",
        "module": "require 'nothing_like_it'",
        "syntax": "def (",
    },
    faults={
        "raise": "Function<Boom>",
        "init": "Init<Boom>",
        "module": "Init<LoadError>",
        "missing": "Init<LoadError>",
        "syntax": "Init<SyntaxError>",
        "handler": "Function<NoMethodError>",
        "name": "Init<ArgumentError>",
        "unserialisable": "Function<JSON::GeneratorError>",
    },
)
