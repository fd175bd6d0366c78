# frozen_string_literal: true

# RubyGems, brought in when somebody needs it: it takes four times as long to load as all the rest.
#
# A function whose package, layers or environment bring gems has it from the start, since an installed gem must win over
# the one of the same name that Ruby itself brings. Else it comes with the first `Gem`, `gem` or `require` that Ruby
# alone cannot answer.

module Pilotlight
  module Gems
    class << self
      # What `ruby` loads by itself, unless it is told not to.
      def bring_in
        return if @here

        @here = true
        restore
        require 'rubygems'
        modern = (RUBY_VERSION.split('.').map(&:to_i) <=> [3, 2]) >= 0
        %w[error_highlight did_you_mean].each { |name| optional(name) } if modern
      end

      # After the environment was changed.
      def look_again
        Gem.clear_paths if @here
      end

      def wanted?
        ENV.keys.any? { |name| name.start_with?('BUNDLE', 'RUBYOPT') } ||
          ENV.fetch('GEM_PATH', '').split(':').any? { |path| Dir.exist?("#{path}/specifications") }
      end

      def bring_in_lazily
        return @here = true if defined?(Gem)

        Object.autoload(:Gem, 'rubygems')
        Kernel.module_eval do
          alias_method :pilotlight_require, :require
          define_method(:require) { |name| Gems.answer(self, name) }
          define_method(:gem) do |*arguments|
            Gems.bring_in
            gem(*arguments)
          end
          private :require, :gem, :pilotlight_require
        end
        @patched = true
      end

      def answer(caller, name)
        caller.__send__(:pilotlight_require, name)
      rescue LoadError => error
        raise if @here || error.path != name

        bring_in
        caller.__send__(:require, name)
      end

      private

      def restore
        return unless @patched

        @patched = false
        Kernel.module_eval do
          alias_method :require, :pilotlight_require
          remove_method :gem
          private :require
        end
      end

      def optional(name)
        require name
      rescue LoadError
        nil # not every Ruby has it
      end
    end
  end
end
