//! The page that says how each promise is proven names tests that are there.

use std::path::Path;

#[test]
fn every_test_that_is_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/how-it-is-proven.md")).unwrap();
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains("::"))
        .collect();
    assert!(named.len() > 40, "{named:?}");
    for name in named {
        let (module, test) = name.rsplit_once("::").unwrap();
        let file = root.join(format!("tests/it/{}.rs", module.replace("::", "/")));
        let source = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{name} is not there");
    }
}
