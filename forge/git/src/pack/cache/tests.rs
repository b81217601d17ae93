//! The cache under those who ask at once, leave early, come after a restart, or find it gone.
