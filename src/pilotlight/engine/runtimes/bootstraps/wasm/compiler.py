"""Makes native code of a module, in a sandbox of its own: `compiler.py LIBRARIES MODULE`; it goes to descriptor 3.

No code of the module's runs here. What a stranger's module could do to the compiler stays in this sandbox, and what
comes out is only ever loaded in sandboxes of the same function.
"""

import os
import sys

sys.path.insert(0, sys.argv[1])

import wasmtime


def main():
    try:
        made = wasmtime.Module.from_file(wasmtime.Engine(), sys.argv[2]).serialize()
    except wasmtime.WasmtimeError as error:
        sys.stderr.write(str(error).split("\n\n")[0])
        return 1
    view = memoryview(made)
    while view:
        view = view[os.write(3, view) :]
    return 0


if __name__ == "__main__":
    sys.exit(main())
