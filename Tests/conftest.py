"""For all tests in Python. What makes no sense of programs with a sanitizer is left out (scripts/sanitize.sh)."""

import gc
import os
import signal

import pytest

# A shell starts what it runs in the background with Ctrl-C ignored, and programs inherit that (signal(7), execve(2)):
# tests that send SIGINT to a command would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# They measure memory, of which a sanitizer takes a multiple, or times of a few milliseconds.
MEASURING = {
    "test_streaming_does_not_fill_the_command", "test_slow_statements", "test_a_million_rows_in_bounded_memory",
    "test_stream_without_a_session_goes_at_the_readers_pace", "test_results_that_nobody_reads_are_limited_in_all",
    "test_memory_is_bounded", "test_stalled_reader", "test_pages_are_kept_while_they_are_used", "test_pages_have_a_limit",
}


def pytest_collection_finish():
    """The tests themselves stay to the end: whoever looks for garbage need not look through all of them each time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    if not os.environ.get("LITEBASE_TEST_SANITIZER"):
        return
    for item in items:
        if item.originalname in MEASURING:
            item.add_marker(pytest.mark.skip(reason="measures what a sanitizer changes"))
