//! Folds of what is written.
