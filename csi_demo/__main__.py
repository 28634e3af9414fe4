import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # quietly, while the rest is imported

from .cli import main  # noqa: E402

signal.signal(signal.SIGINT, signal.default_int_handler)

if __name__ == "__main__":
    raise SystemExit(main())
