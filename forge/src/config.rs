//! Settings: `forge.toml`, `FORGE_*`, flags.

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory.
    pub data: std::path::PathBuf,
}
