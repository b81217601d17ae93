//! SSH door.
