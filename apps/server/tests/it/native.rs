//! Tests of this part live here.
