//! What the pool's workers are: tasks that ask models, or processes that answer in the models' place.

use crate::config::sections::{ConcurrencySection, RuntimeKind};
use anyhow::Context as _;
use openclaw_concurrency::WorkerRuntime;
use openclaw_core::{Clock, ValidationError};
use openclaw_gateway::{Job, JobEnd, JobRunner};
use openclaw_process_runtime::{ProcessConfig, ProcessRuntime, WorkerCommand, WorkerModel, WorkerTroubles};
use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
use std::sync::Arc;

/// How the configured workers are run.
#[derive(Clone, Debug)]
pub(crate) enum Workers {
    /// As tasks of the server.
    Tasks,
    /// As processes. Their model stands in the registry.
    Processes {
        config: Box<ProcessConfig>,
        model: Arc<WorkerModel>,
    },
}

/// What runs the workers.
pub(crate) struct Running {
    pub(crate) runtime: Arc<dyn WorkerRuntime<Job, JobEnd>>,
    /// What goes wrong with them, where they are processes.
    pub(crate) troubles: Option<Arc<WorkerTroubles>>,
}

// === impl Workers ===

impl Workers {
    /// Reads the section. The error is a [`ValidationError`] where a field is at fault.
    pub(crate) fn of(section: &ConcurrencySection) -> anyhow::Result<Self> {
        match section.runtime {
            RuntimeKind::Task => Ok(Self::Tasks),
            RuntimeKind::Process => {
                let config = process_config(section)?;
                config.validate()?;
                Ok(Self::Processes {
                    config: Box::new(config),
                    model: WorkerModel::new(),
                })
            }
        }
    }

    /// The program and its arguments, where workers are processes.
    pub(crate) fn command(&self) -> Option<Vec<String>> {
        match self {
            Self::Tasks => None,
            Self::Processes { config, .. } => {
                let program = config.command.program.display().to_string();
                Some(
                    std::iter::once(program)
                        .chain(config.command.args.clone())
                        .collect(),
                )
            }
        }
    }

    /// Starts what runs them. Must run inside the server's tokio runtime, whose threads stateless calls stay on.
    pub(crate) fn runtime(&self, runner: &JobRunner, clock: &Arc<dyn Clock>) -> anyhow::Result<Running> {
        let runner = runner.clone();
        Ok(match self {
            Self::Tasks => Running {
                runtime: TaskRuntime::beside_callers(
                    TaskRuntimeConfig::default(),
                    tokio::runtime::Handle::current(),
                    {
                        let runner = runner.clone();
                        move |job| runner.only_waits(job)
                    },
                    Arc::clone(clock),
                    move |job, context| {
                        let runner = runner.clone();
                        async move { runner.run(job, context).await }
                    },
                )
                .context("the workers' threads could not be started")?,
                troubles: None,
            },
            Self::Processes { config, model } => {
                let model = Arc::clone(model);
                let config = ProcessConfig::clone(config);
                let runtime = ProcessRuntime::new(config, Arc::clone(clock), move |job, context, child| {
                    let (runner, model) = (runner.clone(), Arc::clone(&model));
                    async move {
                        let work = runner.run(job, context.clone());
                        model.lend(child, &context, work).await
                    }
                })?;
                Running {
                    troubles: Some(runtime.troubles()),
                    runtime,
                }
            }
        })
    }
}

fn process_config(section: &ConcurrencySection) -> Result<ProcessConfig, ValidationError> {
    let command = section.command.as_deref().unwrap_or_default();
    let Some((program, args)) = command.split_first().filter(|(program, _)| !program.is_empty()) else {
        let rule = "must name a program, because concurrency.runtime is process";
        return Err(ValidationError::one("command", "nothing", rule));
    };
    let mut command = WorkerCommand::new(program, args);
    command.directory.clone_from(&section.directory);
    command.inherit.extend(section.env.iter().flatten().cloned());
    Ok(ProcessConfig::new(command))
}
