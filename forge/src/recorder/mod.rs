//! The recorder: `forge run`.
