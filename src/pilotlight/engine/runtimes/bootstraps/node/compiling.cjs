// Not a module: the body of a function of `modules.cjs`, compiled under the name of Node's own loader, which is what
// stack traces then show. Node's `_compile` is asked for the module's own `require`, and keeps its books.

'use strict'

const compile = Module.prototype._compile
let executing

Module.prototype._compile = function (content, filename, ...rest) {
  const script = scriptOf(content, filename, rest[0])
  if (script === null) return Reflect.apply(compile, this, [content, filename, ...rest])
  const require = Reflect.apply(compile, this, ['return require', filename, ...rest])
  executing ??= Object.getOwnPropertySymbols(this).find((symbol) => symbol.description === 'kIsExecuting')
  if (executing) this[executing] = true
  const result = Reflect.apply(
    script.runInThisContext(), this.exports, [this.exports, require, this, filename, dirname(filename)])
  if (executing) this[executing] = false
  return result
}
