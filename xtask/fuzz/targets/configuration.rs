//! The configuration: a file, variables and flags that are understood or told what is wrong with them, line by line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw::fuzzing::configuration;

// The file; after a NUL, lines `NAME=value`: variables, and flags where the name is written in small letters.
fuzz_target!(|input: &str| {
    let (file, rest) = input.split_once('\0').unwrap_or((input, ""));
    let mut variables = Vec::new();
    let mut flags = Vec::new();
    for line in rest.lines().take(16) {
        match line.split_once('=') {
            Some((name, value))
                if name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_') =>
            {
                variables.push((name, value));
            }
            _ => flags.push(line.to_owned()),
        }
    }
    match configuration(file, &variables, &flags) {
        Ok(shown) => assert!(!shown.is_empty()),
        Err(faults) => {
            assert!(!faults.trim().is_empty(), "refused without a word");
            // Without what refused it, nothing may be left to refuse: the defaults are valid. Blank is what TOML calls
            // blank: a vertical tab is not.
            let blank = file.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
            if blank && variables.is_empty() && flags.is_empty() {
                panic!("the defaults are refused: {faults}");
            }
        }
    }
});
