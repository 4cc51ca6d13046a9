//! All tasks of the process: started together, stopped in stages, and one fate: a task that ends
//! before it is told to takes the process down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use http_kit::health::Readiness;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The order of stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// First the owners let go of their partitions, while their callers can still be answered from elsewhere.
    Owners,
    /// Then no new work comes in, and what is in flight is answered.
    Servers,
    /// Then those who read the log stop.
    Readers,
    /// Last what all of them stand on.
    Ground,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Owners, Self::Servers, Self::Readers, Self::Ground];
}

struct Staged {
    stop: CancellationToken,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
}

/// See the module.
pub struct Supervisor {
    stages: [Staged; 4],
    readiness: Vec<Arc<Readiness>>,
    /// How long `/readyz` says 503 before the first stage stops.
    readiness_lead: Duration,
    /// How long each stage may take.
    stage_timeout: Duration,
}

impl Supervisor {
    /// A supervisor of nothing yet.
    #[must_use]
    pub fn new(readiness_lead: Duration, stage_timeout: Duration) -> Self {
        let staged = || Staged {
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        Self {
            stages: [staged(), staged(), staged(), staged()],
            readiness: Vec::new(),
            readiness_lead,
            stage_timeout,
        }
    }

    /// What tells the tasks of this stage to stop.
    pub fn stop_of(&self, stage: Stage) -> CancellationToken {
        self.stages[stage as usize].stop.clone()
    }

    /// Supervises `task`, which ends with `Ok` after its stage's stop and never before.
    pub fn spawn(
        &mut self,
        stage: Stage,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.stages[stage as usize]
            .tasks
            .spawn(async move { (name, task.await) });
    }

    /// Answers 503 from the moment the process is told to stop.
    pub fn announce(&mut self, readiness: Arc<Readiness>) {
        self.readiness.push(readiness);
    }

    /// Runs until SIGTERM or Ctrl-C, or until a task ends by itself: that is an error. A second
    /// signal ends the process at once.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let failed = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            error = self.first_death() => Some(error),
        };
        if let Some(error) = &failed {
            tracing::error!(error = format!("{error:#}"), "going down");
        } else {
            tracing::info!("stopping; a second signal stops at once");
        }
        let stopped = tokio::select! {
            stopped = self.stop() => stopped,
            _ = terminate.recv() => Err(anyhow!("stopped hard")),
            _ = interrupt.recv() => Err(anyhow!("stopped hard")),
        };
        failed.map_or(stopped, Err)
    }

    /// Waits for a task that ends unasked.
    async fn first_death(&mut self) -> anyhow::Error {
        let [owners, servers, readers, ground] = &mut self.stages;
        let ended = tokio::select! {
            Some(ended) = owners.tasks.join_next() => ended,
            Some(ended) = servers.tasks.join_next() => ended,
            Some(ended) = readers.tasks.join_next() => ended,
            Some(ended) = ground.tasks.join_next() => ended,
            else => return anyhow!("there is nothing to run"),
        };
        match ended {
            Ok((name, Ok(()))) => anyhow!("{name} ended by itself"),
            Ok((name, Err(error))) => error.context(name),
            Err(death) => anyhow!("a task died: {death}"),
        }
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        for readiness in &self.readiness {
            readiness.stop();
        }
        tokio::time::sleep(self.readiness_lead).await;
        let mut outcome = Ok(());
        for stage in Stage::ALL {
            let staged = &mut self.stages[stage as usize];
            staged.stop.cancel();
            let all = async {
                while let Some(ended) = staged.tasks.join_next().await {
                    match ended {
                        Ok((_, Ok(()))) => {}
                        Ok((name, Err(error))) => outcome = Err(error.context(name)),
                        Err(death) => outcome = Err(anyhow!("a task died: {death}")),
                    }
                }
            };
            if tokio::time::timeout(self.stage_timeout, all).await.is_err() {
                let left = staged.tasks.len();
                tracing::warn!(?stage, left, "cut off at the deadline");
                staged.tasks.shutdown().await;
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_dies_takes_the_process_down() {
        let mut supervisor = Supervisor::new(Duration::ZERO, Duration::from_secs(5));
        let stop = supervisor.stop_of(Stage::Owners);
        supervisor.spawn(Stage::Owners, "owner", async move {
            stop.cancelled().await;
            Ok(())
        });
        supervisor.spawn(Stage::Readers, "projector", async {
            Err(anyhow!("a corrupt record"))
        });
        let error = format!("{:#}", supervisor.run().await.expect_err("goes down"));
        assert_eq!(error, "projector: a corrupt record");
    }

    #[tokio::test]
    async fn stages_stop_in_order() {
        let mut supervisor = Supervisor::new(Duration::ZERO, Duration::from_secs(5));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for (stage, name) in [
            (Stage::Ground, "ground"),
            (Stage::Servers, "servers"),
            (Stage::Readers, "readers"),
            (Stage::Owners, "owners"),
        ] {
            let (stop, tell) = (supervisor.stop_of(stage), tell.clone());
            supervisor.spawn(stage, name, async move {
                stop.cancelled().await;
                tell.send(name)?;
                Ok(())
            });
        }
        supervisor.stop().await.expect("stops well");
        let order: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(order, ["owners", "servers", "readers", "ground"]);
    }
}
