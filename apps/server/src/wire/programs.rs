//! Programs that the configuration names: whether they are there, and whether the files are that their arguments name.

use super::rules::BrokenRule;
use crate::config::ai_fabric::ProviderKind;
use crate::config::sections::{RuntimeKind, Sections};
use crate::texts::{Said, Texts};
use openclaw_process_runtime::WorkerCommand;
use std::path::Path;

/// Programs of providers that are not there. Those of workers are looked for by the part that runs them.
pub(super) fn missing(sections: &Sections) -> Vec<BrokenRule> {
    let mut broken = Vec::new();
    for (index, provider) in sections.ai_fabric.providers.iter().enumerate() {
        let program = provider
            .program
            .as_deref()
            .filter(|program| *program != Path::new(""));
        let (Some(ProviderKind::Command), Some(program)) = (provider.kind(), program) else {
            continue;
        };
        let mut fault = |field: &str, message: Said| {
            broken.push(BrokenRule {
                path: format!("ai-fabric.providers[{index}].{field}"),
                message,
            });
        };
        let directory = provider.directory.as_deref();
        if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
            let message = Said::new(|texts| texts.fault_directory(&Texts::path(directory)));
            fault("directory", message);
        }
        let mut command = WorkerCommand::new(program, [""; 0]);
        command.directory = directory.map(Path::to_owned);
        if command.find(std::env::var_os("PATH").as_deref()).is_none() {
            let message = Said::new(|texts| texts.fault_program(&Texts::path(program)));
            fault("program", message);
        }
    }
    broken
}

/// Arguments that look like files and name none: most often a script that is somewhere else.
pub(super) fn strange_arguments(sections: &Sections) -> Vec<BrokenRule> {
    let mut found = Vec::new();
    let mut look = |path: String, directory: Option<&Path>, arguments: &[String]| {
        for argument in arguments.iter().filter(|argument| is_path(argument)) {
            if !directory.unwrap_or(Path::new("")).join(argument).exists() {
                let argument = format!("{argument:?}");
                found.push(BrokenRule {
                    path: path.clone(),
                    message: Said::new(|texts| match directory {
                        Some(directory) if !argument.starts_with("\"/") => {
                            texts.fault_no_file_in(&argument, &Texts::path(directory))
                        }
                        Some(_) | None => texts.fault_no_file(&argument),
                    }),
                });
            }
        }
    };
    let workers = &sections.concurrency;
    if workers.runtime == RuntimeKind::Process {
        let arguments = workers.command.as_deref().and_then(<[String]>::split_first);
        let arguments = arguments.map_or(&[] as &[String], |(_, arguments)| arguments);
        look(
            "concurrency.command".to_owned(),
            workers.directory.as_deref(),
            arguments,
        );
    }
    for (index, provider) in sections.ai_fabric.providers.iter().enumerate() {
        if provider.kind() == Some(ProviderKind::Command) {
            let path = format!("ai-fabric.providers[{index}].args");
            look(path, provider.directory.as_deref(), &provider.args);
        }
    }
    found
}

/// Whether an argument is most likely meant as a path: no option, no address, nothing that is filled in, no sentence.
fn is_path(argument: &str) -> bool {
    argument.contains('/')
        && !argument.starts_with('-')
        && !argument.contains("://")
        && !argument.contains(|letter: char| letter.is_whitespace() || "{}*?$`;|<>\"'".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_not_looked_for() {
        for path in ["/nope/worker.py", "scripts/worker.py", "./x"] {
            assert!(is_path(path), "{path}");
        }
        for other in [
            "worker.py",
            "--model=a/b",
            "https://example.org/x",
            "/models/{model}",
            "exec /bin/cat",
            "s/a/b/;p",
        ] {
            assert!(!is_path(other), "{other}");
        }
    }
}
