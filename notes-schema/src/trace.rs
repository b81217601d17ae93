//! The trace record: what an agent recorded of its runs.
