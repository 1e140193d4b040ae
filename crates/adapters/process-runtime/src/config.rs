//! What a worker is and how much it may do: the command, its environment, its limits.

use openclaw_core::{ValidationError, Violation};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The program a worker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The program: a path, or a name looked up in the server's `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where it runs; the server's directory if not given.
    pub directory: Option<PathBuf>,
    /// Variables of its environment. It gets these and [`WorkerCommand::inherit`], nothing else: the server's
    /// environment holds secrets.
    pub environment: Vec<(String, String)>,
    /// Names of variables it gets from the server's environment where they are set there.
    pub inherit: Vec<String>,
}

/// How workers run and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// The program.
    pub command: WorkerCommand,
    /// Threads of this process that serve all workers' pipes and run the handlers. At least 1.
    pub threads: usize,
    /// The longest line a worker may write. One that writes a longer one is replaced.
    pub max_line_bytes: usize,
    /// Text and tool arguments one answer may have together. A worker that exceeds it is replaced.
    pub max_answer_bytes: usize,
    /// What a worker may write on its standard output in a second; twice as much at once. Every line counts 64 bytes
    /// more than it has. A worker that exceeds it is replaced.
    pub stdout_bytes_per_second: u64,
    /// How much of a worker's standard error is read in a second. What is written faster waits in the pipe, and the
    /// worker with it.
    pub stderr_bytes_per_second: u64,
    /// Between asking a worker to end and ending it.
    pub stop_grace: Duration,
    /// How long a worker may take to end an answer nobody waits for any longer, before it is replaced.
    pub cancel_grace: Duration,
    /// Between two looks at a worker's memory.
    pub memory_interval: Duration,
    /// Resident memory at which a worker is ended at once, in percent of the pool's limit per worker, at which it is
    /// only drained. Twice as much is the limit the kernel enforces on its data.
    pub hard_memory_percent: u32,
}

/// Variables that programs need to find their files and to write text, and that hold no secrets.
const INHERITED: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];

// === impl WorkerCommand ===

impl WorkerCommand {
    /// A program and its arguments, with the usual variables of the server's environment.
    pub fn new<A: Into<String>>(program: impl Into<PathBuf>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            directory: None,
            environment: Vec::new(),
            inherit: INHERITED.map(str::to_owned).to_vec(),
        }
    }

    /// The file the program's name stands for, if there is one that may be run. `path` is the `PATH` a plain name is
    /// looked up in; a name with a slash counts from the directory.
    pub fn find(&self, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
        if self.program.components().count() > 1 {
            let from = self.directory.as_deref().unwrap_or(Path::new(""));
            let file = from.join(&self.program);
            return is_program(&file).then_some(file);
        }
        std::env::split_paths(path?)
            .map(|directory| directory.join(&self.program))
            .find(|file| is_program(file))
    }
}

/// Whether somebody may run it.
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

// === impl ProcessConfig ===

impl ProcessConfig {
    /// The defaults for a program.
    pub fn new(command: WorkerCommand) -> Self {
        Self {
            command,
            threads: 2,
            max_line_bytes: 1 << 20,
            max_answer_bytes: 8 << 20,
            stdout_bytes_per_second: 4 << 20,
            stderr_bytes_per_second: 64 << 10,
            stop_grace: Duration::from_secs(2),
            cancel_grace: Duration::from_secs(1),
            memory_interval: Duration::from_millis(250),
            hard_memory_percent: 150,
        }
    }

    /// Checks every rule, and that the program is there.
    ///
    /// # Errors
    ///
    /// When a rule is broken; all broken ones are named, as fields of `concurrency`.
    pub fn validate(&self) -> Result<(), ValidationError> {
        let mut violations = Vec::new();
        let mut rule = |holds: bool, field: &str, value: &dyn std::fmt::Display, rule: &str| {
            if !holds {
                violations.push(Violation::new(field, value, rule));
            }
        };
        let found = self.command.find(std::env::var_os("PATH").as_deref());
        let program = self.command.program.display();
        rule(
            found.is_some(),
            "command",
            &program,
            "must be a program that exists and may be run",
        );
        let directory = self.command.directory.as_deref();
        rule(
            directory.is_none_or(Path::is_dir),
            "directory",
            &directory.unwrap_or(Path::new("")).display(),
            "must be a directory that exists",
        );
        rule(self.threads > 0, "threads", &self.threads, "must not be 0");
        rule(
            self.max_line_bytes >= 1024,
            "maxLineBytes",
            &self.max_line_bytes,
            "must be at least 1024",
        );
        rule(
            self.max_answer_bytes >= 1024,
            "maxAnswerBytes",
            &self.max_answer_bytes,
            "must be at least 1024",
        );
        let longest = u64::try_from(self.max_line_bytes).unwrap_or(u64::MAX);
        rule(
            self.stdout_bytes_per_second >= longest,
            "stdoutBytesPerSecond",
            &self.stdout_bytes_per_second,
            "must be at least maxLineBytes",
        );
        rule(
            self.stderr_bytes_per_second >= 1024,
            "stderrBytesPerSecond",
            &self.stderr_bytes_per_second,
            "must be at least 1024",
        );
        rule(
            self.memory_interval >= Duration::from_millis(10),
            "memoryIntervalMs",
            &self.memory_interval.as_millis(),
            "must be at least 10",
        );
        rule(
            self.hard_memory_percent >= 100,
            "hardMemoryPercent",
            &self.hard_memory_percent,
            "must be at least 100",
        );
        ValidationError::check(violations)
    }
}
