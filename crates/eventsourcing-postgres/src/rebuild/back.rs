//! The way back: to the version before, and its end.

use std::sync::Arc;

use super::build::{Aim, Build};
use super::course::{Course, Phase};
use super::{Limits, RebuildError, Rebuilder, switch, versions};
use crate::deadline::while_alive;
use crate::projection::{fingerprint, refuse_replaced};

impl Rebuilder {
    /// Makes the version before the live one again: it is brought up to the live one's checkpoint and switched to, and
    /// the live one is kept as the version before. Returns its number.
    pub async fn rollback(&self) -> Result<i32, RebuildError> {
        while_alive(&self.pool, self.go_back()).await
    }

    async fn go_back(&self) -> Result<i32, RebuildError> {
        let name = &self.projection.name;
        self.locked(async |connection| {
            refuse_replaced(&mut *connection, name, &self.topic).await?;
            let live = self.live(&mut *connection).await?;
            let retired = versions::retired(&mut *connection, name.as_str()).await?;
            let version = *retired.first().ok_or(RebuildError::NothingBefore(name.clone()))?;
            // Only the fold that made it can bring it up to date.
            let made = fingerprint(&mut *connection, name.as_str(), version).await?;
            if made != Some(self.projection.fingerprint()) {
                let projection = name.clone();
                return Err(RebuildError::OtherBuild { projection, version });
            }
            // What was mended or skipped since holds here, too.
            self.redrive_all(&mut *connection, version).await?;
            let course = Arc::new(Course::new(name.clone(), version, &Limits::default()));
            course.enter(Phase::Switching);
            let build = Build {
                rebuilder: self,
                aim: Aim::Live(live),
                version,
                course,
            };
            switch::switch(connection, &build, live).await?;
            Ok(version)
        })
        .await
    }

    /// Drops the versions before the live one; returns their numbers.
    pub async fn drop_retired(&self) -> Result<Vec<i32>, RebuildError> {
        let name = &self.projection.name;
        self.locked(async |connection| {
            let retired = versions::retired(&mut *connection, name.as_str()).await?;
            if retired.is_empty() {
                return Err(RebuildError::NothingBefore(name.clone()));
            }
            for version in &retired {
                versions::discard(&mut *connection, name.as_str(), *version).await?;
            }
            Ok(retired)
        })
        .await
    }
}
