//! Attacks on the first path: what goes wrong outside must not become wrong inside.
