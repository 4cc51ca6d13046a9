//! Why a local part does not start, in words that say what to do.

use std::path::PathBuf;

use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// A program is not on this machine.
    #[error("{program} was not found; install it with: {install}")]
    Missing {
        /// What is needed.
        program: &'static str,
        /// The command that brings it.
        install: &'static str,
    },
    /// Another process uses the data directory.
    #[error("{0} is in use by another daybook process; stop it, or choose another directory with --data")]
    InUse(PathBuf),
    /// A child ended or did not become ready.
    #[error("{what} did not start: {detail} (its log: {log})")]
    NotStarted {
        /// The child.
        what: &'static str,
        /// What it said.
        detail: String,
        /// Where it says more.
        log: PathBuf,
    },
    /// A helper command failed.
    #[error("{command} failed: {detail}")]
    Failed {
        /// The command.
        command: String,
        /// What it said.
        detail: String,
    },
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl EmbeddedError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
