"""PYTHONSTARTUP names this file in the console's kernels: install the hook, then run the file named before.

IPython executes this file in the notebook's namespace, so it leaves no name behind. A terminal inherits the
variable as well; there the file named before runs, and no hook is installed.
"""


def _startup(names: dict) -> None:
    import importlib.util
    import os
    from pathlib import Path

    log = os.environ.pop("PRESENTER_EVENTS", "")
    before = os.environ.pop("PRESENTER_STARTUP", "")
    os.environ.pop("PYTHONSTARTUP", None)
    if before:
        os.environ["PYTHONSTARTUP"] = before  # programs that a cell starts are not followed
    try:
        shell = names["get_ipython"]() if "get_ipython" in names else None
        if log and hasattr(shell, "kernel"):
            spec = importlib.util.spec_from_file_location(
                "presenter_hook", Path(__file__).with_name("hook.py")
            )
            if spec and spec.loader:  # there always is one for a file of Python
                hook = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(hook)
                hook.install(shell, log=log)
    finally:
        if before:
            exec(compile(Path(before).read_bytes(), before, "exec"), names)


_startup(globals())
del _startup
