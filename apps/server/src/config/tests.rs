//! The configuration from outside: layers, origins, faults.
