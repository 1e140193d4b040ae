//! What the fuzz targets see of this crate. Compiled for them (`--cfg fuzzing`), and with the tests so that it keeps up.

use serde_json::Value;

/// What is wrong with a configuration; `None` when its schema is not one of those understood.
#[must_use]
pub fn check_configuration(schema: &Value, configuration: &Value) -> Option<Vec<String>> {
    crate::schema::check_schema(schema)
        .is_empty()
        .then(|| crate::schema::check_configuration(Some(schema), configuration))
}
