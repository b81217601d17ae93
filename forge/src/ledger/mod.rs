//! Append batches, recover, iterate, verify.
