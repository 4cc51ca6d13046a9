//! The port to where a projection's rows and checkpoints are kept.

use std::any::Any;
use std::collections::BTreeMap;

use async_trait::async_trait;
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::readers::Scanned;
use crate::topic::Topic;

/// Where a projector begins.
#[derive(Clone, Debug)]
pub struct Started {
    /// The version that is live.
    pub version: i32,
    /// How far it has come, in every partition of the topic.
    pub checkpoints: BTreeMap<u32, Checkpoint>,
}

/// A batch that is to be applied.
pub struct Prepared {
    /// What was scanned.
    pub scanned: Scanned,
    /// What the read model has done of it already, and knows how to use.
    pub ahead: Option<Box<dyn Any + Send>>,
}

impl From<Scanned> for Prepared {
    fn from(scanned: Scanned) -> Self {
        Self { scanned, ahead: None }
    }
}

/// Why nothing was applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadModelError {
    /// Somebody else moved a checkpoint: apply nothing, read it again.
    #[error("another projector moved the checkpoint")]
    Overtaken,
    /// Another version became active: go on with that one.
    #[error("another version became active")]
    Switched,
    /// The live version is another build's to write: nothing is done until this changes. Says which is which.
    #[error("{0}")]
    Foreign(String),
    /// Not now; says why. It may have been applied all the same, and then the checkpoint has moved.
    #[error("{0}")]
    Away(String),
    /// Trying the same again cannot help.
    #[error("{0}")]
    Final(String),
}

/// One projection's rows and checkpoints, with its fold.
#[async_trait]
pub trait ReadModel: Send + Sync + 'static {
    /// The projection's name.
    fn name(&self) -> &'static str;

    /// The live version and its checkpoints in all `partitions` of the topic; makes what is missing.
    async fn look(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError>;

    /// The same, to begin there: of batches that were prepared before and not applied, none will be.
    async fn start(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError> {
        self.look(topic, partitions).await
    }

    /// Does of a batch what can be done before the batches that were prepared before it are applied.
    async fn prepare(
        &self,
        _topic: &Topic,
        _version: i32,
        scanned: Scanned,
    ) -> Result<Prepared, ReadModelError> {
        Ok(scanned.into())
    }

    /// Folds a batch into the rows of `version` and moves its checkpoints, each by compare-and-set, all in one
    /// transaction: everything or, with an error other than [`ReadModelError::Away`], nothing. Batches come in the order
    /// in which they were prepared. May be dropped at any await; it is everything or nothing then, too.
    async fn apply(&self, topic: &Topic, version: i32, batch: Prepared) -> Result<(), ReadModelError>;
}
