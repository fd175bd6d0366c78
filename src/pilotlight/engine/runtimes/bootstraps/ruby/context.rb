# frozen_string_literal: true

# The context object, with the names and types that AWS's own has.

class LambdaContext
  attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name, :function_name,
              :memory_limit_in_mb, :function_version, :identity, :client_context, :deadline_ms

  def initialize(start, header)
    @aws_request_id = header['request_id']
    @invoked_function_arn = header['invoked_arn']
    @deadline_ms = header['deadline_ms']
    @log_group_name = start['log_group']
    @log_stream_name = start['log_stream']
    @function_name = start['function_name']
    @function_version = start['function_version']
    @memory_limit_in_mb = start['memory_mb'].to_s
    @identity = parsed(header['identity'])
    @client_context = parsed(header['client_context'])
  end

  # By wall time, as the deadline is.
  def get_remaining_time_in_millis
    [@deadline_ms - Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond), 0].max
  end

  private

  def parsed(text)
    JSON.parse(text) unless text.to_s.empty?
  end
end
