"""What PYTHONSTARTUP names in the console's kernels: follow the cells, then do what it named before.

IPython executes this file in the namespace of the notebook, so it leaves no name behind. A terminal inherits
the variable, too; there only the second half happens.
"""


def _startup(names: dict) -> None:
    import importlib.util
    import os
    from pathlib import Path

    log = os.environ.pop("PRESENTER_EVENTS", "")
    before = os.environ.pop("PRESENTER_STARTUP", "")
    os.environ.pop("PYTHONSTARTUP", None)
    if before:
        os.environ["PYTHONSTARTUP"] = before  # what the kernel starts itself is not ours to follow
    try:
        shell = names["get_ipython"]() if "get_ipython" in names else None
        if log and hasattr(shell, "kernel"):
            spec = importlib.util.spec_from_file_location(
                "presenter_hook", Path(__file__).with_name("hook.py")
            )
            hook = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(hook)
            hook.install(shell, log=log)
    finally:
        if before:
            exec(compile(Path(before).read_bytes(), before, "exec"), names)


_startup(globals())
del _startup
