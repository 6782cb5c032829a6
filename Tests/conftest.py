"""For all tests in Python."""

import signal

# A shell starts what it runs in the background with Ctrl-C ignored, and programs inherit that (signal(7), execve(2)):
# tests that send SIGINT to a command would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
