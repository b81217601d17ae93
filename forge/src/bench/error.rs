//! Why a measurement could not be made.

use std::fmt::Display;
use std::io;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A program that is measured against, or that prepares a measurement.
    #[error("{command} failed: {said}\nnext: check that git works here: git --version")]
    Program {
        /// Its command line.
        command: String,
        /// What it said.
        said: String,
    },
    /// What was asked for cannot be measured.
    #[error("{why}\nnext: {next}")]
    Asked {
        /// Why.
        why: String,
        /// What can be.
        next: String,
    },
    /// The server answered something that makes the measurement void.
    #[error("{what} was answered with {answer}\nnext: FORGE_LOG=debug forge bench wire")]
    Answer {
        /// What was asked.
        what: String,
        /// What came back.
        answer: String,
    },
}

/// What the system said while `what` was tried.
pub fn io(what: impl Display) -> impl FnOnce(io::Error) -> BenchError {
    move |source| BenchError::Io { what: what.to_string(), source }
}

/// What was asked for has an answer that makes the measurement void.
pub fn unusable(what: &str, answer: impl Display) -> BenchError {
    BenchError::Answer { what: what.to_owned(), answer: answer.to_string() }
}
