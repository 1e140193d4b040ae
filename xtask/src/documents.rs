//! Rules about documents: links lead somewhere, named paths exist, both languages have the same pages.

use crate::tree::Tree;
use std::collections::BTreeMap;

/// The guide in its languages; each must have the pages of all others.
const GUIDES: &[&str] = &["docs/guide/en", "docs/guide/ru"];

/// Lines and sentences of the change log that are alike for so many characters are one that was written twice.
const ALIKE_CHARS: usize = 32;

/// What a path named in ARCHITECTURE.md begins with.
const PATH_STARTS: &[&str] = &["crates/", "apps/", "xtask/", "docs/"];

/// Everything that leads nowhere, as `place: what`.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in tree.ending(".md") {
        links(tree, path, text, &mut faults);
    }
    if let Some(text) = tree.text("CHANGELOG.md") {
        said_twice(text, &mut faults);
    }
    if let Some(text) = tree.text("ARCHITECTURE.md") {
        named_paths(tree, text, &mut faults);
    }
    same_headings(tree, "README.md", "README.ru.md", &mut faults);
    if let Some((first, others)) = GUIDES.split_first() {
        for page in tree.below(first) {
            for other in others {
                same_headings(
                    tree,
                    &format!("{first}/{page}"),
                    &format!("{other}/{page}"),
                    &mut faults,
                );
            }
        }
    }
    for guide in GUIDES {
        let pages = tree.below(guide);
        for other in GUIDES {
            for page in tree.below(other).difference(&pages) {
                faults.push(format!("{guide}/{page}: missing, {other} has it"));
            }
        }
    }
    faults
}

/// Whoever reads a page in one language is told as much as in the other: as many headings, as deep.
fn same_headings(tree: &Tree, page: &str, other: &str, faults: &mut Vec<String>) {
    let levels = |text: &str| -> Vec<usize> {
        let depth = |line: &str| line.len() - line.trim_start_matches('#').len();
        prose(text)
            .map(|(_, line)| (depth(line), line))
            .filter(|(depth, line)| {
                *depth > 0 && line.get(*depth..).is_some_and(|rest| rest.starts_with(' '))
            })
            .map(|(depth, _)| depth)
            .collect()
    };
    if let (Some(text), Some(translated)) = (tree.text(page), tree.text(other))
        && levels(text) != levels(translated)
    {
        faults.push(format!("{other}: its headings are not those of {page}"));
    }
}

fn links(tree: &Tree, path: &str, text: &str, faults: &mut Vec<String>) {
    for (number, line) in prose(text) {
        for target in targets(line) {
            // Another place, or a template the reader fills in.
            if target.contains("://") || target.starts_with("mailto:") || target.starts_with('{') {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let resolved = if file.is_empty() {
                Some(path.to_owned())
            } else {
                resolve(path, file)
            };
            let Some(resolved) = resolved.filter(|resolved| tree.has(resolved)) else {
                faults.push(format!("{path}:{number}: the link to {target} leads nowhere"));
                continue;
            };
            let Some(page) = tree.text(&resolved).filter(|_| resolved.ends_with(".md")) else {
                continue;
            };
            if !heading.is_empty() && !anchors(page).any(|anchor| anchor == heading) {
                faults.push(format!("{path}:{number}: {resolved} has no heading #{heading}"));
            }
        }
    }
}

/// The lines outside fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        if fence {
            fenced = !fenced;
        }
        !fenced && !fence
    })
}

/// The targets of the inline links of a line; what stands in back-ticks is no link.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').step_by(2).flat_map(|text| {
        text.match_indices("](").filter_map(|(at, opening)| {
            let rest = text.get(at + opening.len()..)?;
            let target = rest.get(..rest.find(')')?)?;
            // A title may follow the target.
            target.split_whitespace().next()
        })
    })
}

/// The path from the root that a link in `page` means; `None` when it leaves the repository.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<_> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a page's headings as the usual renderers make them: lower case, hyphens for spaces, nothing but
/// letters, digits, hyphens and underscores; a repeated one is numbered.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    prose(page).filter_map(move |(_, line)| {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            return None;
        }
        let anchor: String = title
            .trim()
            .chars()
            .filter_map(|letter| match letter {
                ' ' => Some('-'),
                letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
                _ => None,
            })
            .flat_map(char::to_lowercase)
            .collect();
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        Some(if *count == 1 {
            anchor
        } else {
            format!("{anchor}-{}", *count - 1)
        })
    })
}

fn named_paths(tree: &Tree, text: &str, faults: &mut Vec<String>) {
    for (number, line) in (1..).zip(text.lines()) {
        let words =
            line.split(|letter: char| !letter.is_ascii_alphanumeric() && !"_./-*{},".contains(letter));
        for word in words {
            if !PATH_STARTS.iter().any(|start| word.starts_with(start)) {
                continue;
            }
            // Of a pattern, the directory before it must exist.
            let path = match word.find(['*', '{']) {
                Some(at) => word
                    .get(..at)
                    .and_then(|head| head.rsplit_once('/'))
                    .map_or("", |(path, _)| path),
                None => word.trim_end_matches(['.', ',', '/', '}']),
            };
            if !tree.has(path) {
                faults.push(format!("ARCHITECTURE.md:{number}: there is no {path}"));
            }
        }
    }
}

/// Lines of the change log that begin alike, and sentences that stand in it twice: what a merge of two changes of one line
/// leaves behind.
fn said_twice(text: &str, faults: &mut Vec<String>) {
    let mut beginnings: BTreeMap<String, usize> = BTreeMap::new();
    let mut sentences: BTreeMap<String, usize> = BTreeMap::new();
    let mut paragraph: Vec<(usize, &str)> = Vec::new();
    let lines: Vec<(usize, &str)> = (1..).zip(text.lines().map(str::trim)).collect();
    for (number, line) in &lines {
        if line.chars().count() >= ALIKE_CHARS {
            let beginning: String = line.chars().take(ALIKE_CHARS).collect();
            if let Some(first) = beginnings.insert(beginning, *number) {
                faults.push(format!(
                    "CHANGELOG.md:{number}: begins as line {first} does; one of them is left over"
                ));
            }
        }
    }
    // A line of its own ends the last paragraph.
    for (number, line) in lines.into_iter().chain([(0, "")]) {
        if line.is_empty() || line.starts_with(['-', '#']) {
            let whole: Vec<&str> = paragraph.iter().map(|(_, line)| *line).collect();
            let begins = paragraph.first().map_or(0, |(number, _)| *number);
            for sentence in whole.join(" ").trim_start_matches("- ").split_inclusive(". ") {
                let sentence = sentence.trim_end_matches(['.', ' ']);
                if sentence.chars().count() < ALIKE_CHARS {
                    continue;
                }
                if let Some(first) = sentences.insert(sentence.to_owned(), begins) {
                    faults.push(format!(
                        "CHANGELOG.md:{begins}: a sentence of line {first} stands here again"
                    ));
                }
            }
            paragraph.clear();
        }
        paragraph.push((number, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        faults(&Tree::of(files))
    }

    #[test]
    fn a_link_to_nothing_is_a_fault_and_one_to_a_file_a_directory_or_the_web_is_none() {
        let text = "[a](docs/a.md) [d](docs) [w](https://example.org/x) `[code](none.md)`\n```\n[f](none.md)\n```\n[b](docs/b.md \"title\")\n";
        assert_eq!(
            check(&[
                ("README.md", text),
                ("docs/a.md", "[up](../README.md) [out](../../x.md)")
            ]),
            [
                "README.md:5: the link to docs/b.md leads nowhere",
                "docs/a.md:1: the link to ../../x.md leads nowhere"
            ]
        );
    }

    #[test]
    fn an_anchor_must_be_a_heading_in_any_language() {
        let page = "# Один `два`, три!\n## Same\n## Same\n#no heading\n```\n# code\n```\n";
        let text = "[1](a.md#один-два-три) [2](a.md#same-1) [3](a.md#code) [4](#no)\n";
        assert_eq!(
            check(&[("a.md", page), ("b.md", text)]),
            [
                "b.md:1: a.md has no heading #code",
                "b.md:1: b.md has no heading #no"
            ]
        );
    }

    #[test]
    fn every_path_named_in_the_architecture_exists() {
        let text = "`crates/core/src/lib.rs`, crates/{core,session}, crates/adapters/* and (crates/gone/).\n";
        let files = [
            ("ARCHITECTURE.md", text),
            ("crates/core/src/lib.rs", ""),
            ("crates/adapters/x/y.rs", ""),
        ];
        assert_eq!(check(&files), ["ARCHITECTURE.md:1: there is no crates/gone"]);
    }

    #[test]
    fn a_page_has_the_same_headings_in_both_languages() {
        let check = |russian: &str| {
            check(&[
                ("README.md", "# A\n```\n# code\n```\n## B\n#no heading\n"),
                ("README.ru.md", russian),
            ])
        };
        assert!(check("# А\n## Б\n").is_empty());
        for russian in ["# А\n", "# А\n### Б\n", "# А\n## Б\n## В\n"] {
            assert_eq!(
                check(russian),
                ["README.ru.md: its headings are not those of README.md"]
            );
        }
    }

    #[test]
    fn what_a_merge_left_twice_in_the_change_log_is_found() {
        let log = "- Commands act on all that\n  waits, in the inbox and in the pool. They ask first.\n  waits, in the inbox and in \
                   the pool. They ask, too.\n- One sentence that is long enough to be told. Short one.\n\n- Another. One sentence \
                   that is long enough to be told. Short one.\n";
        assert_eq!(
            check(&[("CHANGELOG.md", log)]),
            [
                "CHANGELOG.md:3: begins as line 2 does; one of them is left over",
                "CHANGELOG.md:6: a sentence of line 4 stands here again"
            ]
        );
    }

    #[test]
    fn both_guides_have_the_same_pages() {
        let files = [
            ("docs/guide/en/a.md", ""),
            ("docs/guide/en/b.md", ""),
            ("docs/guide/ru/a.md", ""),
        ];
        assert_eq!(
            check(&files),
            ["docs/guide/ru/b.md: missing, docs/guide/en has it"]
        );
    }
}
