//! Contract tests: a front door on a port of its own, in front of an emulator that the test itself serves.

mod door;
mod vending;
