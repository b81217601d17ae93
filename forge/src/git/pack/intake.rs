//! Taking a foreign pack under budgets, into memory or into a directory by its size.

/// stub
pub struct Quarantine;
