//! The read side: projector, rebuild, how soon a command is visible, and how fast a row is read.

mod by_id;
mod limit;
mod past;
mod peers;
mod project;
mod rebuild;
mod visible;

pub(crate) use by_id::{g11, serve as serve_by_id};
pub(crate) use peers::{Naive, Peer, g9p, project_naively};
pub(crate) use project::g8;
pub(crate) use rebuild::g9;
pub(crate) use visible::g10;
