//! The driver with a real daemon: `LITEBASED`, or what `make build` has made. `tests/test_rust.py` starts the servers, too.

mod catalog;
mod changes;
mod daemon;
mod hostile;
mod import;
mod restore;
mod servers;
mod sqlite;
mod stops;
mod transfers;
